"""Localizations as results to write: as they are after they were in a journal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hclnet.formats.results import Results, results_of
from hclnet.formats.rows import row_of
from hclnet.types import Localization

HEADER = {
    "hclnet": "1.0",
    "format": 1,
    "model": {"name": "runs/mine", "fingerprint": "0123456789abcdef"},
    "settings": {},
}


def as_results(
    localizations: Sequence[Localization], classes: Sequence[str] = ("z", "a", "b"), root: Path | None = None
) -> Results:
    rows = [row_of(one, masks=True) | {"root": str(Path(one.path).parent)} for one in localizations]
    header, rows = json.loads(json.dumps((HEADER | {"classes": list(classes)}, rows)))
    return results_of(header, rows, root)
