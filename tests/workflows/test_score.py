"""Anybody's maps: every form they come in, what is said of those that can't be scored, and that they are streamed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from hclnet import read
from hclnet.cli.score import score_files
from hclnet.metrics import Hclnet, WsolEval, get_protocol, load_records
from hclnet.synthetic import PartsOptions, write
from hclnet.types import GroundTruth, MaskFiles, Sample
from hclnet.workflows.map_files import match_maps, open_maps
from hclnet.workflows.score import score, score_maps
from hclnet_runtime.boxes import RULES, normalize, parse_rule
from layouts import LAYOUTS, folders, lists
from pixel_rule import Bright
from reference import wsoleval

RULE = parse_rule("fixed:0.4")


@pytest.fixture(scope="module")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("birds")
    write(PartsOptions(classes=3, train=2, test=4, size=64), root)
    return root


@pytest.fixture(scope="module")
def maps(birds: Path) -> dict[str, np.ndarray]:
    """A random map of any resolution for every test image."""
    rng = np.random.default_rng(0)
    return {s.id: rng.random(rng.integers(3, 30, 2), dtype=np.float32) for s in read(birds).split("test")}


def as_folder(path: Path, maps: dict[str, np.ndarray], suffix: str = "") -> Path:
    for name, map in maps.items():
        file = path / f"{name}{suffix}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, map)
    return path


def as_npz(path: Path, maps: dict[str, np.ndarray]) -> Path:
    np.savez(path.with_suffix(".npz"), **maps)
    return path.with_suffix(".npz")


def as_safetensors(path: Path, maps: dict[str, np.ndarray]) -> Path:
    save_file(maps, path.with_suffix(".safetensors"))
    return path.with_suffix(".safetensors")


@pytest.mark.parametrize("form", [as_folder, as_npz, as_safetensors])
@pytest.mark.parametrize("extension", ["", ".jpg"])
def test_maps_come_in_three_forms_with_ids_with_and_without_extension(birds, maps, tmp_path, form, extension):
    named = {name + extension: map for name, map in maps.items()}
    found = score(form(tmp_path / "maps", named), birds, protocol="wsoleval", box="fixed:0.4")
    assert found.records.ids == list(maps) and found.records.protocol == "wsoleval"
    assert (found.records.rank == -1).all() and found.records.top_classes.shape == (12, 0)
    assert found.metrics["protocol"]["name"] == "wsoleval" and found.metrics["protocol"]["rule"] == "fixed:0.4"
    assert {"gt_known", "max_box_acc", "max_box_acc_v2", "pxap"} < set(found.metrics["intervals"])
    assert "top1_cls" not in found.metrics and found.metrics["images"] == 12


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.uint8, bool])
def test_maps_are_numbers_of_any_kind(birds, maps, tmp_path, kind):
    whole = {name: (map * 200 if kind is np.uint8 else map.round(1)).astype(kind) for name, map in maps.items()}
    expected = {name: map.astype(np.float32) for name, map in whole.items()}
    one, other = (score(as_npz(tmp_path / n, m), birds) for n, m in (("a", whole), ("b", expected)))
    np.testing.assert_array_equal(one.records.level_iou, other.records.level_iou)


@pytest.mark.parametrize("protocol", ["hclnet", "wsoleval"])
def test_figures_do_not_depend_on_where_a_map_begins_nor_on_how_high_it_is(birds, maps, tmp_path, protocol):
    plain = {name: (map * 100).round() for name, map in maps.items()}
    rows = {}
    for name, change in (
        ("plain", lambda m: m), ("offset", lambda m: m.astype(float) + 1e8), ("small", lambda m: m * 1e-46),
        ("least", lambda m: m * 5e-324), ("huge", lambda m: m * 1e300), ("both ways", lambda m: (m - 50) * 2e306),
        ("int64", lambda m: m.astype(np.int64) - 2**62), ("uint64", lambda m: m.astype(np.uint64) + np.uint64(2**63)),
        ("wide", lambda m: m.astype(np.longdouble) + 1e8),
    ):  # fmt: skip
        changed = {id: change(map.astype(np.float64)) for id, map in plain.items()}
        rows[name] = score(as_npz(tmp_path / name, changed), birds, "test", protocol, "fixed:0.4", 32).records
    for name, records in rows.items():
        # A pixel on the edge of a level may round to the other side.
        np.testing.assert_allclose(records.level_iou, rows["plain"].level_iou, atol=0.05, err_msg=name)
        assert (records.level_iou == rows["plain"].level_iou).mean() > 0.99, name


def test_ordinary_maps_of_float32_are_resized_as_they_are():
    for seed, (height, width) in enumerate(((9, 13), (90, 70), (64, 64))):
        map = np.random.default_rng(seed).normal(5, size=(height, width)).astype(np.float32)
        for how in ("minmax", "max", "pas", "ivr:35"):
            large = map if height == 64 else cv2.resize(map, (64, 64), interpolation=3 if height > 64 else 1)
            np.testing.assert_array_equal(Hclnet(64, normalization=how).heatmap(map), normalize(large, how))
        large = map.astype(float) if height == 64 else cv2.resize(map.astype(float), (64, 64), interpolation=2)
        large = large - large.min()
        np.testing.assert_array_equal(WsolEval(64).heatmap(map), large / large.max())


def test_the_figures_are_those_of_the_literal_port(birds, maps, tmp_path):
    found = score(as_folder(tmp_path, maps), birds, protocol="wsoleval")
    dataset = read(birds)
    levels = [(wsoleval.heatmap(map) * 255).astype(np.uint8) for map in maps.values()]
    true = []
    for s in dataset.split("test"):
        with Image.open(s.path) as image:
            true.append([wsoleval.gt_box(box, image.size) for box in dataset.ground_truth.boxes[s.id]])
    first, second = wsoleval.max_box_acc(levels, true, (np.arange(255) + 0.5) / 255)
    assert found.metrics["max_box_acc"] == pytest.approx(first, abs=1e-12)
    assert found.metrics["max_box_acc_v2"] == pytest.approx(second, abs=1e-12)


def test_a_centerd_gaussian_is_good_for_centerd_birds_and_noise_is_not(birds, tmp_path):
    at = np.linspace(-1, 1, 28)
    blob = np.exp(-(at[:, None] ** 2 + at**2) / 2).astype(np.float32)
    center = {s.id: blob for s in read(birds).split("test")}
    rows = score_files(
        [as_npz(tmp_path / "noise", {n: np.random.default_rng(1).random((14, 14)) for n in center}),
         as_npz(tmp_path / "center", center)],
        str(birds), "test", "hclnet", None, 64, "minmax", tmp_path / "new" / "scores.json", None,
    )  # fmt: skip
    assert json.loads((tmp_path / "new" / "scores.json").read_text()) == rows
    value, low, high = rows[1]["difference"]["max_box_acc_v2"]
    assert value == rows[1]["max_box_acc_v2"] - rows[0]["max_box_acc_v2"] and low <= value <= high
    assert "difference" not in rows[0] and rows[1]["protocol"]["map_size"] == 64


def test_normalizations_are_of_our_protocol(birds, maps, tmp_path):
    path = as_npz(tmp_path / "maps", maps)
    plain, other = (score(path, birds, cam_normalization=how) for how in ("minmax", "ivr:60"))
    assert other.metrics["protocol"]["normalization"] == "ivr:60"
    assert not np.array_equal(plain.records.level_iou, other.records.level_iou)
    with pytest.raises(ValueError, match=r"wsoleval normalizes by minmax; ivr:60 is for"):
        score(path, birds, protocol="wsoleval", cam_normalization="ivr:60")


def test_maps_of_other_splits_are_no_mistake(birds, maps, tmp_path):
    more = maps | {s.id: np.eye(3) for s in read(birds).split("train")}
    assert score(as_npz(tmp_path / "maps", more), birds).metrics["images"] == 12


@pytest.fixture(scope="module")
def figures_by_layout(birds, maps, tmp_path_factory) -> dict[str, dict]:
    """What the same maps of the same birds score in every layout."""
    dataset, found = read(birds), {}
    pictures = {sample.path.read_bytes(): maps[sample.id] for sample in dataset.split("test")}
    for layout in LAYOUTS:
        place = tmp_path_factory.mktemp(layout.__name__)
        data = layout(dataset, place)
        samples = [s for s in read(data).samples if s.split != "train"]
        named = {s.id: pictures[s.path.read_bytes()] for s in samples}
        if layout is folders:
            with pytest.raises(ValueError, match="has neither boxes nor masks for its test images"):
                score(as_npz(place / "maps", named), data)
            continue
        if layout is lists:
            (place / "dataset").rename(place / "away")  # the lists know how large the images are
        result = score(as_npz(place / "maps", named), data, protocol="wsoleval")
        found[layout.__name__] = result.metrics
    return found


def test_every_layout_is_a_truth_and_the_same_one(figures_by_layout):
    boxes = {name: f["max_box_acc_v2"] for name, f in figures_by_layout.items() if "max_box_acc_v2" in f}
    assert (
        set(boxes) == {"cub", "manifest", "lists", "ilsvrc", "coco", "yolo", "voc", "cvat"}
        and len(set(boxes.values())) == 1
    )
    masks = [figures_by_layout[name]["pxap"] for name in ("cub", "manifest", "open_images")]
    assert masks == [pytest.approx(masks[0], abs=1e-12)] * 3 and "pxap" not in figures_by_layout["lists"]
    assert all(figures["images"] == 12 for figures in figures_by_layout.values())


def test_missing_and_extra_maps_are_named(birds, maps, tmp_path):
    names = list(maps)
    fewer = {name: maps[name] for name in names[2:]} | {"owl/1": np.eye(3)}
    with pytest.raises(ValueError) as error:
        score(as_npz(tmp_path / "maps", fewer), birds)
    assert f"2 of the 12 images have no map: {names[0]}, {names[1]}." in str(error.value)
    assert "1 of the 11 maps belong to no image: owl/1." in str(error.value)
    assert f"Ids here look like {names[0]}" in str(error.value)


@pytest.mark.parametrize(
    ("map", "message"),
    [
        (np.array([[1, np.nan], [0, 2]]), "can't be scored: a map has NaN"),
        (np.full((3, 3), np.inf), "can't be scored: a map has NaN or infinite"),
        (np.zeros((1, 4, 4)), r"has shape \(1, 4, 4\); it has to be height x width"),
        (np.zeros((0, 4)), r"has shape \(0, 4\)"),
        (np.zeros((2, 2), dtype=complex), "holds complex128, not numbers"),
    ],
    ids=str,
)
@pytest.mark.parametrize("protocol", ["hclnet", "wsoleval"])
def test_a_map_that_is_none_is_named(birds, maps, tmp_path, map, message, protocol):
    name = list(maps)[5]
    with pytest.raises(ValueError, match=re.escape(f"The map of {name} ") + message):
        score(as_npz(tmp_path / "maps", maps | {name: map}), birds, protocol=protocol)


def test_a_damaged_file_is_named(birds, maps, tmp_path):
    folder, name = as_folder(tmp_path / "maps", maps), list(maps)[3]
    (folder / f"{name}.npy").write_bytes(b"\x93NUMPY broken")
    with pytest.raises(ValueError, match=f"The map of {name} can't be read"):
        score(folder, birds)
    np.save(folder / f"{name}.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match=f"The map of {name} can't be read"):
        score(folder, birds)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone", "There is nothing at"),
        ("empty", "There are no maps in"),
        ("maps.txt", "is not a file of maps: they come as .npz"),
        ("bad.npz", "bad.npz can't be read"),
        ("bad.safetensors", "bad.safetensors can't be read"),
    ],
)
def test_a_path_without_maps(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    for file in ("maps.txt", "bad.npz", "bad.safetensors"):
        (tmp_path / file).write_bytes(b"no maps here")
    with pytest.raises(ValueError, match=message), open_maps(tmp_path / name):
        pass


def test_a_truth_without_boxes_and_masks_is_refused(tmp_path, maps):
    for k in range(4):
        (tmp_path / "plain" / f"c{k % 2}").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "plain" / f"c{k % 2}" / f"{k}.png")
    with pytest.raises(ValueError, match="neither boxes nor masks for its test images"):
        score(as_npz(tmp_path / "maps", maps), tmp_path / "plain")


def samples(*ids: str) -> list[Sample]:
    return [Sample(name, Path(name), 0, "test") for name in ids]


def test_which_map_belongs_to_which_image():
    def matched(names, *ids):
        maps = {name: (lambda name=name: name) for name in names}
        return [get() for get in match_maps(maps, samples(*ids))]

    assert matched(["b", "a.jpg"], "a", "b.JPEG") == ["a.jpg", "b"]
    assert matched(["x/a.v2", "y/a.png"], "y/a.png", "x/a.v2") == ["y/a.png", "x/a.v2"]
    assert matched(["a.jpg", "a.png"], "a.png", "a.jpg") == ["a.png", "a.jpg"]
    with pytest.raises(ValueError, match=r"a\.jpg could be a: there are several"):
        matched(["a"], "a.jpg", "a.png")
    with pytest.raises(ValueError, match=r"a could be a\.jpg or a\.png"):
        matched(["a.jpg", "a.png"], "a")
    with pytest.raises(ValueError, match=r"1 of the 2 images have no map: a\.png"):
        matched(["a.jpg"], "a.jpg", "a.png")


def test_maps_are_read_one_by_one_and_not_all_before_the_first_is_scored():
    n, read_so_far, told = 200, [], []

    def progress(done: int, total: int) -> None:
        told.append((done, total, len(read_so_far)))

    def one(k: int):
        read_so_far.append(k)
        return np.random.default_rng(k).random((5, 5))

    images, sizes = samples(*map(str, range(n))), np.full((n, 2), 50)
    ground_truth = GroundTruth({str(k): np.array([[5.0, 5, 30, 40]]) for k in range(n)})
    get = [lambda k=k: one(k) for k in range(n)]
    records = score_maps(get, images, sizes, ground_truth, Hclnet(16), RULE, progress, workers=2)
    assert len(records) == n and not np.isnan(records.iou).any() and read_so_far == list(range(n))
    assert [done for done, *_ in told] == [64, 128, 192, 200]
    assert all(ahead <= done + 16 for done, _, ahead in told)


@pytest.mark.parametrize("protocol", [Hclnet(32), WsolEval(32)])
def test_the_order_is_that_of_the_images_however_many_threads(tmp_path, protocol):
    rng, n = np.random.default_rng(0), 40
    maps, images = [rng.random((9, 9)) for _ in range(n)], samples(*map(str, range(n)))
    Image.fromarray(np.eye(20, dtype=np.uint8) * 255).save(tmp_path / "m.png")
    ground_truth = GroundTruth(
        {str(k): np.sort(rng.random((2, 2)) * 90, axis=0).reshape(1, 4) for k in range(0, n, 2)},
        {str(k): MaskFiles((tmp_path / "m.png",)) for k in range(1, n, 2)},
    )
    get = [lambda map=map: map for map in maps]
    one, many = (
        score_maps(get, images, np.full((n, 2), 100), ground_truth, protocol, RULE, workers=workers)
        for workers in (1, 4)
    )
    for column in ("boxes", "iou", "level_iou", "level_best", "inside", "outside"):
        np.testing.assert_array_equal(getattr(one, column), getattr(many, column))
    assert np.isnan(one.iou).tolist() == [False, True] * (n // 2)
    assert (one.inside + one.outside).sum(axis=1).tolist() == [0, 32 * 32] * (n // 2)


def test_the_command_line(birds, maps, tmp_path):
    path = as_npz(tmp_path / "maps", maps)
    call = [sys.executable, "-m", "hclnet", "score", str(path), "--truth", str(birds), "--protocol", "wsoleval"]
    done = subprocess.run(
        [*call, "--json", str(tmp_path / "f.json"), "--records", str(tmp_path / "r.npz")],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "MaxBoxAccV2" in told and "Protocol wsoleval: maps of 224 px, bicubic upsampling" in told
    assert json.loads((tmp_path / "f.json").read_text())["images"] == len(load_records(tmp_path / "r.npz")) == 12


def test_records_of_several_methods_do_not_go_into_one_file(birds, maps, tmp_path):
    path = as_npz(tmp_path / "maps", maps)
    with pytest.raises(ValueError, match="--records takes the records of one method"):
        score_files([path, path], str(birds), "test", "hclnet", None, 224, "minmax", None, tmp_path / "r.npz")


def test_our_protocol_here_and_in_evaluate_is_one():
    """`evaluate` upsamples by torch, `score` by OpenCV: the same but for the last bits."""
    import torch

    map = torch.from_numpy(np.random.default_rng(0).random((14, 14), dtype=np.float32))
    theirs = torch.nn.functional.interpolate(map[None, None], (224, 224), mode="bilinear")[0, 0].numpy()
    theirs = (theirs - theirs.min()) / (theirs.max() - theirs.min())
    ours = get_protocol("hclnet").heatmap(map.numpy())
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_rule_that_needs_the_images_pixels_gets_them_or_is_refused(birds, maps, tmp_path, monkeypatch):
    monkeypatch.setitem(RULES, "bright", Bright)
    records = score(as_npz(tmp_path / "maps.npz", maps), birds, box="bright").records
    for row in range(len(records)):
        pixels = np.asarray(Image.open(records.paths[row]).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR))
        ys, xs = np.nonzero(pixels.max(2) > 100)
        width, height = records.sizes[row] / 224
        expected = [xs.min() * width, ys.min() * height, (xs.max() + 1) * width, (ys.max() + 1) * height]
        assert records.boxes[row] == pytest.approx(expected)

    listed = lists(read(birds), tmp_path / "listed")
    (sample, *_) = (s for s in read(listed).samples if s.split == "test")
    (tmp_path / "listed" / "dataset").rename(tmp_path / "away")
    with pytest.raises(ValueError, match=r"12 of the 12 images.*are not there.*rule bright needs the image's pixels"):
        score(as_npz(tmp_path / "one.npz", {sample.id: np.eye(4)}), listed, box="bright")
