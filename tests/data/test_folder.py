"""Class folders: what counts as a class, an image and a split; and that splits depend on names and seed only."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from hclnet.data import describe, folder, read
from hclnet.types import DataSet


def fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), "teal").save(root / name, "PNG")
    return root


def many(label: str, count: int) -> list[str]:
    return [f"{label}/{k:03d}.png" for k in range(count)]


def splits(dataset: DataSet) -> dict[str, str]:
    return {s.id: s.split for s in dataset.samples}


def test_folders_of_train_and_test(tmp_path: Path):
    fill(tmp_path, "train/b/1.png", "train/a/1.png", "train/a/deep/er/2.png", "test/b/3.png", "val/a/4.png")
    dataset = read(tmp_path)
    assert dataset.kind == folder.KIND
    assert dataset.classes == ("a", "b")
    assert {(s.id, s.label, s.split) for s in dataset.samples} == {
        ("train/a/1.png", 0, "train"),
        ("train/a/deep/er/2.png", 0, "train"),
        ("train/b/1.png", 1, "train"),
        ("val/a/4.png", 0, "val"),
        ("test/b/3.png", 1, "test"),
    }
    assert all(s.path == tmp_path / s.id for s in dataset.samples)
    assert not dataset.ground_truth and not dataset.notes


@pytest.mark.parametrize(("name", "split"), [("Validation", "val"), ("valid", "val"), ("TEST", "test")])
def test_splits_have_several_names(tmp_path: Path, name: str, split: str):
    dataset = read(fill(tmp_path, "Training/a/1.png", "Training/b/1.png", f"{name}/a/2.png"))
    assert dataset.counts() == {"train": 2, split: 1}


def test_a_split_is_made_in_every_class_alike(tmp_path: Path):
    dataset = read(fill(tmp_path, *many("a", 20), *many("b", 10), *many("c", 2), *many("d", 1)))
    counts = Counter((dataset.classes[s.label], s.split) for s in dataset.samples)
    assert counts == {
        ("a", "train"): 16, ("a", "test"): 4, ("b", "train"): 8, ("b", "test"): 2,
        ("c", "train"): 1, ("c", "test"): 1, ("d", "train"): 1,
    }  # fmt: skip
    assert any("split at random, 80% to 20%, seed 0" in note for note in dataset.notes)


def test_the_made_split_is_a_function_of_seed_and_names(tmp_path: Path):
    one = fill(tmp_path / "one", *many("a", 30), *many("b", 30))
    other = fill(tmp_path / "other", *reversed(many("b", 30)), *many("a", 30), *many("c", 5))
    assert splits(read(one)) == splits(read(one))
    assert splits(read(one)).items() <= splits(read(other)).items()
    assert splits(read(one, seed=1)) != splits(read(one, seed=0))
    assert Counter(splits(read(one, seed=1)).values()) == Counter(splits(read(one)).values())


def test_a_class_may_be_called_train(tmp_path: Path):
    assert read(fill(tmp_path, *many("bus", 2), *many("train", 2))).classes == ("bus", "train")


def test_unlabeled_images_in_test_are_not_a_split(tmp_path: Path):
    dataset = read(fill(tmp_path, "train/a/1.png", "train/b/1.png", "test/1.png", "test/2.png"))
    assert dataset.counts() == {"train": 2}
    assert dataset.notes == ("2 files are not images of a class and are left out (2 .png in test/)",)


def test_odd_names(tmp_path: Path):
    names = ("a b/1 2.png", "ü日本/é.PNG", "new\nline/x\ny.png", "-dash/-x.png", "[x]/*.png", "50%/{0}.png")
    dataset = read(fill(tmp_path, *names))
    assert {s.id for s in dataset.samples} == set(names)
    assert set(dataset.classes) == {name.split("/")[0] for name in names}


@pytest.mark.skipif(os.name == "nt", reason="names are bytes on POSIX only")
def test_names_that_are_no_unicode(tmp_path: Path):
    for label in (b"caf\xe9", b"tea"):
        home = os.fsencode(tmp_path) + b"/" + label
        try:
            os.mkdir(home)  # noqa: PTH102, a name as bytes
        except OSError:
            pytest.skip("the file system takes unicode only")
        for k in range(5):
            Image.new("RGB", (4, 4)).save(os.fsdecode(home + b"/\xff%d.png" % k))
    dataset = read(tmp_path)
    assert dataset.counts() == {"train": 8, "test": 2}
    assert dataset.classes == (os.fsdecode(b"caf\xe9"), "tea")
    describe(dataset).encode()
    assert "Classes: caf\\udce9, tea" in describe(dataset)


def test_what_is_hidden_or_no_image_is_left_out_and_told(tmp_path: Path):
    fill(tmp_path, "a/1.png", "b/1.png", "a/.ipynb_checkpoints/1.png", ".git/x.png", "a/._1.png")
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / "README").write_text("x")
    (tmp_path / "a" / "folder.png").mkdir()
    (tmp_path / "empty").mkdir()
    dataset = read(tmp_path)
    assert {s.id for s in dataset.samples} == {"a/1.png", "b/1.png"}
    listing = "1 no suffix beside the folders, 1 .txt in a/"
    assert f"2 files are not images of a class and are left out ({listing})" in dataset.notes


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_are_followed_and_circles_end(tmp_path: Path):
    fill(tmp_path, "elsewhere/1.png", "data/b/1.png")
    data = tmp_path / "data"
    (data / "a").symlink_to(tmp_path / "elsewhere")
    (data / "b" / "round").symlink_to(data / "b")
    (data / "b" / "self.png").symlink_to("self.png")
    (data / "b" / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(data / "b" / "pipe.png")
    (data / "b" / "to_pipe.png").symlink_to("pipe.png")
    # A link to nothing is listed, so that whoever checks the images names it; a pipe would be waited for forever.
    assert {s.id for s in read(data).samples} == {"a/1.png", "b/1.png", "b/gone.png", "b/self.png"}


def test_two_folders_for_one_split(tmp_path: Path):
    fill(tmp_path, "train/a/1.png", "train/b/1.png", "val/a/1.png", "valid/a/1.png")
    with pytest.raises(ValueError, match="has val/ and valid/, which all mean 'val'"):
        read(tmp_path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path: Path):
    fill(tmp_path, "a/1.png", "b/1.png", "b/locked/1.png")
    (tmp_path / "b" / "locked").chmod(0)
    try:
        with pytest.raises(ValueError, match=r"locked can't be read: Permission denied"):
            read(tmp_path)
    finally:
        (tmp_path / "b" / "locked").chmod(0o700)
