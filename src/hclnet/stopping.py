"""Ctrl-C and SIGTERM while results are made: both stop the work, neither in the middle of what has to be done whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_TERMINATED = 128 + signal.SIGTERM


class Stopping:
    """While its block lasts SIGINT raises KeyboardInterrupt and SIGTERM raises SystemExit(143).

    Signals that something else handles, or ignores, are left alone; so are all of them outside of the main thread.
    """

    def __init__(self) -> None:
        self._held = 0
        self._waiting: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopping:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.getsignal(number)
                if before in (signal.SIG_DFL, signal.default_int_handler):
                    self._before[number] = before
                    signal.signal(number, self._on)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    @contextmanager
    def held(self) -> Iterator[None]:
        """What stands in here is done whole; a signal that comes meanwhile stops the work right after it."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if self._waiting is not None and not self._held:
            number, self._waiting = self._waiting, None
            self._stop(number)

    def _on(self, number: int, frame: FrameType | None) -> None:
        if self._held:
            self._waiting = number
        else:
            self._stop(number)

    @staticmethod
    def _stop(number: int) -> None:
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(_TERMINATED)
