"""By what an image file is known again, without its picture."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

from hclnet_runtime.data.images import check_file

_FRESH = 2 * 10**9  # nanoseconds in which a file may change once more without its times showing it


def file_row(path: Path) -> dict[str, Any]:
    """By what a file is known again: its length, times and the SHA-256 of its bytes.

    Times are None where the file was changed a moment ago: they would not show a change in the same moment.

    Raises:
        OSError: it can't be read.
        ValueError: it is no file, or longer than any image that is read.
    """
    now = time.time_ns()
    check_file(path)
    times = _times(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"times": times if max(times[1:]) < now - _FRESH else None, "sha256": digest}


def is_same_file(row: dict[str, Any], path: Path) -> bool:
    """Whether a file holds what it did when its line was written. It is read only where its times don't say so."""
    known = row.get("file")
    if not known:
        return False
    try:
        return bool(known["times"] == _times(path) or known["sha256"] == file_row(path)["sha256"])
    except (OSError, ValueError, LookupError, TypeError):  # also where the line is damaged
        return False


def _times(path: Path) -> list[int]:
    about = os.stat(path)  # noqa: PTH116, ten thousand times
    return [about.st_size, about.st_mtime_ns, about.st_ctime_ns]
