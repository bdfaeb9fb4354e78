"""Locating one by one, locating many, evaluating and scoring are one pipeline: the same heatmap and the same box."""

import ast
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

import hclnet
import hclnet_runtime
from hclnet.config import RunConfig
from hclnet.data import read
from hclnet.localizer.evaluation import evaluate_localizer
from hclnet.localizer.localizer import Localizer
from hclnet.maps.foreground import ForegroundScore
from hclnet.metrics import Hclnet, get_protocol
from hclnet.types import GroundTruth
from hclnet.workflows.score import score_maps
from hclnet_runtime.boxes import RULES
from hclnet_runtime.data.images import load_square, open_image
from pixel_rule import Bright

pytestmark = pytest.mark.precision

SETTINGS = {
    "one view": {"box": "fixed:0.3"},
    "mirrored and at two sizes": {"box": "fixed:0.3", "flip": True, "scales": (0.5, 1)},
    "fused after upsampling": {"box": "fixed:0.3", "upsample_first": True, "upsampling": "bicubic"},
    "by the foreground score": {"box": "auto"},
    "ten crops": {"box": "otsu3", "crops": 10},
    "by percentiles": {"box": "fixed:0.3", "cam_normalization": "ivr:35"},
}
METHODS = ("cam", "acol", "hclnet", "spg", "bas")


@pytest.fixture(scope="module")
def dataset(birds):
    return read(birds)


def made(method, dataset, **settings):
    """An untrained one, whose foreground score is of random weights."""
    config = RunConfig(data="", method=method, options={"width": 16}, size=64, device="cpu", seed=1)
    localizer = Localizer.from_config(config, dataset.classes)
    channels = localizer.backbone.info[localizer.method.foreground_feature].channels
    weight = torch.randn(channels, generator=torch.Generator().manual_seed(0))
    localizer.foreground = {side: ForegroundScore(weight, torch.tensor(0.1)) for side in (32, 64)}
    return localizer.with_inference(**settings)


def cases():
    few = ("one view", "mirrored and at two sizes")
    return [(method, name) for method in METHODS for name in SETTINGS if method == "hclnet" or name in few]


@pytest.mark.parametrize("method, settings", cases())
@pytest.mark.parametrize("cache", [False, True])
def test_locate_evaluate_and_score_agree_to_the_bit(dataset, method, settings, cache):
    localizer, samples = made(method, dataset, **SETTINGS[settings]), dataset.split("test")
    alone = [localizer.locate(s.path, classes=[dataset.classes[s.label]]) for s in samples]
    kept = []
    (records,) = evaluate_localizer(
        localizer, samples, dataset.ground_truth, cache=cache, keep=lambda _, maps: kept.append(maps)
    )
    scoring, rule = Hclnet.of(localizer.inference), localizer.inference.box
    for row, (one, maps) in enumerate(zip(alone, kept, strict=True)):
        assert tuple(records.boxes[row]) == one.box and one.box[2] > one.box[0]
        np.testing.assert_array_equal(maps.grid, one.maps[one.label])
        expected = np.round(one.branches[one.label] * 65535).astype(np.uint16)
        np.testing.assert_array_equal(maps.branches, expected)
        assert records.top_scores[row].tolist() == [np.float32(score) for _, score in one.predictions]
    if rule == "fixed:0.3" and not localizer.inference.upsample_first:
        scored = score_maps(
            [lambda one=one: one.maps[one.label] for one in alone],
            samples, records.sizes, dataset.ground_truth, scoring, hclnet_runtime.boxes.parse_rule(rule),
        )  # fmt: skip
        for column in ("boxes", "iou", "level_iou", "level_best", "inside", "outside"):
            np.testing.assert_array_equal(getattr(scored, column), getattr(records, column), err_msg=column)
        for one in alone:
            np.testing.assert_array_equal(scoring.heatmap(one.maps[one.label]), one.heatmap)


def same(one, other):
    assert one.objects == other.objects and one.predictions == other.predictions and one.size == other.size
    for name, heatmap in one.heatmaps.items():
        np.testing.assert_array_equal(heatmap, other.heatmaps[name])
        np.testing.assert_array_equal(one.branches[name], other.branches[name])
        np.testing.assert_array_equal(one.maps[name], other.maps[name])
    assert list(one.heatmaps) == list(other.heatmaps)


@pytest.mark.parametrize("settings", SETTINGS)
def test_many_images_have_the_boxes_of_one_by_one(dataset, settings):
    localizer, paths = made("hclnet", dataset, **SETTINGS[settings]), [s.path for s in dataset.split("test")]
    given = [paths[0], str(paths[1]), open_image(paths[2]), np.asarray(open_image(paths[3])), *paths[4:]]
    for asked in ({}, {"top": 3}, {"classes": dataset.classes[:2], "max_objects": 3}):
        together = localizer.locate_batch((image for image in given), **asked)
        for image, one in zip(given, together, strict=True):
            same(one, localizer.locate(image, **asked))


def test_a_batch_on_a_gpu_has_all_images_and_classes_in_their_places(dataset, monkeypatch):
    """As far as that can be seen without one: with batches of several images on the processor, boxes are as good."""
    localizer, paths = made("hclnet", dataset, box="fixed:0.3"), [s.path for s in dataset.split("test")]
    expected = localizer.locate_batch(paths, top=2)
    for module in ("locating", "pipeline"):
        monkeypatch.setattr(f"hclnet.localizer.{module}.inference_batch", lambda device: 4)
    for one, other in zip(localizer.locate_batch(paths, top=2), expected, strict=True):
        assert list(one.heatmaps) == list(other.heatmaps)
        for name, heatmap in one.heatmaps.items():
            np.testing.assert_allclose(heatmap, other.heatmaps[name], atol=1e-2)
    (records,) = evaluate_localizer(localizer, dataset.split("test"), dataset.ground_truth)
    monkeypatch.undo()
    (alone,) = evaluate_localizer(localizer, dataset.split("test"), dataset.ground_truth)
    np.testing.assert_allclose(records.level_iou, alone.level_iou, atol=0.05)


def test_what_is_no_list_of_images_is_refused(dataset):
    localizer, path = made("cam", dataset), dataset.split("test")[0].path
    for image in (path, str(path), open_image(path), np.zeros((8, 8, 3), np.uint8), None, 3):
        with pytest.raises(ValueError, match="takes a list of images"):
            localizer.locate_batch(image)
    with pytest.raises(ValueError, match=r"^Image 1 of the list: There is no image file nowhere\.png"):
        localizer.locate_batch([path, "nowhere.png"])
    assert localizer.locate_batch([]) == []


def test_a_rule_gets_the_pixels_that_it_needs(dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(RULES, "bright", Bright)
    localizer, samples = made("cam", dataset, box="bright"), dataset.split("test")
    for cache in (False, True):
        (records,) = evaluate_localizer(localizer, samples, dataset.ground_truth, cache=cache)
        for row, sample in enumerate(samples):
            ys, xs = np.nonzero(load_square(sample.path, 224).max(2) > 100)
            width, height = records.sizes[row] / 224
            expected = [xs.min() * width, ys.min() * height, (xs.max() + 1) * width, (ys.max() + 1) * height]
            assert records.boxes[row] == pytest.approx(expected)
            assert localizer.locate(sample.path).box == pytest.approx(expected)
            assert localizer.locate(open_image(sample.path)).box == pytest.approx(expected, abs=2)


class Featured(Bright):
    """The cells where the first feature is above its mean."""

    example = "featured"
    needs = frozenset({"features"})
    seen: ClassVar[list] = []

    def choose(self, evidence):
        self.seen.append(evidence.features)
        return Bright.choose(self, evidence)

    def object_pixels(self, evidence, choice):
        return np.ones(evidence.levels.shape, dtype=bool)


def test_a_rule_gets_the_features_that_it_needs(dataset, monkeypatch):
    monkeypatch.setitem(RULES, "featured", Featured)
    monkeypatch.setattr(Featured, "seen", [])
    localizer, samples = made("spg", dataset, box="featured", flip=True), dataset.split("test")[:1]
    localizer.locate(samples[0].path, classes=[dataset.classes[samples[0].label]])
    evaluate_localizer(localizer, samples, GroundTruth())
    with torch.inference_mode():
        square = load_square(samples[0].path, 64)[None]
        plain, turned = (localizer.network.features(square, m)["stage5"].float() for m in (False, True))
    first, second = Featured.seen
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, ((plain + turned.flip(3)) / 2)[0].numpy())
    localizer.with_inference(box="auto").locate(samples[0].path)
    assert len(Featured.seen) == 2


def test_maps_of_a_training_that_diverged_are_an_error_with_a_way_out(dataset):
    localizer, sample = made("hclnet", dataset), dataset.split("test")[0]
    with torch.no_grad():
        localizer.method.branches[1].classifier.weight[:] = float("nan")
    for work in (
        lambda: localizer.locate(sample.path),
        lambda: evaluate_localizer(localizer, [sample], dataset.ground_truth),
    ):
        with pytest.raises(ValueError, match=r"The maps have NaN or infinite values.*--set lr=1e-4"):
            work()


def test_a_broken_image_ends_an_evaluation_with_its_name(dataset, tmp_path):
    localizer = made("cam", dataset)
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    broken = replace(dataset.split("test")[1], path=tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"a\.png is damaged"):
        evaluate_localizer(localizer, [dataset.split("test")[0], broken], GroundTruth())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("settings", [{}, {"flip": True, "scales": (0.5, 1), "fusion": "l1", "upsample_first": True}])
def test_the_network_is_a_module_that_can_be_traced(dataset, method, settings):
    """Under torch.export a branch on data, or anything of numpy, is an error."""
    network = made(method, dataset, **settings).network
    squares = [torch.tensor(load_square(dataset.split("test")[0].path, side)[None]) for side in network.sides]
    assert network.sides == ((32, 64) if settings else (64,)) and not network.training
    with torch.no_grad():
        exported = torch.export.export(network, tuple(squares), strict=False).module()
        ours, theirs = network(*squares), exported(*squares)
    for name in ("probabilities", "classes", "maps", "grid", "branches", "foreground"):
        torch.testing.assert_close(getattr(theirs, name), getattr(ours, name), atol=1e-4, rtol=1e-4)


ONCE = {
    "fuse_branches": "localizer/network.py",  # fusion
    "heatmap": "heatmaps.py",  # upsampling and normalization, by the protocol
    "levels": "heatmaps.py",
}
OWN = ("maps/", "boxes/")


def test_there_is_one_call_site_of_fusion_of_upsampling_and_of_levels():
    roots = [Path(package.__file__).parent for package in (hclnet, hclnet_runtime)]
    calls, interpolations = {name: Counter() for name in ONCE}, set()
    for root, file in sorted((one, file) for one in roots for file in one.rglob("*.py")):
        place = file.relative_to(root).as_posix()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in calls and not place.startswith(OWN):
                calls[name][place] += 1
            if name in ("interpolate", "fuse_l1", "fuse_max", "fuse_addition"):
                interpolations.add(place)
    assert {name: dict(found) for name, found in calls.items()} == {name: {place: 1} for name, place in ONCE.items()}
    # One brings images to a size that a model takes, the other watches how position embeddings are brought to theirs.
    of_maps = interpolations - {"backbones/timm_models.py", "exporting/trace.py"}
    assert of_maps <= {"maps/fused.py", "maps/augmentation.py", "methods/spg.py"}


def test_every_protocol_draws_by_itself_and_no_module_asks_for_its_name():
    root = Path(hclnet.__file__).parent
    for file in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                values = [getattr(of, "value", None) for of in (node.left, *node.comparators)]
                assert not {"hclnet", "wsoleval"} & {v for v in values if isinstance(v, str)}, file
    assert get_protocol("hclnet").suffix == "" and get_protocol("wsoleval").suffix == "-wsoleval"
