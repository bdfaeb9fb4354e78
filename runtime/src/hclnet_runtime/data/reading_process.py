"""The process that reads images for another one, which starts and ends it: `hclnet_runtime.data.reading`.

Requests come on its standard input, answers go to its standard output, pickled: both ends are hclnet's own.
"""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from PIL import Image, ImageFile

from hclnet_runtime.data import images

IDLE = 60.0
"""Seconds without a request, after which the process ends."""

BEGUN, DONE, FAILED, ALONE, GO = "begun", "done", "failed", "alone", "go"
_MORE = 5.0  # seconds over the limit, in which the other process ends this one, unless it is gone


@dataclass(frozen=True, slots=True)
class Request:
    """What to read.

    Attributes:
        function: what reads.
        args, options: its arguments.
        seconds: in which it has to.
        folder: that names are relative to; None: there is none.
        formats: what Pillow is to open besides its own, as `Image.register_open` takes it, each pickled.
        truncated: Pillow's `LOAD_TRUNCATED_IMAGES`.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    options: Mapping[str, Any]
    seconds: float
    folder: str | None
    formats: tuple[bytes, ...]
    truncated: bool


class _Turn:
    """While it is held, no other process decodes an image of many pixels. It is had to the end of a request."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self.requests, self.answers, self.is_had = requests, answers, False

    def __enter__(self) -> None:
        if not self.is_had:
            left = _alarm_in(0)
            _send(self.answers, (ALONE, None))
            pickle.load(self.requests)
            _alarm_in(left)
            self.is_had = True

    def __exit__(self, *_: object) -> None:
        pass


def main() -> None:
    """Read until nobody asks any more."""
    for number in (signal.SIGINT, signal.SIGTERM):  # who asks gets them too, and ends this process if need be
        signal.signal(number, signal.SIG_IGN)
    requests, answers = _own_streams()
    known: set[bytes] = set()
    folder = None
    with suppress(EOFError, BrokenPipeError):  # who asks is gone
        while True:
            _alarm_in(IDLE)
            request = pickle.load(requests)
            if request.folder not in (None, folder):
                os.chdir(folder := request.folder)
            images.alone = _Turn(requests, answers)
            ImageFile.LOAD_TRUNCATED_IMAGES = request.truncated
            for each in request.formats:
                if each not in known:
                    known.add(each)
                    Image.init()  # its own first
                    with suppress(Exception):  # what can't be imported here is not known here
                        Image.register_open(*pickle.loads(each))
            _send(answers, BEGUN)
            _alarm_in(request.seconds + _MORE)
            _send(answers, _answer(request))


def _answer(request: Request) -> tuple[str, Any]:
    try:
        return DONE, request.function(*request.args, **request.options)
    except Exception as error:  # for the other process to judge
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return FAILED, RuntimeError(f"{type(error).__name__}: {error}")
        return FAILED, error


def _send(stream: BinaryIO, what: object) -> None:
    pickle.dump(what, stream, protocol=5)
    stream.flush()


def _own_streams() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output, which nothing else is to read or to write from now on."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return requests, answers


def _alarm_in(seconds: float) -> float:
    """The system ends this process then, whatever it does; 0: not any more. How many seconds were left."""
    if not hasattr(signal, "setitimer"):
        return 0.0
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    return signal.setitimer(signal.ITIMER_REAL, seconds)[0]
