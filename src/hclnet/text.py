"""Text for a person."""

from __future__ import annotations

import os
from pathlib import Path


def shown(name: str | Path) -> str:
    """A path or name on one line: what can't be printed, such as a newline or a byte that is no unicode, is escaped."""
    text = os.fspath(name)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
