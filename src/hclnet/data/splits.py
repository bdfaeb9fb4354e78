"""Splits: what they are called, and the one that is made where there is none."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import TypeVar

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What people call them, in lower case, and what they are called here."""

TEST_SHARE = 0.2

T = TypeVar("T")


def held_out(images: Sequence[T], class_name: str, seed: int) -> set[T]:
    """The images of one class that become `test`: a fifth, and at least one where there are two.

    A function of the seed, the class's name and the number and order of its images only.
    """
    count = max(1, round(TEST_SHARE * len(images))) if len(images) > 1 else 0
    shuffled = random.Random(os.fsencode(f"{seed}/{class_name}")).sample(images, len(images))
    return set(shuffled[:count])


def made_note(what_is_missing: str, seed: int) -> str:
    """The note that says so."""
    return f"{what_is_missing}: split automatically, {1 - TEST_SHARE:.0%} to {TEST_SHARE:.0%}, seed {seed}"
