"""wsolevaluation's lists: beside the images, apart from them and without them, and what is said of malformed ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from hclnet.data import describe, read
from hclnet.data.check import examine
from hclnet.types import MaskFiles

CUB = {
    "train/image_ids.txt": "001.Red_bird/a.jpg\n002.Blue_bird/b.jpg\n",
    "train/class_labels.txt": "001.Red_bird/a.jpg,0\n002.Blue_bird/b.jpg,1\n",
    "val/image_ids.txt": "002.Blue_bird/33.jpg\n",
    "val/class_labels.txt": "002.Blue_bird/33.jpg,1\n",
    "val/image_sizes.txt": "002.Blue_bird/33.jpg,8,6\n",
    "val/localization.txt": "002.Blue_bird/33.jpg,1,1,5,5\n",
    "test/image_ids.txt": "001.Red_bird/c.jpg\n002.Blue_bird/d, e.jpg\n",
    "test/class_labels.txt": "001.Red_bird/c.jpg,0\n002.Blue_bird/d, e.jpg,1\n",
    "test/image_sizes.txt": "001.Red_bird/c.jpg,8,6\n002.Blue_bird/d, e.jpg,16,12\n",
    "test/localization.txt": "001.Red_bird/c.jpg,0,0,4,4\n001.Red_bird/c.jpg,4,3,8,6\n002.Blue_bird/d, e.jpg,2,2,9,9\n",
}
OPEN_IMAGES = {
    "test/image_ids.txt": "test/0bt/1.jpg\ntest/0c/2.jpg\n",
    "test/class_labels.txt": "test/0bt/1.jpg,0\ntest/0c/2.jpg,1\n",
    "test/localization.txt": (
        "test/0bt/1.jpg,test/0bt/1_m_a.png,test/0bt/1_ignore.png\ntest/0bt/1.jpg,test/0bt/1_m_b.png,\n"
        "test/0c/2.jpg,test/0c/2_m_a.png,\n"
    ),
}


def write_lists(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def write_images(folder: Path, files: dict[str, str]) -> Path:
    names = [line for name, text in files.items() if "image_ids" in name for line in text.splitlines()]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(folder / name)
    return folder


def test_as_wsolevaluation_has_them(tmp_path: Path):
    lists = write_lists(tmp_path / "metadata" / "CUB", CUB)
    images = write_images(tmp_path / "dataset" / "CUB", CUB)
    dataset = read(lists)
    assert dataset.kind == "wsolevaluation lists" and dataset.classes == ("Red bird", "Blue bird")
    assert dataset.counts() == {"train": 2, "val": 1, "test": 2} and not dataset.notes
    assert [(s.id, s.label) for s in dataset.split("test")] == [
        ("001.Red_bird/c.jpg", 0),
        ("002.Blue_bird/d, e.jpg", 1),
    ]
    assert all(s.path == images / s.id and s.path.is_file() for s in dataset.samples)
    boxes = {key: box.tolist() for key, box in dataset.ground_truth.boxes.items()}
    assert boxes["001.Red_bird/c.jpg"] == [[0, 0, 4, 4], [4, 3, 8, 6]] and len(boxes) == 3
    assert dataset.ground_truth.sizes["002.Blue_bird/d, e.jpg"] == (16, 12) and len(dataset.ground_truth.sizes) == 3
    # The boxes were drawn in a picture of twice the size of the image.
    assert dataset.ground_truth.boxes_in("002.Blue_bird/d, e.jpg", (8, 6)).tolist() == [[1, 1, 4.5, 4.5]]
    assert not examine(dataset).boxes


@pytest.mark.parametrize(("lists", "images"), [("", ""), ("", "images"), ("metadata", ""), ("metadata", "images")])
def test_beside_the_images(tmp_path: Path, lists: str, images: str):
    write_lists(tmp_path / lists, CUB)
    write_images(tmp_path / images, CUB)
    dataset = read(tmp_path)
    assert all(s.path.is_file() for s in dataset.samples) and len(dataset.samples) == 5


def test_from_the_folder_that_one_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_lists(tmp_path / "metadata" / "CUB", CUB)
    write_images(tmp_path / "dataset" / "CUB", CUB)
    monkeypatch.chdir(tmp_path / "metadata" / "CUB")
    assert all(s.path.is_file() for s in read(".").samples)


def test_one_split_alone_without_images(tmp_path: Path):
    lists = write_lists(tmp_path, CUB) / "test"
    dataset = read(lists)
    assert dataset.counts() == {"test": 2} and dataset.classes == ("Red bird", "Blue bird")
    (note,) = dataset.notes
    assert "no test image is in" in note and f"link them as {lists / 'images'}" in note
    assert dataset.samples[0].path == lists / "images" / "001.Red_bird/c.jpg"
    assert "2 test, 2 with boxes" in describe(dataset)
    lists.rename(tmp_path / "birds")
    assert read(tmp_path / "birds").counts() == {"test": 2}


def test_masks(tmp_path: Path):
    lists = write_lists(tmp_path / "metadata" / "OpenImages", OPEN_IMAGES)
    images = write_images(tmp_path / "dataset" / "OpenImages", OPEN_IMAGES)
    (images / "test/0bt/1_m_a.png").touch()
    dataset = read(lists)
    assert dataset.classes == ("0bt", "0c") and not dataset.ground_truth.boxes
    one = images / "test" / "0bt"
    assert dataset.ground_truth.masks == {
        "test/0bt/1.jpg": MaskFiles((one / "1_m_a.png", one / "1_m_b.png"), one / "1_ignore.png"),
        "test/0c/2.jpg": MaskFiles((images / "test/0c/2_m_a.png",)),
    }


def test_numbers_where_the_folders_tell_nothing(tmp_path: Path):
    files = {"image_ids.txt": "val/1.JPEG\nval/2.JPEG\n", "class_labels.txt": "val/1.JPEG,65\nval/2.JPEG,970\n"}
    dataset = read(write_lists(tmp_path, files))
    assert dataset.classes == ("65", "970") and [s.label for s in dataset.samples] == [0, 1]


def test_names_of_the_first_split_that_tells_them(tmp_path: Path):
    files = {
        "train/image_ids.txt": "train/n01/a.JPEG\ntrain/n02/b.JPEG\n",
        "train/class_labels.txt": "train/n01/a.JPEG,0\ntrain/n02/b.JPEG,1\n",
        "val/image_ids.txt": "val2/0/0.jpeg\nval2/1/0.jpeg\n",
        "val/class_labels.txt": "val2/0/0.jpeg,0\nval2/1/0.jpeg,1\n",
    }
    assert read(write_lists(tmp_path, files)).classes == ("n01", "n02")


def test_boxes_of_a_picture_of_another_shape(tmp_path: Path):
    write_lists(tmp_path, {**CUB, "test/image_sizes.txt": "001.Red_bird/c.jpg,6,8\n002.Blue_bird/d, e.jpg,16,12\n"})
    (fault,) = examine(read(write_images(tmp_path, CUB))).boxes
    assert fault.reason == "boxes are of a picture of 6 x 8, and the image has another shape: 8 x 6"


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text(text)


IDS, LABELS, BOXES = "test/image_ids.txt", "test/class_labels.txt", "test/localization.txt"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda root: (root / LABELS).unlink(),
            r"test looks like wsolevaluation lists, but class_labels\.txt is missing",
        ),
        (write(IDS, "\n"), r"image_ids\.txt is empty"),
        (write(IDS, "x/a.jpg\n"), r"class_labels\.txt has no line for x/a\.jpg, which image_ids\.txt names in line 1"),
        (
            write(IDS, CUB[IDS] + "001.Red_bird/c.jpg\n"),
            r"image_ids\.txt, line 3: 001\.Red_bird/c\.jpg is listed twice",
        ),
        (write(LABELS, "001.Red_bird/c.jpg 0\n"), r"class_labels\.txt, line 1: expected path,class number, found"),
        (write(LABELS, "001.Red_bird/c.jpg,-1\n"), r"line 1: the class must be a whole number from 0, found '-1'"),
        (write(LABELS, CUB[LABELS] + "001.Red_bird/c.jpg,1\n"), r"line 3: 001\.Red_bird/c\.jpg has class 0 above"),
        (write("test/image_sizes.txt", "a.jpg,8\n"), r"image_sizes\.txt, line 1: expected path,width,height"),
        (write("test/image_sizes.txt", "a.jpg,0,6\n"), r"line 1: width and height must be whole numbers from 1"),
        (write(BOXES, "\n\n001.Red_bird/c.jpg,1,2,3\n"), r"localization\.txt, line 3: expected path,x0,y0,x1,y1"),
        (write(BOXES, "001.Red_bird/c.jpg,1,2,3,four\n"), r"line 1: a box needs four numbers, found '1,2,3,four'"),
        (write(BOXES, "x/c.jpg,1,2,3,4\n"), r"line 1: x/c\.jpg is not in image_ids\.txt"),
        (write(BOXES, "001.Red_bird/c.jpg,m.png\n"), "line 1: expected path,mask,ignore mask or nothing"),
        (write(BOXES, "001.Red_bird/c.jpg,,i.png\n"), "line 1: there is no mask. An image has masks"),
        (
            write(BOXES, "001.Red_bird/c.jpg,a.png,i.png\n001.Red_bird/c.jpg,b.png,j.png\n"),
            "line 2: there is another ignore mask in a line above",
        ),
        (
            lambda root: (
                [write(f"test/{n}.txt", CUB[f"train/{n}.txt"])(root) for n in ("image_ids", "class_labels")]
                and (root / BOXES).unlink()
            ),
            r"001\.Red_bird/a\.jpg is in .*test/image_ids\.txt and in train/ too",
        ),
        (
            lambda root: (root / "val").rename(root / "holdout"),
            r"holdout has image_ids\.txt, but its name is not one of train, val or test",
        ),
        (lambda root: (root / "train").rename(root / "validation"), r"has val/ and validation/, which all mean 'val'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, spoil: Callable[[Path], object], message: str):
    write_images(write_lists(tmp_path, CUB), CUB)
    spoil(tmp_path)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_a_link_to_the_images(tmp_path: Path):
    images = write_images(tmp_path / "elsewhere", CUB)
    lists = write_lists(tmp_path / "lists", CUB)
    (lists / "images").symlink_to(images)
    assert all(s.path.is_file() for s in read(lists).samples)
