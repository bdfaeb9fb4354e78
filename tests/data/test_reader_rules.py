"""What is good enough to be scored on, and what to be trained on, is the same in every layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import layouts
from hclnet.data import as_trained, describe, find_split, for_training, ilsvrc, read
from hclnet.types import DataSet, Sample
from hclnet.workflows.compare import compare
from hclnet.workflows.train import train

Layout = Callable[[DataSet, Path], Path]
NAMES = [make.__name__ for make in layouts.LAYOUTS]


def written(make: Layout, data: DataSet, root: Path) -> DataSet:
    """A data set in a layout, read again; of CUB-200-2011 those lines that it needs."""
    path = make(data, root)
    if make is layouts.cub:
        lines = (path / "images.txt").read_text().splitlines()
        kept = [line for line in lines if line.split()[1].rpartition(".")[0] in {s.id for s in data.samples}]
        (path / "images.txt").write_text("\n".join(kept))
    return read(path)


def part(data: DataSet, keep: Callable[[Sample], bool]) -> DataSet:
    return replace(data, samples=tuple(filter(keep, data.samples)))


@pytest.fixture(params=layouts.LAYOUTS, ids=NAMES)
def make(request: pytest.FixtureRequest) -> Layout:
    return request.param


@pytest.fixture(scope="module")
def data(birds: Path) -> DataSet:
    return read(birds)


def test_one_class_is_enough_to_score_on(make: Layout, data: DataSet, tmp_path: Path):
    dataset = written(make, part(data, lambda s: s.label == 0), tmp_path)
    assert len({s.label for s in dataset.samples}) == 1 and len(dataset.split("train")) == 4
    with pytest.raises(ValueError, match=r"training images of one class only, .*, and training needs two"):
        for_training(dataset)


def test_classes_without_training_images(make: Layout, data: DataSet, tmp_path: Path):
    dataset = written(make, part(data, lambda s: s.label != 2 or s.split == "test"), tmp_path)
    assert len(dataset.classes) == 3 and len(dataset.split(find_split(dataset, "test"))) == 6
    if dataset.kind == ilsvrc.KIND:  # of which people have a part
        trained = for_training(dataset)
        assert len(trained.classes) == 2 and trained.counts() == {"train": 8, "val": 4}
        assert trained.notes[-1] == "2 images in val/ are left out, because train/ has no image of their classes"
        assert as_trained(dataset) == trained
    else:
        with pytest.raises(ValueError, match=r"has no training image of '.*' \(2 test"):
            for_training(dataset)
        assert as_trained(dataset) is dataset


def test_without_training_images_at_all(make: Layout, data: DataSet, tmp_path: Path):
    dataset = written(make, part(data, lambda s: s.split == "test"), tmp_path)
    assert len(dataset.classes) == 3 and sum(dataset.counts().values()) == 6
    with pytest.raises(ValueError, match=r"has no training images, only (test|val) \(6\)\. You can score on it"):
        for_training(dataset)


def test_what_is_good_to_train_on_is_left_as_it_is(make: Layout, data: DataSet, tmp_path: Path):
    dataset = written(make, data, tmp_path)
    assert for_training(dataset) is dataset


def test_splits_by_any_of_their_names(make: Layout, data: DataSet, tmp_path: Path):
    dataset = written(make, data, tmp_path)
    test = find_split(dataset, "test")
    assert find_split(dataset, "testing") == test and find_split(dataset, "Training") == "train"
    with pytest.raises(ValueError, match=rf"has no split 'holdout'; it has train \(12\), {test} \(6\)\. Name one"):
        dataset.split(find_split(dataset, "holdout"))


@pytest.mark.parametrize(
    "text",
    ["path,label,split\na.png,a,dev\nb.png,b,train\n", "path,label,split\na.png,a,Validation\nb.png,b,training\n"],
)
def test_dev_is_val(tmp_path: Path, text: str):
    for name in "ab":
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
    (tmp_path / "manifest.csv").write_text(text)
    assert read(tmp_path).counts() == {"train": 1, "val": 1}


def empty_cub(root: Path) -> None:
    for name in ("images", "image_class_labels", "classes", "train_test_split", "bounding_boxes"):
        (root / f"{name}.txt").touch()


def empty_ilsvrc(root: Path) -> None:
    for name in ("val/n01440764", "val/n01443537", "train/n01440764"):
        (root / name).mkdir(parents=True)


def empty_open_images(root: Path) -> None:
    (root / "masks/test/0c").mkdir(parents=True)
    (root / "masks/test/0c/1_m0c_1.png").touch()


def empty_lists(root: Path) -> None:
    (root / "image_ids.txt").touch()
    (root / "class_labels.txt").touch()


def empty_folders(root: Path) -> None:
    (root / "train/a").mkdir(parents=True)


@pytest.mark.parametrize(
    "write",
    [empty_cub, empty_ilsvrc, empty_open_images, empty_lists, empty_folders],
    ids=lambda write: write.__name__,
)
def test_no_image(tmp_path: Path, write: Callable[[Path], None]):
    write(tmp_path)
    with pytest.raises(
        ValueError, match=r"has no image|is empty: it needs|not a data set that hclnet knows|not in test/"
    ):
        read(tmp_path)


def test_one_file_in_two_splits_or_classes(tmp_path: Path):
    for name in ("train/a", "train/b"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name / "1.png")
    (tmp_path / "test").symlink_to("train")
    with pytest.raises(
        ValueError, match=r"test/a/1\.png is the same file as .*train/a/1\.png, with the split train there"
    ):
        read(tmp_path)
    (tmp_path / "test").unlink()
    (tmp_path / "train/c").symlink_to("b")
    with pytest.raises(
        ValueError, match=r"train/c/1\.png is the same file as .*b/1\.png, with the class b there and c here"
    ):
        read(tmp_path)


def test_numbers_as_classes_are_in_one_order(tmp_path: Path, data: DataSet):
    numbered = replace(data, classes=("9", "10", "100"))
    for make in (layouts.manifest, layouts.folders):
        assert read(make(numbered, tmp_path / make.__name__)).classes == ("9", "10", "100")


BOXES = [("0.2", "0.2", "0.6", "0.7"), ("0", "0", "1", "1"), ("0.1", "0.5", "0.9", "0.95")]


@pytest.mark.parametrize("box", BOXES, ids=" ".join)
@pytest.mark.parametrize("make", [layouts.manifest, layouts.lists], ids=["manifest", "lists"])
def test_boxes_of_another_unit_are_told_of_when_they_are_read(
    make: Layout, box: tuple[str, ...], data: DataSet, tmp_path: Path
):
    boxes = {name: np.array([[float(v) for v in box]]) for name in data.ground_truth.boxes}
    dataset = written(make, replace(data, ground_truth=replace(data.ground_truth, boxes=boxes)), tmp_path)
    (note,) = dataset.notes
    assert note.startswith("the boxes can't be used for scoring: 18 of 18 ground-truth boxes are within 0 and 1: ")
    assert note in describe(dataset)


def test_a_training_is_refused_before_anything_is_written(tmp_path: Path, data: DataSet):
    path = layouts.folders(part(data, lambda s: s.label == 1), tmp_path)
    for begin in (lambda out: train(path, out), lambda out: compare(path, ["cam"], out)):
        with pytest.raises(ValueError, match="training images of one class only"):
            begin(tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_the_summary_names_the_classes(tmp_path: Path):
    for k in range(14):
        (tmp_path / f"kind\n{k}").mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / f"kind\n{k}" / "1.png")
    first = describe(read(tmp_path)).splitlines()[0]
    assert first.endswith(r", kind\n2, kind\n3, kind\n4, kind\n5, kind\n6, kind\n7 and 2 more")
    assert ": class folders, 14 classes, 14 train, no boxes. Classes: " in first
