"""Folders that are not classes: splits of other names, parts of other layouts, results of ours, what systems make."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from hclnet.data import describe, read
from hclnet.data.splits import could_be_class, looks_like_split


def fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), "teal").save(root / name, "PNG")
    return root


def write(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("{}")
    return root


LIKE_SPLITS = [
    "train2017", "val2017", "fold1", "fold_10", "Fold 3", "k-fold-2", "split_0", "testset", "Test Data", "TRAINING SET",
    "train_images", "images_train", "trn", "tst", "cv0", "cv_1", "unlabeled", "labelled",
    "trainval", "holdout", "hold-out", "held_out", "test-images-2", "trainA", "testB",
    "train-00000-of-00010", "subset2", "data_test", "imgs_val", "eval", "dev2", "validation set", "shard-01",
    "train_cropped", "private test",
]  # fmt: skip
NOT_LIKE_SPLITS = [
    "bus", "trains", "test tube", "evaluate", "splitrail", "images", "training shoe", "12", "devil", "foldable",
    "manifold", "detest", "contest", "valley", "traine", "latest", "photo", "data", "set", "",
]  # fmt: skip


@pytest.mark.parametrize("name", LIKE_SPLITS)
def test_names_like_splits(name: str):
    assert looks_like_split(name)


@pytest.mark.parametrize("name", NOT_LIKE_SPLITS)
def test_names_not_like_splits(name: str):
    assert not looks_like_split(name)


def test_one_word_could_be_a_class():
    assert could_be_class("Train") and could_be_class("fold") and not could_be_class("train2017")


@pytest.mark.parametrize(
    "names",
    [
        ("train2017", "val2017"),
        ("fold1", "fold2", "fold3"),
        ("train", "test"),  # images directly in them
        ("Training Set", "Test Set", "bus"),
        ("train2017", "bus"),
        ("train", "tram", "test"),
        ("testset",),
    ],
)
def test_folders_that_look_like_splits_are_refused_unless_they_are_said_to_be_classes(
    tmp_path: Path, names: tuple[str, ...]
):
    fill(tmp_path, *(f"{name}/{k}.png" for name in names for k in range(2)))
    with pytest.raises(ValueError, match=r"looks? like splits, not classes\. .* named train/, val/.*--as-classes"):
        read(tmp_path)
    assert read(tmp_path, as_classes=True).classes == tuple(sorted(names))


@pytest.mark.parametrize("names", [("bus", "train"), ("test", "tram", "bus"), ("fold", "crease"), ("dev", "ops")])
def test_one_word_beside_others_is_a_class(tmp_path: Path, names: tuple[str, ...]):
    assert set(read(fill(tmp_path, *(f"{name}/1.png" for name in names))).classes) == set(names)


@pytest.mark.parametrize("name", ["train2017", "fold1", "test_images"])
def test_splits_of_other_names_with_classes_in_them(tmp_path: Path, name: str):
    fill(tmp_path, f"{name}/a/1.png", f"{name}/b/1.png", "val_2/a/1.png")
    with pytest.raises(ValueError, match="like splits, not classes"):
        read(tmp_path)
    (tmp_path / "val_2").rename(tmp_path / "train")
    with pytest.raises(ValueError, match=rf"{name} looks like a split, but its name is not one of train"):
        read(tmp_path)


def test_dev_is_val(tmp_path: Path):
    dataset = read(fill(tmp_path, "train/a/1.png", "train/b/1.png", "dev/a/2.png", "Development2/x.txt"))
    assert dataset.counts() == {"train": 2, "val": 1} and dataset.notes[0] == "dev/ is used as val"


def test_what_is_not_used_is_said_by_name(tmp_path: Path):
    fill(tmp_path, "train/a/1.png", "train/b/1.png", "extra/1.png", "extra/c/2.png", "test/3.png", "4.png")
    (note,) = read(tmp_path).notes
    listing = "2 .png in extra/, 1 .png beside the folders, 1 .png in test/"
    assert note == f"4 files are not images of a class and are left out ({listing})"


def test_held_out_folders_beside_others(tmp_path: Path):
    fill(tmp_path, "test/a/1.png", "test/b/1.png", "bus/1.png")
    with pytest.raises(ValueError, match=r"has test/, bus/: are these splits or classes\? .*--as-classes"):
        read(tmp_path)
    assert read(tmp_path, as_classes=True).classes == ("bus", "test")


@pytest.mark.parametrize(
    "files",
    [
        ("images/1.png", "labels/1.txt"),
        ("train/images/1.png", "train/labels/1.txt", "val/images/2.png", "val/labels/2.txt"),
        ("images/train/1.png", "labels/train/1.txt"),
        ("JPEGImages/1.png", "SegmentationClass/1.png", "Annotations/1.xml"),
        ("images/1.png", "masks/1.png"),
    ],
    ids=lambda files: files[0] + " " + files[-1],
)
def test_data_for_detection_and_segmentation(tmp_path: Path, files: tuple[str, ...]):
    fill(tmp_path, *(f for f in files if f.endswith(".png")))
    write(tmp_path, *(f for f in files if not f.endswith(".png")))
    with pytest.raises(ValueError) as error:
        read(tmp_path)
    said = str(error.value)
    assert "manifest" in said and ("By " in said) == any(not f.endswith(".png") for f in files)


@pytest.mark.parametrize("names", ["masks no-masks", "labels bottles", "images texts", "data noise"])
def test_such_names_beside_others_are_classes(tmp_path: Path, names: str):
    folders = names.split()
    assert read(fill(tmp_path, *(f"{name}/1.png" for name in folders))).classes == tuple(sorted(folders))


def test_a_table_may_be_a_manifest(tmp_path: Path):
    write(tmp_path, "train.csv")
    with pytest.raises(ValueError, match=r"If train\.csv is a manifest, give the file itself as DATA\."):
        read(tmp_path)


RESULTS = [("located.jsonl",), ("boxes.json", "coco.json"), ("config.yaml", "localizer/localizer.json")]


@pytest.mark.parametrize("results", RESULTS, ids=" ".join)
@pytest.mark.parametrize("where", ["{}", "train/{}", "a/{}", "runs/deep/{}"])
def test_our_own_results_are_no_class(tmp_path: Path, results: tuple[str, ...], where: str):
    split = "train/" if where.startswith("train") else ""
    fill(tmp_path, f"{split}a/1.png", f"{split}b/1.png")
    own = where.format("located")
    fill(tmp_path, f"{own}/overlays/a/1.png", f"{own}/masks/1.png")
    write(tmp_path, *(f"{own}/{name}" for name in results))
    dataset = read(tmp_path)
    assert dataset.classes == ("a", "b") and len(dataset.samples) == 2
    assert f"left out: {own}/ (results of hclnet)" in dataset.notes and "results of hclnet" in describe(dataset)


def test_results_that_were_written_beside_the_classes(tmp_path: Path):
    fill(tmp_path, "a/1.png", "b/1.png", "overlays/1.png", "masks/1-1.png")
    write(tmp_path, "boxes.json", "coco.json")
    dataset = read(tmp_path)
    assert dataset.classes == ("a", "b")
    assert "left out: masks/ (results of hclnet), overlays/ (results of hclnet)" in dataset.notes


@pytest.mark.parametrize("name", ["@eaDir", "$RECYCLE.BIN", "lost+found", "System Volume Information", "__MACOSX"])
def test_what_systems_make_is_no_class(tmp_path: Path, name: str):
    dataset = read(fill(tmp_path, "a/1.png", "b/1.png", f"{name}/1.png", f"b/{name}/1.png"))
    assert dataset.classes == ("a", "b") and len(dataset.samples) == 2
    both = sorted([tmp_path / name, tmp_path / "b" / name])
    listing = ", ".join(f"{p.relative_to(tmp_path)}/ (of the system)" for p in both)
    assert f"left out: {listing}" in dataset.notes


@pytest.mark.parametrize("name", ["@eaDir", "__MACOSX", "#recycle"])
def test_nor_a_class_of_the_open_images(tmp_path: Path, name: str):
    fill(
        tmp_path,
        "train/0c/1.jpg",
        "test/0c/2.jpg",
        "test/0c/2_m0c_1.png",
        f"test/0c/{name}/x.jpg",
    )
    dataset = read(tmp_path)
    assert dataset.kind.startswith("OpenImages") and dataset.classes == ("0c",) and len(dataset.samples) == 2
    assert dataset.notes == (f"left out: test/0c/{name}/ (of the system)",)


def test_one_class_has_its_images_directly_in_it(tmp_path: Path):
    assert read(fill(tmp_path / "one", "fox/1.png", "fox/deep/2.png")).classes == ("fox",)
    fill(tmp_path / "high", "photos/fox/1.png")
    with pytest.raises(ValueError, match=r"Do you mean .*photos\?"):
        read(tmp_path / "high")


def test_as_classes_is_for_folders(tmp_path: Path):
    write(tmp_path, "photos.csv")
    with pytest.raises(ValueError, match=r"photos\.csv is not a folder: --as-classes is for folders of classes"):
        read(tmp_path / "photos.csv", as_classes=True)
