"""`benchmarks/real_images.py` on a few drawn birds: both sides, what is used again, and its numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from hclnet.data import read
from hclnet.types import DataSet

Printed = Callable[..., list[str]]
ROOT = Path(__file__).parents[2]
SMALL = ("--preset", "quick", "--set", "size=64", "--set", "epochs=1", "--set", "width=8")


@pytest.fixture
def shared(birds: Path, tmp_path: Path) -> Path:
    """A shared folder whose boards are birds, with a second box in each image."""
    data, folder = read(birds), tmp_path / "shared" / "data" / "real" / "boards4"
    folder.mkdir(parents=True)
    lines = ["path,label,split,x0,y0,x1,y1"]
    for sample in data.samples:
        for box in [*data.ground_truth.boxes[sample.id].tolist(), [0, 0, 16, 16]]:
            lines.append(",".join(map(str, [sample.path, data.classes[sample.label], sample.split, *box])))
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "shared"


def files_of(work: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for kind in ("runs", "records") for path in (work / kind).rglob("*.*")}


def test_real_images(printed: Printed, birds: Path, shared: Path, tmp_path: Path):
    work, out = tmp_path / "work", tmp_path / "tables" / "boxes.md"
    call = ("boards4", birds, "--shared", shared, "--work", work, "--out", out, "--methods", "cam", "--seeds", 1)
    call = (*call, "--folds", 2, "--rules", "auto,fixed:0.2", *SMALL)
    printed("real_images", *call, "--worst", 3)
    assert out.read_text().startswith("Side: choose, 2 folds. Preset quick, size=64, epochs=1, width=8, 1 seeds.")
    tables = [line.strip("| ").split(" | ") for line in out.read_text().splitlines() if line.startswith("| ")]
    table, several = tables[:7], tables[7:]
    assert [row[0] for row in table[1:]] == ["boards4"] * 2 + [birds.name] * 2 + ["mean"] * 2
    assert [row[7] for row in table[1:]] == ["auto", "fixed:0.2"] * 3
    assert [row[1] for row in table[1::2]] == ["12", "6", "18"]  # the training images; the test images of other data
    for row in table[1:]:
        best, some, fixed = (float(row[table[0].index(head)]) for head in ("best", "any", "GT-known"))
        assert 0 <= best <= some <= 100, row
        assert row[7] == "auto" or fixed <= best, row  # one threshold is not above the best one
    assert [row[:5] for row in several[1:]] == [["boards4", "12", "24", "cam", "auto"]]
    assert 0 <= float(several[1][5]) <= 100 and 0 <= float(several[1][6]) <= 100
    rows = json.loads(out.with_suffix(".json").read_text())["rows"]
    for pooled, first, second in zip(rows[4:], rows, rows[2:]):
        for key, value in pooled["seeds"][0].items():
            assert value == pytest.approx((first["seeds"][0][key] + second["seeds"][0][key]) / 2), key
    assert len(list((work / "runs" / "boards4").iterdir())) == 2
    with Image.open(work / "sheets" / "boards4-choose-cam.png") as sheet:
        drawn = np.asarray(sheet.convert("RGB")).reshape(-1, 3)
    assert all((drawn == color).all(axis=1).sum() > 100 for color in ((0x30, 0xE0, 0x30), (0xFF, 0x20, 0x20)))

    before, text = files_of(work), out.read_text()
    printed("real_images", *call)
    assert files_of(work) == before and out.read_text() == text
    state = next((work / "runs" / "boards4").rglob("state.json"))
    state.unlink()  # as if it had been interrupted
    printed("real_images", *call)
    assert state.is_file() and out.read_text() == text
    printed("real_images", *call, "--rules", "otsu3")
    new = files_of(work).keys() - before.keys()
    assert sorted(path.name[:13] for path in new) == ["objects-otsu3"] * 2 + ["records-otsu3"] * 3


def test_agreement(printed: Printed, birds: Path, shared: Path, tmp_path: Path):
    lines = printed("agreement", birds, "--shared", shared, "--work", tmp_path / "work", "--methods", "cam", *SMALL)
    head, _, (name, images, method, right, area, *thirds) = [
        line.strip("| ").split(" | ") for line in lines if "|" in line
    ]
    assert (name, images, method) == (birds.name, "6", "cam") and len(head) == 8
    assert float(right) == pytest.approx(np.mean([float(share) for share in thirds]), abs=1)
    assert area == "nan" or 0 <= float(area) <= 1


def test_the_area_under_roc_is_the_share_of_pairs_in_order(modules: Callable[[str], ModuleType]):
    area = modules("agreement").area_under_roc
    right = np.array([True, False, True, False])
    assert area(np.array([0.9, 0.1, 0.5, 0.5]), right) == (1 + 1 + 1 + 0.5) / 4
    assert np.isnan(area(np.array([0.9, 0.1]), np.array([True, True])))


def test_criteria(printed: Printed, birds: Path, shared: Path, tmp_path: Path):
    call = ("--shared", shared, "--work", tmp_path / "work", "--methods", "cam", "--rules", "auto,fixed:0.2,fixed:0.6")
    lines = printed("criteria", birds, *call, *SMALL)
    measured = json.loads((tmp_path / "work" / "criteria.json").read_text())
    of_images = np.array(measured["sets"][birds.name])
    numbers = of_images.mean(1)
    assert of_images.shape == (1, 6, 3, 8) and (numbers[..., :7] >= 0).all() and (numbers <= 2).all()
    head, *rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    assert head[2:] == measured["numbers"][1:]
    assert [row[1] for row in rows[:3]] == ["all", "methods", "rules"]
    head, values = rows[-2:]
    assert head[2:] == measured["numbers"][1:] and values[:2] == [birds.name, "6"]
    assert all(cell == "nan" or 0 <= float(cell) <= 1 for cell in values[2:])
    best = 100 * numbers[..., 0].max()
    assert f"(best {best:.1f}," in rows[3][1] and all(float(cell) <= best + 0.05 for cell in rows[3][2:])


def test_the_parts_of_the_criteria(modules: Callable[[str], ModuleType]):
    criteria = modules("criteria")
    box = np.array([0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(criteria.mirrored(np.array([0.1, 0.2, 0.4, 0.9])), [0.6, 0.2, 0.9, 0.9])
    np.testing.assert_allclose(criteria.in_center(np.array([0.0, 0.1, 0.5, 1.0])), [0, 0, 0.5, 1], atol=1e-9)
    np.testing.assert_allclose(criteria.covered(box, (2, 4)), [[0, 0, 0, 0], [0, 1, 1, 0]])
    features = np.zeros((2, 4, 4))
    features[0], features[1, 2:, 1:3] = 1, 1  # the object alone has the second channel
    assert criteria.inside_against_ring(features, box) == pytest.approx(1 - 0.5**0.5)
    assert criteria.inside_against_ring(features[:1], box) == pytest.approx(0)
    rows = np.array([[0.1, *range(7)], [0.2, *range(1, 8)], [0.3, *range(2, 9)]])
    assert criteria.correlation([rows, rows[:, [0, 2, 1, 3, 4, 5, 6, 7]]], 0) == pytest.approx(1)
    assert criteria.correlation([rows, rows[::-1] * [-1, *[1] * 7]], 0) == pytest.approx(0)
    assert np.isnan(criteria.correlation([rows[:1]], 0)) and criteria.chosen_by(rows, 3) == 0.3


def test_how_well_a_criterion_tells_right_boxes_from_wrong_ones(modules: Callable[[str], ModuleType]):
    criteria = modules("criteria")
    right = np.array([1.0, 1, 0, 0])
    of = np.stack([right, right, -right, *np.zeros((5, 4))], -1)[None, :, None]  # method x image x rule x number
    all_right = np.ones((1, 3, 1, 8))
    rows = [line.strip("| ").split(" | ") for line in criteria.qualities({"a": of, "b": all_right})]
    assert rows[2] == ["a", "4", "1.00", "0.00", *["0.50"] * 5]
    assert rows[3] == ["b", "3", *["nan"] * 7]
    assert rows[4] == ["mean", "7", *rows[2][2:]]


def test_a_set_with_few_training_images_a_class(modules, birds: Path, shared: Path):
    open_set = modules("real_sets").open_set
    one, two, all_ = (open_set(f"{birds}@{most}", shared, "report", 2).parts[0] for most in (1, 2, 99))
    assert ids(one, "train") < ids(two, "train") < ids(all_, "train") == ids(read(birds), "train")
    assert sorted(s.label for s in one.split("train")) == [0, 1, 2] and ids(one, "test") == ids(all_, "test")
    assert open_set(f"{birds}@2", shared, "report", 2).name == f"{birds.name}@2"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("boards4@few",), "boards4@few: 'few' after the @ is no number of training images a class"),
        (("boards5",), "boards5 is neither one of imagenette224, .* nor a path"),
        (("wbc3",), "there is no .*wbc3; name the folder that has data/real/wbc3 with --shared"),
        (("boards4", "boards4"), "two sets have the same name"),
        (("boards4", "--folds", "9"), "has 4 training images, too few for 9 folds"),
        (("boards4", "--seeds", "0"), "--seeds is 0"),
    ],
)
def test_a_wrong_call_says_why(
    printed: Printed, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture, arguments: tuple, message: str
):
    with pytest.raises(SystemExit):
        printed("real_images", *arguments, "--shared", shared, "--work", tmp_path)
    assert re.search(message, capsys.readouterr().err)


def ids(data: DataSet, split: str) -> set[str]:
    return {sample.id for sample in data.split(split)}


def test_folds_test_every_training_image_once_and_no_other(modules, birds: Path):
    data = read(birds)
    folds = modules("real_sets").folded(data, 3)
    assert sorted(s.id for fold in folds for s in fold.split("test")) == sorted(ids(data, "train"))
    for fold in folds:
        assert ids(fold, "train") == ids(data, "train") - ids(fold, "test")
        assert {s.label for s in fold.split("test")} == {0, 1, 2}
    assert [ids(fold, "test") for fold in modules("real_sets").folded(data, 3)] == [ids(f, "test") for f in folds]


def test_the_halves_share_no_test_image(modules, birds: Path):
    data = read(birds)
    data = replace(data, samples=tuple(replace(s, split="test") if s.id[-5] in "12" else s for s in data.samples))
    a, b = (modules("real_sets").halved(data, side) for side in ("choose", "report"))
    assert ids(a, "train") == ids(b, "train") == ids(data, "train")
    assert ids(a, "test") | ids(b, "test") == ids(data, "test") and not ids(a, "test") & ids(b, "test")


@pytest.mark.parametrize("place", ["", "manifest.csv"])
def test_a_path_to_a_known_set_is_that_set(modules, shared: Path, place: str):
    path = shared / "data" / "real" / "boards4" / place
    found = modules("real_sets").open_set(str(path), shared, "choose", 2)
    assert found.name == "boards4" and len(found.parts) == 2
    tested = {sample.id for _, sample in found.tested}
    assert tested == {s.id for s in read(path).split("train")}


def test_recall_and_ap50_of_several_objects(modules, birds: Path):
    """Two boxes in an image, of which one is found, and one box too many: recall a half, precision up to it 1."""
    data = read(birds)
    sample = data.split("test")[0]
    boxes = {sample.id: np.array([[0.0, 0, 20, 20], [30, 30, 60, 60]])}
    data = replace(data, samples=(sample,), ground_truth=replace(data.ground_truth, boxes=boxes))
    real = modules("real_sets").RealSet("birds", (data,))
    assert real.has_several and real.objects == 2
    of = modules("real_objects").object_metrics
    found = {sample.id: [[0, 0, 20, 18, 0.9], [40, 0, 60, 20, 0.5]]}
    assert of(real, [found]) == {"recall": 0.5, "ap50": pytest.approx(51 / 101)}
    assert of(real, [{sample.id: [*found[sample.id], [30, 30, 60, 60, 0.95]]}]) == {"recall": 1, "ap50": 1}
    assert of(real, [{}]) == {"recall": 0, "ap50": 0}


def test_the_best_centered_box(modules, birds: Path):
    data = read(birds)
    samples = data.split("test")[:4]
    box = {True: [16.0, 16, 48, 48], False: [0.0, 0, 6, 6]}
    boxes = {s.id: np.array([box[k < 3]]) for k, s in enumerate(samples)}
    data = replace(data, samples=samples, ground_truth=replace(data.ground_truth, boxes=boxes))
    share, side = modules("real_sets").best_centered(modules("real_sets").RealSet("birds", (data,)))
    assert share == 0.75 and 0.35 <= side <= 0.5  # of 64 px


def test_no_training_depends_on_the_packages_that_its_key_leaves_out(modules):
    left_out = "|".join(modules("real_runs").UNTRAINED)
    trained_by = [ROOT / "src" / "hclnet" / name for name in ("backbones", "methods", "maps", "training", "data")]
    for folder in (*trained_by, ROOT / "runtime" / "src" / "hclnet_runtime" / "data"):
        for path in folder.rglob("*.py"):
            assert not re.search(rf"^\s*(from|import) hclnet(_runtime)?\.({left_out})\b", path.read_text(), re.M), path
