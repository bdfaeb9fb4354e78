"""`boxes.json`: one entry per image with its path, size and objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hclnet.storage import write_json
from hclnet.types import Localization, LocatedObject


def write_boxes(
    localizations: Sequence[Localization], classes: Sequence[str], path: Path, root: Path | None = None
) -> None:
    """Boxes are x0, y0, x1, y1 in pixels of the upright image, 0-based, half-open. Paths are as they were given.

    An object has an `agreement` where the box rule can say it.
    """
    rows = [
        {
            "path": one.path,
            "size": list(one.size),
            "objects": [_object(found) for found in one.objects],
        }
        for one in localizations
    ]
    write_json(path, rows, indent=1)


def _object(found: LocatedObject) -> dict[str, Any]:
    row = {"label": found.label, "score": round(found.score, 6), "box": [round(v, 2) for v in found.box]}
    return row if found.agreement is None else {**row, "agreement": round(found.agreement, 3)}
