"""A folder of image files as nobody should send them: cut, lying, enormous, under names that break tools.

Of each it is known whether it must be read or must be named as broken. All pixels are drawn; the same seed makes the
same folder.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from hostile_images.cuts import cut_files
from hostile_images.lies import lying_files
from hostile_images.made import Case, picture
from hostile_images.names import NAMES, links

CLASSES = ("fox", "hare")
WHOLE = 12
"""Ordinary photographs, of which there are enough to train on."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """What a folder has.

    Attributes:
        root: with a folder for each class.
        good: files that hold a picture.
        bad: files, and links, that hold none.
        passed_over: what is no file and has the name of one, such as a pipe.
    """

    root: Path
    good: frozenset[Path]
    bad: frozenset[Path]
    passed_over: frozenset[Path]


def write(root: Path, count: int = 1000, seed: int = 0) -> Hostile:
    """Fill a folder that is not there yet.

    Args:
        root: the folder.
        count: files and links in all. Of a thousand, all names and lies are there; of fewer, some of each kind.
        seed: of the choice of cuts and of the pixels.
    """
    rng = random.Random(seed)
    for label in CLASSES:
        (root / label).mkdir(parents=True)
    good, bad = set(), set()
    for k in range(WHOLE):
        good.add(_put(root, k, Case(f"whole {k}.jpg", picture(rng.randrange(10**6)), True)))
    for k, name in enumerate(rng.sample(NAMES, min(len(NAMES), count // 6))):
        good.add(_put(root, k, Case(name, picture(rng.randrange(10**6)), True)))
    linked = links(root, root / CLASSES[0] / "whole 0.jpg")
    good |= linked.good
    bad |= linked.bad
    room, lies, cuts = count - len(good) - len(bad), list(lying_files(rng)), list(cut_files(rng))
    cases = rng.sample(lies, min(len(lies), room // 2))
    cases += rng.sample(cuts, room - len(cases))
    for k, case in enumerate(cases):
        (good if case.good else bad).add(_put(root, k, case))
    return Hostile(root, frozenset(good), frozenset(bad), linked.passed_over)


def _put(root: Path, number: int, case: Case) -> Path:
    path = root / CLASSES[number % len(CLASSES)] / case.name
    with path.open("xb") as file:
        file.write(case.data)
        if case.length is not None:  # the rest is a hole, which takes no room on the disk
            file.truncate(case.length)
    return path
