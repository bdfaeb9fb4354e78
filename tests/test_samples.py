"""Samples as columns are what they were made of, and take little memory."""

from __future__ import annotations

import pickle
import tracemalloc
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
