"""`boxes.json`: one entry per image with its path, size and objects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hclnet.types import Localization


def write_boxes(localizations: Sequence[Localization], classes: Sequence[str], path: Path) -> None:
    """Boxes are x0, y0, x1, y1 in pixels of the upright image, 0-based, half-open."""
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
    # A file name that is no unicode: its odd bytes are written as JSON's own escapes.
    text = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
