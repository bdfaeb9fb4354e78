"""The CUB layout: read as it was written, and every malformed line named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hclnet.data import read
from hclnet.types import MaskFiles

FILES = {
    "images.txt": "1 001.Red_bird/one.jpg\n2 001.Red_bird/two words.jpg\n3 010.Blue_bird/three.png\n",
    "classes.txt": "1 001.Red_bird\n2 010.Blue_bird\n",
    "image_class_labels.txt": "1 1\n2 1\n3 2\n",
    "train_test_split.txt": "1 1\n2 0\n3 1\n",
    "bounding_boxes.txt": "1 1.0 2.0 3.0 4.5\n2 0 0 8 6\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    for line in FILES["images.txt"].splitlines():
        path = tmp_path / "images" / line.split(maxsplit=1)[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(path)
    mask = tmp_path / "segmentations" / "001.Red_bird" / "one.png"
    mask.parent.mkdir(parents=True)
    Image.new("L", (8, 6)).save(mask)
    return tmp_path


def test_read(root: Path):
    dataset = read(root, seed=3)
    assert dataset.classes == ("Red bird", "Blue bird")
    assert [(s.id, s.label, s.split) for s in dataset.samples] == [
        ("001.Red_bird/one", 0, "train"),
        ("001.Red_bird/two words", 0, "test"),
        ("010.Blue_bird/three", 1, "train"),
    ]
    assert all(s.path.is_file() for s in dataset.samples)
    assert {k: v.tolist() for k, v in dataset.ground_truth.boxes.items()} == {
        "001.Red_bird/one": [[1, 2, 4, 6.5]],  # x, y, width, height -> x0, y0, x1, y1
        "001.Red_bird/two words": [[0, 0, 8, 6]],
    }
    assert dataset.ground_truth.boxes["001.Red_bird/one"].dtype == np.float64
    assert dataset.ground_truth.masks == {"001.Red_bird/one": MaskFiles((root / "segmentations/001.Red_bird/one.png",))}


def test_a_byte_order_mark_blank_lines_and_windows_line_ends(root: Path):
    before = read(root)
    for name, text in FILES.items():
        (root / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n\r\n").encode())
    after = read(root)
    assert after.samples == before.samples and after.classes == before.classes
    assert {k: v.tolist() for k, v in after.ground_truth.boxes.items()} == {
        k: v.tolist() for k, v in before.ground_truth.boxes.items()
    }


def test_numbers_may_have_leading_zeros(root: Path):
    (root / "image_class_labels.txt").write_text("0001 01\n0002 1\n3 002\n")
    assert [s.label for s in read(root).samples] == [0, 0, 1]


def test_class_numbers_that_make_the_difference_stay(root: Path):
    (root / "classes.txt").write_text("1 001.Red_bird\n2 010.Red bird\n")
    assert read(root).classes == ("001.Red_bird", "010.Red bird")


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text(text)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "classes.txt").unlink(), r"classes\.txt is missing"),
        (write("bounding_boxes.txt", "1 1 2 3\n"), r"bounding_boxes\.txt, line 1: expected .* 4 value"),
        (write("bounding_boxes.txt", "\n1 1 2 3 wide\n"), r"bounding_boxes\.txt, line 2: .*'1 1 2 3 wide'"),
        (write("bounding_boxes.txt", "1 1 2 3 4\n1 5 6 7 8\n"), r"line 2: there is already a line for 1"),
        (write("train_test_split.txt", "1 1\n2 0\n"), r"train_test_split\.txt has no line for image 3 \(010"),
        (write("image_class_labels.txt", "1 1\n2 1\n"), r"image_class_labels\.txt has no line for image 3"),
        (write("image_class_labels.txt", "1 1\n2 1\n3 7\n"), r"gives image 3 class 7; classes\.txt does not have it"),
        (write("classes.txt", "one 001.Red\n"), r"classes\.txt, line 1: expected a number"),
        (lambda root: (root / "images.txt").write_bytes(b"1 caf\xe9.jpg\n"), r"images\.txt is not text in UTF-8"),
        (write("images.txt", "1 a/x.jpg\n2 a/x.png\n"), r"names a/x twice, as x\.jpg and x\.png"),
    ],
)
def test_what_is_wrong_is_named(root: Path, spoil: Callable[[Path], object], message: str):
    for name in ("x.jpg", "x.png"):
        (root / "images" / "a").mkdir(exist_ok=True)
        Image.new("RGB", (8, 6)).save(root / "images" / "a" / name)
    spoil(root)
    with pytest.raises(ValueError, match=message):
        read(root)
