"""What the pictures of an image are called: no two alike on any file system, none too long for one."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

LONGEST = 180
"""Bytes of a file's or folder's name that are kept; file systems take 255, with ending and number."""


class Names:
    """Gives each image a name of its own.

    Args:
        taken: names that are in use.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {_alike(name) for name in taken}
        self._tried: dict[str, int] = {}  # the highest number that was tried; all below are taken

    def free(self, wish: str) -> str:
        """The name itself, shortened if it is too long, or with the first number from 2 that makes it free."""
        safe = "/".join(_part(part, last=False) for part in PurePosixPath(wish).parts[:-1])
        last = _part(PurePosixPath(wish).name, last=True)
        stem = f"{safe}/{last}" if safe else last
        name, k = stem, self._tried.get(_alike(stem), 1)
        while _alike(name) in self._taken:
            k += 1
            name = f"{stem}-{k}"
        self._tried[_alike(stem)] = k
        self._taken.add(_alike(name))
        return name


def _alike(name: str) -> str:
    """Equal for names that a Mac or Windows takes for one: upper and lower case, and accents of one or two signs."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _part(part: str, last: bool) -> str:
    raw = os.fsencode(part)
    if len(raw) > LONGEST:
        digest = hashlib.sha256(raw).hexdigest()[:12]
        part = f"{raw[: LONGEST - 13].decode('utf-8', 'ignore')}~{digest}"
    if not last and part.casefold().endswith((".jpg", ".png")):
        part += "_"  # `a.jpg/b` beside the picture `a.jpg`
    return part
