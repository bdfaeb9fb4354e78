"""A folder of images under names that break tools, and what was found in them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
from PIL import Image

from hclnet.types import Localization, LocatedObject

NAMES = (
    "a.jpg",
    "a.png",  # of one stem
    "A.jpg",  # alike but for case
    "sub/a.jpg",
    "images/labels/1 (2).jpg",  # folders that YOLO's readers replace
    "two words #1 100%+?.jpg",
    "dots.in.the.name.jpeg",
    unicodedata.normalize("NFC", "für dich.jpg"),
    unicodedata.normalize("NFD", "für dich.jpg"),
    "no box/name.jpg",
    "-dash & <tag> \"quote\" 'x'.jpg",
)
BARE = frozenset({"sub/a.jpg", "no box/name.jpg"})
"""Those in which nothing was found."""


def localizations(folder: Path, masks: bool = False, names: tuple[str, ...] = NAMES) -> list[Localization]:
    """One for each name. Boxes differ, sizes too, and some boxes reach to the edge of the image."""
    made = []
    for k, name in enumerate(names):
        path, size = folder / name, (64 + 7 * k, 90 - 3 * k)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (9 * k, 90, 90)).save(path)
        mask = np.zeros((8, 8), bool)
        mask[2 : 3 + k % 4, 1:7] = True
        box = (1.25 + k, 0.0 if k % 3 else 2.5, float(size[0] if k % 2 else size[0] / 2), size[1] - k - 0.125)
        found = LocatedObject("fox" if k % 2 else "badger, big", 0.5 + k / 40, box, mask if masks else None, k / 11)
        predictions = ((found.label, found.score),)
        made.append(Localization(str(path), size, () if name in BARE else (found,), predictions, {}, {}))
    return made
