"""Lists of names in options and in messages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hclnet_runtime.text import shown


def listed(written: Sequence[Path]) -> str:
    """Files and folders for a person; a folder has a slash."""
    return ", ".join(f"{shown(path)}/" if path.is_dir() else shown(path) for path in written)


def split(text: str) -> list[str]:
    """The words between commas."""
    return [part for part in map(str.strip, text.split(",")) if part]
