"""`boxes.json`: one entry per image with its path, size and objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hclnet.storage import write_json
from hclnet.types import Localization


def write_boxes(
    localizations: Sequence[Localization], classes: Sequence[str], path: Path, root: Path | None = None
) -> None:
    """Boxes are x0, y0, x1, y1 in pixels of the upright image, 0-based, half-open. Paths are as they were given."""
    rows = [
        {
            "path": one.path,
            "size": list(one.size),
            "objects": [
                {"label": o.label, "score": round(o.score, 6), "box": [round(v, 2) for v in o.box]} for o in one.objects
            ],
        }
        for one in localizations
    ]
    write_json(path, rows, indent=1)
