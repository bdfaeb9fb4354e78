"""Broken images are found up front, named, and left out without moving the others."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from hclnet.data import broken, read
from hclnet.data.broken import find_broken, inspect_images, without_broken
from hclnet.types import DataSet


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HCLNET_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten whole images in two classes; of each class two broken ones."""
    for label in ("a", "b"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for k in range(10):
            Image.new("RGB", (40, 30), (k * 20, 0, 0)).save(tmp_path / "data" / label / f"{k}.jpg")
        (tmp_path / "data" / label / "3.jpg").write_bytes(b"")
        whole = tmp_path / "data" / label / "5.jpg"
        whole.write_bytes(whole.read_bytes()[:-200])
    return tmp_path / "data"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were decoded, by this process."""
    names: list[str] = []

    def counted(path: Path, at_least: int | None = None) -> Image.Image:
        names.append(f"{path.parent.name}/{path.name}")
        return open_image(path, at_least)

    open_image = broken.open_image
    monkeypatch.setattr(broken, "open_image", counted)
    return names


def ids(dataset: DataSet) -> dict[str, tuple[int, str]]:
    return {s.id: (s.label, s.split) for s in dataset.samples}


def test_found_in_order_with_their_reasons(root: Path):
    seen: list[tuple[int, int]] = []
    found = find_broken(read(root).samples, lambda done, total: seen.append((done, total)))
    assert [f.sample.id for f in found] == ["a/3.jpg", "a/5.jpg", "b/3.jpg", "b/5.jpg"]
    assert "3.jpg is empty (0 bytes)" in found[0].reason and "5.jpg can't be decoded: " in found[1].reason
    assert seen == [(k, 20) for k in range(1, 21)]


def test_what_is_whole_is_not_decoded_again(root: Path, opened: list[str]):
    samples = read(root).samples
    find_broken(samples, seconds=0)
    assert len(opened) == 20
    opened.clear()
    assert len(find_broken(samples, seconds=0)) == 4
    assert sorted(opened) == ["a/3.jpg", "a/5.jpg", "b/3.jpg", "b/5.jpg"]  # these may have been mended
    opened.clear()
    changed = root / "a" / "0.jpg"
    changed.write_bytes(changed.read_bytes()[:-100])
    assert len(find_broken(samples, seconds=0)) == 5 and "a/0.jpg" in opened


def test_a_file_that_was_mended(root: Path):
    Image.new("RGB", (40, 30)).save(root / "a" / "3.jpg")
    assert [f.sample.id for f in find_broken(read(root).samples)] == ["a/5.jpg", "b/3.jpg", "b/5.jpg"]


def test_files_that_went(root: Path):
    samples = read(root).samples
    (root / "a" / "0.jpg").unlink()
    found = find_broken(samples)
    assert len(found) == 5 and "There is no image file" in found[0].reason


@pytest.mark.parametrize("spoil", ["damaged", "folder", "locked"])
def test_without_a_memory_all_is_decoded(root: Path, tmp_path: Path, opened: list[str], spoil: str):
    memory = tmp_path / "cache" / "whole-images.sqlite"
    if spoil == "locked":
        (tmp_path / "cache").write_text("a file where a folder has to be")
    else:
        memory.parent.mkdir()
        memory.mkdir() if spoil == "folder" else memory.write_bytes(b"no database" * 1000)
    for _ in range(2):
        assert len(find_broken(read(root).samples, seconds=0)) == 4
    assert len(opened) == 40


def test_what_is_whole_is_known_by_its_bytes(root: Path, opened: list[str]):
    samples = [s for s in read(root).samples if s.path.stem not in "35"]
    first = inspect_images(samples, seconds=0).digests
    assert [row.tobytes() for row in first] == [hashlib.sha256(s.path.read_bytes()).digest() for s in samples]
    opened.clear()
    assert (inspect_images(samples, seconds=0).digests == first).all() and not opened  # remembered
    path = samples[0].path
    before, stat = path.read_bytes(), path.stat()
    path.write_bytes(before[:-3] + b"\0" + before[-2:])  # as large, and the time of change set back
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (inspect_images(samples, seconds=0).digests != first).any(axis=1).nonzero()[0].tolist() == [0]


def test_names_that_are_no_unicode_are_remembered(root: Path, opened: list[str]):
    odd = root / "a" / os.fsdecode(b"\xff.jpg")
    try:
        Image.new("RGB", (4, 4)).save(odd)
    except OSError:
        pytest.skip("the file system takes unicode only")
    samples = [s for s in read(root).samples if s.path == odd]
    assert not find_broken(samples, seconds=0) and len(opened) == 1
    assert not find_broken(samples, seconds=0) and len(opened) == 1


def test_fail_lists_them(root: Path):
    with pytest.raises(ValueError) as error:
        without_broken(read(root), "fail")
    first, *rest = str(error.value).splitlines()
    assert len(rest) == 4 and "3.jpg is empty" in rest[0]
    assert first == "4 images of 20 can't be read. Repair or remove them, or leave them out with --on-bad-image skip."


def test_skip_leaves_labels_and_splits_of_the_others(root: Path):
    before = read(root)
    after = without_broken(before, "skip")
    assert ids(after).items() < ids(before).items() and len(after.samples) == 16
    assert [s.sample.id for s in after.skipped] == ["a/3.jpg", "a/5.jpg", "b/3.jpg", "b/5.jpg"]
    assert after.classes == before.classes
    # As if they had never been seen: the split is of the names, and the names are still there.
    for skipped in after.skipped:
        skipped.sample.path.write_bytes((root / "a" / "0.jpg").read_bytes())
    assert ids(read(root)) == ids(before)


def test_one_split_alone(root: Path):
    dataset = read(root)
    only = {s.id for s in without_broken(dataset, "skip", "test").skipped for s in (s.sample,)}
    assert only == {s.id for s in dataset.split("test")} & {"a/3.jpg", "a/5.jpg", "b/3.jpg", "b/5.jpg"}


def test_nothing_broken_is_the_data_set_itself(root: Path):
    dataset = read(root)
    whole = replace(dataset, samples=tuple(s for s in dataset.samples if s.path.stem not in "35"))
    for policy in ("fail", "skip"):
        after = without_broken(whole, policy)
        assert after == whole and all(len(s.sha256) == 64 for s in after.samples)


def test_a_class_of_which_nothing_is_left(root: Path):
    for path in (root / "b").iterdir():
        path.write_bytes(b"")
    with pytest.raises(
        ValueError,
        match=r"Without the images that can't be read, no training image of b remains\.\n  .*0\.jpg is empty",
    ):
        without_broken(read(root), "skip")


def test_long_lists_are_cut(root: Path):
    for path in root.glob("*/*"):
        path.write_bytes(b"")
    Image.new("RGB", (4, 4)).save(root / "b" / "0.jpg")
    for k in range(10, 40):
        (root / "a" / f"{k}.jpg").touch()
    with pytest.raises(ValueError) as error:
        without_broken(read(root), "fail")
    lines = str(error.value).splitlines()
    assert len(lines) == 22 and lines[21] == "  ... and 29 more; `hclnet data check` lists all"
