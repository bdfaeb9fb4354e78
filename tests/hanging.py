"""Files that are never read to their end, and a format of Pillow's for them: what reads them can be started by a test.

A process that reads images imports this module by its name.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image, ImageFile

from hclnet_runtime.data import images

NAME = "HANGING"
IN_HEADER, IN_PIXELS, CRASH = b"HANGING in its header", b"HANGING in its pixels", b"HANGING, no: a crash"


class Hanging(ImageFile.ImageFile):
    """Computes for ever in the header, or waits for ever in the pixels, or crashes."""

    format = NAME

    def _open(self) -> None:
        self._start = self.fp.read(len(IN_HEADER))
        if self._start == IN_HEADER:
            re.match("(a|a)*b", "a" * 100)  # which lets no other thread of its process do anything
        self._mode, self._size = "RGB", (64, 64)

    def load(self) -> Any:
        """The pixels, never."""
        if self._start == CRASH:
            os.kill(os.getpid(), signal.SIGSEGV)
        threading.Event().wait()


def is_hanging(prefix: bytes) -> bool:
    """Whether a file is of this format."""
    return prefix.startswith(b"HANGING")


@contextmanager
def format_known() -> Iterator[None]:
    """Pillow opens such files."""
    Image.init()
    Image.register_open(NAME, Hanging, is_hanging)
    try:
        yield
    finally:
        Image.ID.remove(NAME)
        del Image.OPEN[NAME]


def process_of(path: Path) -> int:
    """Which process reads."""
    return os.getpid()


def wait_for_ever(path: Path) -> None:
    """Say which process it is, in a file, and never come back."""
    _say(path)
    threading.Event().wait()


def wait_for(path: Path, other: Path) -> str:
    """Say which process it is, in a file, and come back when there is another one."""
    _say(path)
    while not other.exists():
        threading.Event().wait(0.01)
    return "came"


def _say(path: Path) -> None:
    part = path.with_suffix(".part")
    part.write_text(str(os.getpid()))
    part.replace(path)


def alone(path: Path) -> str:
    """As an image of many pixels is decoded."""
    path.touch()
    with images.alone, images.alone:
        return "was alone"


def with_words(path: Path) -> None:
    """As some decoders do."""
    print("words on standard output")
    os.write(1, b"more of them")
    raise LookupError(f"of {path}")
