"""Pictures of images for a browser: upright, small enough to be there at once, and kept for when they are asked for
again."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path

from hclnet_runtime.data.images import open_image

LARGE, SMALL = 1600, 192
"""Longest sides, pixels."""

_KEPT = 2**27  # bytes


class Kept:
    """Bytes that were made, the last used ones up to `_KEPT` of them. It may be used from several threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._size = 0
        self._guard = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """What was kept of a key or, if there is nothing, is made now."""
        with self._guard:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        data = make()
        with self._guard:
            if key not in self._kept:
                self._kept[key] = data
                self._size += len(data)
            while self._size > _KEPT and len(self._kept) > 1:
                _, old = self._kept.popitem(last=False)
                self._size -= len(old)
        return data


def jpeg(file: Path, longest: int) -> bytes:
    """An image as a JPEG, upright, whose sides are at most so long.

    Raises:
        ValueError: it can't be read; the message says why.
    """
    image = open_image(file, longest)
    image.thumbnail((longest, longest))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=88 if longest > SMALL else 75)
    return data.getvalue()
