"""Localizations as a localizer would make them, without one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hclnet.types import Localization, LocatedObject


@pytest.fixture
def localizations(tmp_path: Path) -> list[Localization]:
    """A wide image with two objects, and one in which nothing was found."""
    heat = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    made = []
    two = (
        LocatedObject("b", 0.75, (10.128, 5.0, 50.5, 40.0), agreement=11 / 13),
        LocatedObject("a", 0.2, (0.0, 0.0, 90.0, 60.0)),
    )
    for name, size, objects in (("wide ü.png", (90, 60), two), ("flat.png", (30, 40), ())):
        path = tmp_path / name
        Image.new("RGB", size, (90, 90, 90)).save(path)
        labels = [o.label for o in objects] or ["a"]
        predictions = tuple((label, 0.75) for label in labels)
        maps = dict.fromkeys(labels, heat)
        branches = dict.fromkeys(labels, heat[None])
        made.append(Localization(str(path), size, objects, predictions, maps, branches))
    return made
