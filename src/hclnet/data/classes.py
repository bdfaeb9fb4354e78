"""Classes: the order that they are in, and a data set with the labels of somebody else's classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from difflib import get_close_matches
from unicodedata import normalize

import numpy as np

from hclnet.data.files import shown
from hclnet.types import DataSet, Sample, Samples


def in_order(name: str) -> tuple[bool, int, str]:
    """What classes are sorted by, in every layout that does not number them: numbers by value, then names by text."""
    if name.isdecimal() and len(name) < 100:
        return (False, int(name), name)
    return (True, 0, name)


def with_classes(dataset: DataSet, classes: Sequence[str]) -> DataSet:
    """The same images labeled by other classes, such as a run's, matched by name.

    The data set may have a part of the classes, and in any order. Names that differ only in how Unicode writes them
    (`é` as one character or as two) are the same.

    Args:
        dataset: as a reader made it.
        classes: what the labels of the result are the positions in.

    Raises:
        ValueError: images are of a class that is not among them; the message names it, and what it may be called.
    """
    place = _places(dataset.classes, classes)
    counts = Counter([*dataset.columns.labels.tolist(), *(one.sample.label for one in dataset.skipped)])
    if unknown := [label for label in sorted(counts) if label not in place]:
        listed = [_unknown(dataset.classes[label], counts[label], classes) for label in unknown[:5]]
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        known = ", ".join(map(shown, classes[:12])) + (f" and {len(classes) - 12} more" if len(classes) > 12 else "")
        raise ValueError(
            f"{shown(dataset.root)} has images of {'a class' if len(unknown) == 1 else 'classes'} that the run does "
            f"not know: {', '.join(listed)}{more}. It knows {known}. Rename classes that have another name, or leave "
            "the images of other classes out with --ignore-unknown-classes."
        )

    def moved(sample: Sample) -> Sample:
        return replace(sample, label=place[sample.label])

    if tuple(classes) == dataset.classes:
        return dataset
    return replace(
        dataset,
        classes=tuple(classes),
        samples=Samples(map(moved, dataset.samples)),
        skipped=tuple(replace(one, sample=moved(one.sample)) for one in dataset.skipped),
    )


def unknown_classes(dataset: DataSet, classes: Sequence[str]) -> set[str]:
    """The names of its classes that `with_classes` finds none of these for."""
    place = _places(dataset.classes, classes)
    return {name for label, name in enumerate(dataset.classes) if label not in place}


def without_classes(dataset: DataSet, names: Collection[str]) -> DataSet:
    """The data set without the classes of these names, and without their images."""
    remaining = [name for name in dataset.classes if name not in names]
    lost = {label for label, name in enumerate(dataset.classes) if name in names}
    gone = {s.id for s in dataset.samples if s.label in lost}
    smaller = replace(
        dataset,
        samples=dataset.columns.select(~np.isin(dataset.columns.labels, list(lost))),
        ground_truth=dataset.ground_truth.without(gone) if gone else dataset.ground_truth,
        skipped=tuple(one for one in dataset.skipped if one.sample.label not in lost),
    )
    return with_classes(smaller, remaining)


def _unknown(name: str, count: int, classes: Sequence[str]) -> str:
    by_text = {known.casefold(): known for known in classes}
    close = get_close_matches(name.casefold(), by_text, 1)
    images = f"{count:,} image{'' if count == 1 else 's'}"
    return f"{shown(name)} ({images}{f'; do you mean {shown(by_text[close[0]])}?' if close else ''})"


def _places(names: Sequence[str], classes: Sequence[str]) -> dict[int, int]:
    """For the position of each name that of the class that it is."""
    number = {name: k for k, name in enumerate(classes)}
    alike: dict[str, list[int]] = {}
    for name, k in number.items():
        alike.setdefault(normalize("NFC", name), []).append(k)
    place: dict[int, int] = {}
    for label, name in enumerate(names):
        same = alike.get(normalize("NFC", name), [])
        if name in number:
            place[label] = number[name]
        elif len(same) == 1:
            place[label] = same[0]
    return place
