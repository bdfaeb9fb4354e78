"""Text for a person."""

from __future__ import annotations

import os
from pathlib import Path


def shown(name: str | Path) -> str:
    """A path or name on one line: what can't be printed, such as a newline or a byte that isn't Unicode, is escaped."""
    text = os.fspath(name)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def as_clause(error: Exception) -> str:
    """What a library's error says, on one line and without a full stop, to stand in a sentence of ours."""
    return " ".join(str(error).split()).rstrip(". ") or type(error).__name__
