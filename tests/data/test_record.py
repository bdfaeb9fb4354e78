"""What a run folder says of its images is what it reads back."""

from __future__ import annotations

import csv
import json
import os
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from hclnet.data.record import (
    change_since,
    record_splits,
    recorded,
    recorded_skips,
    with_recorded_splits,
    without_recorded_skips,
)
from hclnet.types import DataSet, Sample, Samples, Skipped

NAMES = ("a/1.jpg", 'a/new\nline, "quoted".jpg', "b/ü.jpg", os.fsdecode(b"b/\xe9.jpg"))


def dataset(splits: str = "trte", classes: tuple[str, ...] = ("a", "b\n")) -> DataSet:
    samples = tuple(
        Sample(name, Path("/data") / name, k // 2, {"r": "train", "e": "test", "t": "train"}[split])
        for k, (name, split) in enumerate(zip(NAMES, splits))
    )
    return DataSet(Path("/data"), "class folders", classes, samples)


def test_splits_come_back(tmp_path: Path):
    record_splits(dataset("rere"), tmp_path)
    with (tmp_path / "data.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        assert next(csv.reader(file)) == ["id", "class", "split", "sha256"]
    again = with_recorded_splits(dataset("errr"), tmp_path)
    assert [s.split for s in again.samples] == ["train", "test", "train", "test"]
    assert not (tmp_path / "skipped.csv").exists()


def test_files_that_came_since_keep_their_own_split(tmp_path: Path):
    whole = dataset("rrrr")
    record_splits(replace(whole, samples=whole.samples[:3]), tmp_path)
    assert [s.split for s in with_recorded_splits(dataset("eeee"), tmp_path).samples] == ["train"] * 3 + ["test"]


def test_nothing_recorded(tmp_path: Path):
    assert with_recorded_splits(dataset(), tmp_path) == dataset()
    assert without_recorded_skips(dataset(), tmp_path) == dataset()


def test_other_classes_are_other_data(tmp_path: Path):
    record_splits(dataset(), tmp_path)
    with pytest.raises(
        ValueError, match=r"was begun on other data: b\\n, c is a class either there or in .*Name another"
    ):
        with_recorded_splits(dataset(classes=("a", "c")), tmp_path)


def test_skips_come_back(tmp_path: Path):
    whole = dataset()
    skipped = (Skipped(whole.samples[1], "it is\nempty"), Skipped(whole.samples[3], "ü"))
    record_splits(replace(whole, samples=(whole.samples[0], whole.samples[2]), skipped=skipped), tmp_path)
    with (tmp_path / "skipped.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [NAMES[1], NAMES[3]]
    assert rows[0] | {"path": "x"} == {
        "id": NAMES[1],
        "class": "a",
        "split": "train",
        "path": "x",
        "reason": "it is\nempty",
    }
    again = without_recorded_skips(with_recorded_splits(whole, tmp_path), tmp_path)
    assert again.skipped == skipped and again.samples == (whole.samples[0], whole.samples[2])


def numbered(root: Path, *order: str) -> DataSet:
    """Class folders called by numbers, listed class by class."""
    names = [(name, k, split) for k, name in enumerate(order) for split in ("train", "test")]
    samples = [Sample(f"{name}/{split}.png", root / f"{name}/{split}.png", k, split) for name, k, split in names]
    return DataSet(root, "class folders", order, tuple(samples))


@pytest.mark.parametrize("with_localizer", [False, True])
def test_a_run_keeps_the_order_of_classes_that_it_was_begun_with(tmp_path: Path, with_localizer: bool):
    old, new = numbered(tmp_path, "10", "100", "9"), numbered(tmp_path, "9", "10", "100")
    record_splits(old, tmp_path)
    if with_localizer:
        (tmp_path / "localizer").mkdir()
        (tmp_path / "localizer" / "localizer.json").write_text(json.dumps({"classes": ["10", "100", "9"]}))
    again = with_recorded_splits(new, tmp_path)
    assert again.classes == old.classes
    assert {(s.id, s.label, s.split) for s in again.samples} == {(s.id, s.label, s.split) for s in old.samples}


def test_manifests_are_not_listed_class_by_class(tmp_path: Path):
    whole = replace(numbered(tmp_path, "9", "10"), kind="manifest")
    record_splits(replace(whole, samples=whole.samples[::-1]), tmp_path)
    assert with_recorded_splits(whole, tmp_path).classes == ("9", "10")


def test_classes_without_images_are_not_missed(tmp_path: Path):
    whole = numbered(tmp_path, "9", "10", "11")
    whole = replace(whole, samples=whole.samples[:4])
    record_splits(whole, tmp_path)
    assert with_recorded_splits(whole, tmp_path).classes == ("9", "10", "11")


def test_what_is_written_again_keeps_its_rows_and_adds_what_has_come(tmp_path: Path):
    whole = dataset("rere")
    record_splits(replace(whole, samples=whole.samples[:3]), tmp_path)
    digest = "ab" * 32
    moved = [replace(s, split="test", sha256=digest) for s in whole.samples[1:]]
    record_splits(replace(whole, samples=moved), tmp_path, keep=True)
    rows = [(row["id"], row["split"], row["sha256"]) for row in recorded(tmp_path)]
    assert rows == [
        (NAMES[0], "train", ""),
        *((NAMES[1], "test", digest), (NAMES[2], "train", digest), (NAMES[3], "test", digest)),
    ]
    assert bool(recorded(tmp_path)) and not recorded(tmp_path / "nowhere") and not recorded_skips(tmp_path)


def test_what_became_of_the_images_of_a_split(tmp_path: Path):
    digest, other = "ab" * 32, "cd" * 32
    whole = dataset("rrre")
    record_splits(replace(whole, samples=[replace(s, sha256=digest) for s in whole.samples]), tmp_path)
    assert not change_since(whole, tmp_path, "train") and not change_since(whole, tmp_path, "test")
    new = Sample("c.jpg", Path("/data/c.jpg"), 0, "train")
    now = [replace(whole.samples[0], sha256=other), replace(whole.samples[1], label=1), whole.samples[3], new]
    change = change_since(replace(whole, samples=now), tmp_path, "train")
    assert [row["id"] for row in change.gone] == [NAMES[2]] and change.changed == NAMES[:2]
    assert change.come == ("c.jpg",) and change.expected == 3
    left_out = replace(whole, samples=whole.samples[1:], skipped=(Skipped(whole.samples[0], "why"),))
    assert not change_since(left_out, tmp_path, "train")


def test_a_million_rows_are_not_held_at_once(tmp_path: Path):
    count = 20_000
    samples = Samples(Sample(f"train/{k:08}.jpg", Path(f"/data/train/{k:08}.jpg"), 0, "train") for k in range(count))
    many = DataSet(Path("/data"), "drawn", ("a",), samples)
    _names = [sample.path.parts for sample in samples]  # pathlib interns them: that table grows by megabytes at times
    tracemalloc.start()
    try:
        record_splits(many, tmp_path)
        again = with_recorded_splits(many, tmp_path)
        assert again == many and not change_since(again, tmp_path, "train")
        record_splits(again, tmp_path, keep=True)
        assert tracemalloc.get_traced_memory()[1] < 400 * count  # rows as dictionaries take 800 bytes each
    finally:
        tracemalloc.stop()


def test_images_of_one_id_are_known_again(tmp_path: Path):
    digests = "ab" * 32, "cd" * 32
    names = tuple(Sample("1.jpg", Path(f"/data/{k}/1.jpg"), 0, "train", digest) for k, digest in enumerate(digests))
    whole = DataSet(Path("/data"), "made by hand", ("a",), names)
    record_splits(whole, tmp_path)
    record_splits(whole, tmp_path, keep=True)
    assert [row["sha256"] for row in recorded(tmp_path)] == list(digests)
    assert not change_since(whole, tmp_path, "train")
    other = replace(whole, samples=[names[0], replace(names[1], sha256="ef" * 32)])
    assert change_since(other, tmp_path, "train").changed == ("1.jpg",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"id,class,split,sha256\r\na/1.jpg,a,train,\r\nb/1.j", "line 3 has no class"),
        (b"id,class,split,sha256\r\na/1.jpg,a\r\n", "line 2 has no split"),
        (b"\xef\xbb\xbfid,class,split\r\na/1.jpg,a,train\r\n", "line 2 has no id"),
        (b'id,class,split\r\na/1.jpg,"' + b"a" * 200_000, "field larger than field limit (131072)"),
    ],
)
def test_a_damaged_table_is_told_in_a_sentence(tmp_path: Path, content: bytes, reason: str):
    file = tmp_path / "data.csv"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"{file} is damaged: {reason}. Bring it back as hclnet wrote it.")):
        with_recorded_splits(dataset("rrre"), tmp_path)
    with pytest.raises(ValueError, match="is damaged"):
        record_splits(dataset("rrre"), tmp_path, keep=True)
    assert file.read_bytes() == content and list(tmp_path.iterdir()) == [file]
