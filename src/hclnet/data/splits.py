"""Splits: what they are called, what only looks like one, and the one that is made where there is none."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from hclnet.data.files import shown

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What people call them, in lower case, and what they are called here."""

NAMES = "train, val or test (also training, valid, validation, dev, development, testing)"
"""The same, for a message."""

TEST_SHARE = 0.2

_WORD = (
    "(?:train(?:ing|val)?|trn|tst|cv(?=[\\W_\\d])|(?:un)?labell?ed|val(?:id(?:ation)?)?|test(?:ing)?|dev(?:el(?:opment)?)?|eval(?:uation)?|hold[\\W_]*out"
    "|held[\\W_]*out|folds?|splits?|shards?|subsets?|partitions?)"
)
_FILLER = (
    "(?:(?:sub)?sets?|data(?:sets?)?|im(?:age|g)s?|photos?|pic(?:ture)?s?|files?|samples?|examples?|of|k|[ab]|clean|crop"
    "(?:ped)?|aug(?:mented)?|raw|full|mini|final|public|private|resized?)"
)
_GAP = "[\\W_\\d]*"
_LIKE_A_SPLIT = re.compile(f"{_GAP}(?:{_FILLER}{_GAP})*{_WORD}{_GAP}(?:(?:{_FILLER}|{_WORD}){_GAP})*")
_BARE = re.compile(_WORD)

ALL = "all"
"""What all images of a data set together are called, where a split is asked for."""

T = TypeVar("T")


def split_of(name: str) -> str | None:
    """The split that a name means, or None."""
    return SPLITS.get(name.strip().lower())


def looks_like_split(name: str) -> bool:
    """Whether a name looks like that of a split, known or not: `Test Data`, `train2017`, `fold_1`, `holdout`."""
    return bool(_LIKE_A_SPLIT.fullmatch(name.lower()))


def could_be_class(name: str) -> bool:
    """Whether a name that looks like a split's is one word, which something can be called: `train`, beside `bus`."""
    return bool(_BARE.fullmatch(name.lower()))


def by_split(folders: Iterable[Path]) -> dict[str, Path]:
    """The folders that are called like splits, train first, then val and test.

    Raises:
        ValueError: two of them mean the same split.
    """
    found: dict[str, list[Path]] = {"train": [], "val": [], "test": []}
    for folder in folders:
        if split := split_of(folder.name):
            found[split].append(folder)
    for split, several in found.items():
        if len(several) > 1:
            raise ValueError(
                f"{shown(several[0].parent)} has {' and '.join(f'{f.name}/' for f in several)}, which all mean "
                f"{split!r}. Keep one of them."
            )
    return {split: several[0] for split, several in found.items() if several}


def unknown_split(folder: Path, why: str) -> ValueError:
    """The error that a folder is a split, by what is in it, and has none of the names.

    Args:
        folder: that it is about.
        why: what makes it one, such as `holds folders of images`.
    """
    return ValueError(f"{shown(folder)} {why}, but its name is not one of {NAMES}. Rename it, or move it away.")


def held_out(images: Sequence[T], class_name: str, seed: int) -> set[T]:
    """The images of one class that become `test`: a fifth, and at least one where there are two.

    A function of the seed, the class's name and the number and order of its images only.
    """
    count = max(1, round(TEST_SHARE * len(images))) if len(images) > 1 else 0
    shuffled = random.Random(os.fsencode(f"{seed}/{class_name}")).sample(images, len(images))
    return set(shuffled[:count])


def made_note(what_is_missing: str, seed: int) -> str:
    """The note that says so."""
    return f"{what_is_missing}: split at random, {1 - TEST_SHARE:.0%} to {TEST_SHARE:.0%}, seed {seed}"
