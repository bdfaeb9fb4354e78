"""Ground-truth boxes and masks of a wrong unit or shape are refused, or asked about, wherever a metric is made."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from hclnet import read
from hclnet.data.check import examine
from hclnet.data.masks import check_ground_truth, read_gray
from hclnet.metrics.masks import read_mask
from hclnet.types import GroundTruth, MaskFiles, Sample
from hclnet.workflows.calibrate import calibrate
from hclnet.workflows.compare import compare
from hclnet.workflows.evaluate import evaluate
from hclnet.workflows.score import score


@pytest.fixture
def data(birds: Path, tmp_path: Path) -> Path:
    return shutil.copytree(birds, tmp_path / "data")


def with_boxes(data: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """CUB's boxes are x, y, width, height."""
    lines = [line.split() for line in (data / "bounding_boxes.txt").read_text().splitlines()]
    rows = [" ".join([name, *map(repr, change(np.array(box, float)).tolist())]) for name, *box in lines]
    (data / "bounding_boxes.txt").write_text("\n".join(rows) + "\n")


def verbs(data: Path, run: Path, out: Path) -> dict[str, Callable[[], object]]:
    np.savez(out / "maps.npz", **{s.id: np.eye(8) for s in read(data).split("test")})
    return {
        "evaluate": lambda: evaluate(run, data, out=out / "scored", report=False),
        "wsoleval": lambda: evaluate(run, data, out=out / "scored", report=False, protocol="wsoleval"),
        "calibrate": lambda: calibrate(run, data, split="test"),
        "score": lambda: score(out / "maps.npz", data, map_size=32),
        "compare": lambda: compare(data, ["cam"], out / "compared", report=False, size=64, epochs=1),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda box: box / 128, "are within 0 and 1"),
        (lambda box: box * [1, 1, 0, 1], "have no area"),
        (lambda box: box * [np.nan, 1, 1, 1], "are not finite"),
        (lambda box: np.add(box, [500, 0, 0, 0]), "are outside of their image"),
    ],
)
def test_boxes_of_a_wrong_unit_or_shape(data: Path, trained: Path, tmp_path: Path, change: Callable, message: str):
    with_boxes(data, change)
    before = {p: p.read_bytes() for p in (trained / "localizer").iterdir()}
    for verb in verbs(data, trained, tmp_path).values():
        with pytest.raises(ValueError, match=message):
            verb()
    assert not (tmp_path / "compared" / "runs").exists()  # not after a training
    assert before == {p: p.read_bytes() for p in (trained / "localizer").iterdir()}


def test_what_may_be_right_is_told(data: Path, trained: Path, tmp_path: Path):
    with_boxes(data, lambda box: np.add(box, [0, 0, 40, 0]))
    logged: list[str] = []
    evaluate(trained, data, out=tmp_path / "scored", report=False, log=logged.append)
    assert any("outside of the image" in line for line in logged)
    np.savez(tmp_path / "maps.npz", **{s.id: np.eye(8) for s in read(data).split("test")})
    logged.clear()
    score(tmp_path / "maps.npz", data, map_size=32, log=logged.append)
    assert len(logged) == 1 and "outside of the image" in logged[0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.eye(50, 80) * 255,
            r"1 of 6 masks can't be used: mask .* is 80 x 50, another shape than that of the image",
        ),
        (np.zeros((64, 64)), r"\.png is empty: nothing in it is bright"),
        (np.tri(64) + 254 * np.eye(64), "has the values 0, 1 and 255; 255 seems to mark pixels to ignore"),
    ],
)
def test_masks_of_a_wrong_shape_or_unit(data: Path, trained: Path, tmp_path: Path, values: np.ndarray, message: str):
    dataset = read(data)
    Image.fromarray(values.astype(np.uint8)).save(dataset.ground_truth.masks[dataset.split("test")[0].id].foreground[0])
    every = verbs(data, trained, tmp_path)
    for name in ("evaluate", "wsoleval", "score"):
        with pytest.raises(ValueError, match=message):
            every[name]()
    assert len(examine(read(data)).masks) == 1


@pytest.mark.parametrize(
    ("kind", "high"),
    [(np.uint8, 1), (np.uint8, 255), (np.uint16, 1), (np.uint16, 300), (np.uint16, 65535), (np.int32, 10**6),
     (np.float32, 0.4), (np.float32, 1), (np.float32, 255)],
)  # fmt: skip
def test_masks_are_bright_where_they_hold_whatever_their_unit(tmp_path: Path, kind: type, high: float):
    held = np.zeros((50, 60), bool)
    held[4, 7] = True  # less than a thousandth
    values = (held * high).astype(kind)
    if kind is np.float32:
        values[0, 0] = np.nan
    Image.fromarray(values).save(tmp_path / "m.tif")
    assert np.array_equal(read_gray(tmp_path / "m.tif") > 0, held)
    foreground, _ = read_mask(MaskFiles((tmp_path / "m.tif",)), 120, 0.5, cv2.INTER_NEAREST)
    assert np.array_equal(foreground, cv2.resize(held.astype(np.uint8), (120, 120), interpolation=0) > 0)


def test_an_object_smaller_than_a_pixel_of_the_map_is_no_empty_mask(tmp_path: Path):
    dot = np.zeros((100, 100), np.uint8)
    dot[51, 51] = 255
    Image.fromarray(dot).save(tmp_path / "m.png")
    assert not read_mask(MaskFiles((tmp_path / "m.png",)), 10, 0.5, cv2.INTER_NEAREST)[0].any()


def test_of_several_files_one_may_be_empty(tmp_path: Path):
    for name, value in (("a", 0), ("b", 255)):
        Image.new("L", (9, 9), value).save(tmp_path / f"{name}.png")
    files = MaskFiles((tmp_path / "a.png", tmp_path / "b.png"))
    assert read_mask(files, 9, 0.5, cv2.INTER_NEAREST)[0].all()


def test_masks_of_any_size_are_fine(tmp_path: Path):
    Image.new("L", (133, 100), 255).save(tmp_path / "m.png")
    samples = [Sample("x", Path("x"), 0, "test"), Sample("y", Path("y"), 0, "test")]
    ground_truth = GroundTruth(
        masks={"x": MaskFiles((tmp_path / "m.png",), tmp_path / "gone.png")}
    )  # that is logged where it is read
    check_ground_truth(ground_truth, samples, np.array([[400, 300], [9, 9]]))
