"""Samples as columns are what they were made of, and take little memory."""

from __future__ import annotations

import pickle
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hclnet.samples import Samples, labels_of, portions
from hclnet.types import DataSet, Sample

ODD = (
    Sample("train/é 日本.jpg", Path("/data/train/é 日本.jpg"), 2, "train"),
    Sample("a", Path("a"), 0, "val"),
    Sample("b\udcff", Path("/x/b\udcff.png"), 1, "train"),
    Sample("", Path(), -1, ""),
    Sample("c" * 300, Path("../c/c.jpg"), 2**40, "train"),
    Sample("d", Path("/d"), 1, "test"),
)


def test_they_are_what_they_were_made_of():
    samples = Samples(iter(ODD))
    assert tuple(samples) == ODD and samples == ODD and samples == list(ODD) and samples != ODD[:-1]
    assert [samples[k] for k in range(-6, 6)] == [*ODD, *ODD]
    assert all(type(one.path) is type(Path()) and type(one.label) is int for one in samples)
    assert list(samples.ids) == [one.id for one in ODD] and list(samples.paths) == [str(one.path) for one in ODD]
    assert list(samples.in_order_of_ids()) == sorted(ODD, key=lambda one: one.id)
    assert pickle.loads(pickle.dumps(samples)) == samples and Samples.of(samples) is samples
    assert ODD[2] in samples and samples.index(ODD[4]) == 4
    with pytest.raises(IndexError):
        samples[6]
    assert Samples() == () and not Samples() and list(Samples().in_order_of_ids()) == []


def test_some_of_them():
    samples = Samples(ODD)
    assert samples[1:5:2] == ODD[1:5:2] and samples[::-1] == ODD[::-1]
    assert samples.select(np.array([4, 0])) == (ODD[4], ODD[0])
    assert samples.select(samples.in_split("train")) == tuple(one for one in ODD if one.split == "train")
    assert samples.select(samples.in_split("none")) == ()
    assert list(samples[3:].splits.items()) == [("", 1), ("train", 1), ("test", 1)]
    assert labels_of(samples[:3]).tolist() == labels_of(ODD[:3]).tolist() == [2, 0, 1]


def test_digests_go_with_their_samples_and_do_not_make_them_others():
    first, last = "0" * 62 + "ff", "ab" * 32
    known = (ODD[0], replace(ODD[1], sha256=first), *ODD[2:4], replace(ODD[4], sha256=last), ODD[5])
    samples = Samples(known)
    assert [one.sha256 for one in samples] == ["", first, "", "", last, ""] and samples == ODD
    assert [one.sha256 for one in samples.select(np.array([4, 0]))] == [last, ""]
    assert [one.sha256 for one in pickle.loads(pickle.dumps(samples))[1:5:3]] == [first, last]
    digests = np.frombuffer(bytes.fromhex(last) + bytes(32), np.uint8).reshape(2, 32)
    for before, others in ((samples, [first, last]), (Samples(ODD), ["", ""])):
        after = before.with_digests(digests, np.array([0, 5]))
        assert [one.sha256 for one in after] == [last, others[0], "", "", others[1], ""]
        assert not before[0].sha256
    assert [
        one.sha256 for one in samples.with_digests(digests, samples.in_split("val") | samples.in_split("test"))
    ] == [*("", last, "", "", last, "")]


def test_other_splits():
    samples = Samples(ODD)
    moved = samples.with_splits(["b", "a", "b", "b", "a", "c"])
    assert moved == tuple(replace(one, split=split) for one, split in zip(ODD, "babbac"))
    assert moved.splits == {"b": 3, "a": 2, "c": 1} and samples == ODD
    with pytest.raises(ValueError):
        samples.with_splits(["a"])


def test_ids_are_sorted_as_text_whatever_their_length():
    ids = ["b", "a", "é", "z", "ab", "日", "a/b", "\udcff", "\U0001f600", "Z"]
    for more in ([], ["y" * 200]):
        samples = Samples(Sample(name, Path(name), 0, "train") for name in [*ids, *more])
        assert [one.id for one in samples.in_order_of_ids()] == sorted([*ids, *more])


def test_a_data_set_has_columns_whatever_it_was_made_of():
    dataset = DataSet(Path(), "drawn", ("a", "b"), ODD)
    assert dataset.samples == ODD and dataset == DataSet(Path(), "drawn", ("a", "b"), Samples(ODD))
    assert dataset.split("train") == (ODD[0], ODD[2], ODD[4])
    assert list(dataset.counts().items()) == [("train", 3), ("val", 1), ("test", 1), ("", 1)]


def test_an_image_takes_a_hundred_bytes_or_two():
    """As an object it takes 500. A million of them are not to be held at once on the way either."""
    count = 20_000
    # `Path` keeps its parts in a table of all such texts, which has grown by the time that counts.
    assert sum(len(Path(f"/data/{k}").parts) for k in range(5 * count)) == 15 * count
    tracemalloc.start()
    try:
        dataset = DataSet(Path("/data"), "drawn", ("a",), Samples(
            Sample(f"train/n01440764/n01440764_{k}.JPEG", Path(f"/data/train/n01440764/n01440764_{k}.JPEG"), 0, "train")
            for k in range(count)
        ))  # fmt: skip
        held, most = tracemalloc.get_traced_memory()
        assert held < 130 * count and most < 250 * count
        tracemalloc.reset_peak()
        assert len(dataset.split("train")) == count and dataset.counts() == {"train": count}
        assert sum(1 for _ in dataset.samples) == count
        assert tracemalloc.get_traced_memory()[1] - held < 100 * count
    finally:
        tracemalloc.stop()


def test_portions_are_all_in_order():
    assert list(portions(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]] and list(portions([])) == []
