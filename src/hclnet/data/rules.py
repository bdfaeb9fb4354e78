"""The rules for all layouts: which data sets are refused when they are read, and which when they are trained on.

A reader reports what a folder has. This module decides what is good enough for what: scoring or calibrating on images
needs less than training on them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches

import numpy as np

from hclnet.data import ilsvrc
from hclnet.data.classes import without_classes
from hclnet.data.files import shown
from hclnet.data.ground_truth import check_boxes
from hclnet.types import DataSet

PARTIAL = frozenset({ilsvrc.KIND})
"""Layouts of which people have the training images of some classes and the validation images of all."""


def checked(dataset: DataSet) -> DataSet:
    """What a reader made, if it can be used at all; with a note where its boxes can't be.

    One class is enough, and training images there need not be: it may be a data set to score on.

    Raises:
        ValueError: it has no image, two images of one id, or one file in two splits or two classes.
    """
    if not dataset.samples:
        raise ValueError(f"{shown(dataset.root)}, read as {dataset.kind}, has no image. Check the path.")
    columns = dataset.columns
    ids = Counter(columns[place].id for place in _alike(map(hash, columns.ids), len(columns)))
    name = next((name for name, count in ids.items() if count > 1), None)
    if name is not None:
        files = [shown(s.path) for s in dataset.samples if s.id == name]
        raise ValueError(
            f"{shown(dataset.root)} has {' and '.join(files[:2])}, both with the id {shown(name)}. Rename one."
        )
    _check_files(dataset)
    try:
        doubts = check_boxes(dataset.ground_truth, dataset.samples)
    except ValueError as error:
        doubts = (f"the boxes can't be used for scoring: {error}",)
    return replace(dataset, notes=(*dataset.notes, *doubts)) if doubts else dataset


def for_training(dataset: DataSet) -> DataSet:
    """The data set to train and to score a training on.

    Raises:
        ValueError: there are no training images, or those of one class alone, or other splits have a class that
            training has no image of. The message names it.
    """
    counts = dataset.counts()
    if "train" not in counts:
        have = ", ".join(f"{split} ({count:,})" for split, count in counts.items())
        raise ValueError(
            f"{shown(dataset.root)} has no training images, only {have}. You can score on it. To train, give data with "
            "a split train."
        )
    dataset = as_trained(dataset)
    trained = _classes_of(dataset, "train")
    untrained = _classes_of(dataset) - trained
    if lost := [name for name in dataset.classes if name in untrained]:
        raise ValueError(
            f"{shown(dataset.root)} has no training image of {_some(_lost(dataset, name, trained) for name in lost)}. "
            "Add some, rename classes that have another name, or remove the other images of the class."
        )
    if len(trained) < 2:
        raise ValueError(
            f"{shown(dataset.root)} has training images of one class only, {shown(*trained)}, and training needs "
            "two. Add a second class, such as pictures without the object."
        )
    return dataset


def as_trained(dataset: DataSet) -> DataSet:
    """The part of a data set that a training on it is scored on: of layouts that people have in part (`PARTIAL`), the
    classes that there are training images of. It is said what that leaves out.
    """
    trained = _classes_of(dataset, "train")
    others = _classes_of(dataset) - trained
    if dataset.kind not in PARTIAL or not trained or not others:
        return dataset
    smaller = without_classes(dataset, others)
    left = len(dataset.samples) - len(smaller.samples)
    note = f"{left:,} images in val/ are left out, because train/ has no image of their classes"
    return replace(smaller, notes=(*dataset.notes, note))


def _check_files(dataset: DataSet) -> None:
    """Raises:
    ValueError: one file is in two splits, or in two classes.
    """
    homes: dict[str, str] = {}

    def file(path: str) -> tuple[str, str]:
        home, _, name = path.rpartition(os.sep)
        if (real := homes.get(home)) is None:
            real = homes[home] = os.path.realpath(home)  # of folders alone: of a million files it would take minutes
        return real, name

    seen: dict[tuple[str, str], int] = {}
    columns = dataset.columns
    for k in _alike((hash(file(path)) for path in columns.paths), len(columns)):
        sample = columns[k]
        before = columns[seen.setdefault(file(os.fspath(sample.path)), k)]
        if before.split != sample.split or before.label != sample.label:
            of = "split" if before.split != sample.split else "class"
            one, other = (
                (before.split, sample.split)
                if of == "split"
                else (shown(dataset.classes[before.label]), shown(dataset.classes[sample.label]))
            )
            raise ValueError(
                f"{shown(sample.path)} is the same file as {shown(before.path)}, with the {of} {one} there and "
                f"{other} here. An image has one {of}: remove one of the two."
            )


def _alike(hashes: Iterable[int], count: int) -> list[int]:
    """The places, in order, of hashes that are there more than once: a set of all would take much memory."""
    found = np.fromiter(hashes, np.int64, count)
    order = np.argsort(found, kind="stable")
    same = found[order[1:]] == found[order[:-1]]
    places: list[int] = np.union1d(order[1:][same], order[:-1][same]).tolist()
    return places


def _classes_of(dataset: DataSet, split: str | None = None) -> set[str]:
    """The classes that a split, or the whole, has images of."""
    columns = dataset.columns
    labels = columns.labels if split is None else columns.labels[columns.in_split(split)]
    return {dataset.classes[label] for label in np.unique(labels)}


def _lost(dataset: DataSet, name: str, trained: Iterable[str]) -> str:
    label = dataset.classes.index(name)
    counts = Counter(s.split for s in dataset.samples if s.label == label)
    close = get_close_matches(name, trained, 1)
    images = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    return f"{shown(name)!r} ({images}{f'; do you mean {shown(close[0])}?' if close else ''})"


def _some(names: Iterable[str], most: int = 5) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
