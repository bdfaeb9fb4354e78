"""Pillow's process-wide settings, other than the caller's only while an image of ours is open.

`warnings.catch_warnings` must not be used in threads: it puts back the filters that it found, which may be another
thread's. Here the first thread that opens an image makes the change and the last one takes back just that change.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import ClassVar, cast

from PIL import Image, PngImagePlugin

_lock = threading.Lock()


class _Limit:
    """Pillow refuses images of 179 million pixels. `hclnet_runtime.data.images` checks a limit of its own."""

    users = 0
    before: int | None = None

    @classmethod
    def change(cls) -> None:
        cls.before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None

    @classmethod
    def restore(cls) -> None:
        if Image.MAX_IMAGE_PIXELS is None:  # else the caller has set it since
            Image.MAX_IMAGE_PIXELS = cls.before


class _Text:
    """Pillow refuses pictures whose texts or profiles unpack to over 1 MB. Profiles of printers are longer."""

    users = 0
    before = PngImagePlugin.MAX_TEXT_CHUNK
    ours = 2**24

    @classmethod
    def change(cls) -> None:
        cls.before, PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_CHUNK, cls.ours

    @classmethod
    def restore(cls) -> None:
        if cls.ours == PngImagePlugin.MAX_TEXT_CHUNK:  # else the caller has set it since
            PngImagePlugin.MAX_TEXT_CHUNK = cls.before


class _Remarks:
    """Pillow's warnings on damaged metadata, which would break into a progress bar and help nobody."""

    users = 0
    filters: ClassVar[list] = []
    ours = ("ignore", None, UserWarning, re.compile(r"PIL\."), 0)  # as `warnings.filters` holds it

    @classmethod
    def change(cls) -> None:
        # Not `warnings.filterwarnings`: it also lets every warning that was shown once be shown again.
        cls.filters = cast(list, warnings.filters)
        cls.filters.insert(0, cls.ours)

    @classmethod
    def restore(cls) -> None:
        # The same list, also where another thread is inside of `catch_warnings` by now.
        with suppress(ValueError):  # the caller has emptied it since
            cls.filters.remove(cls.ours)


@contextmanager
def _while_needed(setting: type[_Limit] | type[_Text] | type[_Remarks]) -> Iterator[None]:
    with _lock:
        if not setting.users:
            setting.change()
        setting.users += 1
    try:
        yield
    finally:
        with _lock:
            setting.users -= 1
            if not setting.users:
                setting.restore()


def without_pixel_limit() -> AbstractContextManager[None]:
    """A context in which Pillow opens images of any size."""
    return _while_needed(_Limit)


def with_long_texts() -> AbstractContextManager[None]:
    """A context in which Pillow reads texts and profiles of PNGs of up to 16 MB."""
    return _while_needed(_Text)


def without_remarks() -> AbstractContextManager[None]:
    """A context in which Pillow's warnings on damaged metadata are not shown."""
    return _while_needed(_Remarks)
