"""Images are read by other processes, so that one that takes too long, or makes its decoder crash, can be given up.

A decoder that does not come to an end can't be stopped in a thread. A process can be killed. Those here stay for the
next image, so that starting them costs little. Each is asked by one thread at a time, and ends by itself when it has
had nothing to do for a while.
"""

from __future__ import annotations

import atexit
import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from PIL import Image, ImageFile

from hclnet_runtime.data import images
from hclnet_runtime.data.reading_process import ALONE, BEGUN, FAILED, GO, IDLE, Request
from hclnet_runtime.text import shown

SECONDS = 60.0
"""In which an image has to be read."""

_TICK = 0.5  # seconds
_ROOT = str(Path(__file__).parents[2])  # where the runtime is imported from
_GONE = (EOFError, OSError, pickle.UnpicklingError)
_P = ParamSpec("_P")
_Result = TypeVar("_Result")


class NoProcess(OSError):
    """No process can be started that reads images."""


class Reading:
    """What reads images, each within a limit of time. While its block lasts, any number of threads may call `read`.

    Args:
        seconds: for an image; 0: no limit, and no other process.

    Raises:
        ValueError: it is no number of seconds.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
            raise ValueError(
                f"seconds_per_image={seconds}: it has to be a number of seconds, such as 60; 0 is no limit."
            )
        self.seconds = float(seconds)
        self._lock = threading.Lock()
        self._asked: set[_Process] = set()
        self._ended = False

    def __reduce__(self) -> tuple[type[Reading], tuple[float]]:
        """Sent to another process, it has the same limit."""
        return Reading, (self.seconds,)

    def __enter__(self) -> Reading:
        self._ended = False
        return self

    def __exit__(self, *_: object) -> None:
        """Who still waits for an image gets an error at once."""
        with self._lock:
            self._ended = True
            for process in self._asked:
                process.kill()

    def begin(self) -> None:
        """Start a process ahead of use."""
        if self.seconds:
            _keep(_waiting() or _Process())

    def read(self, function: Callable[_P, _Result], *args: _P.args, **options: _P.kwargs) -> _Result:
        """What a function returns, or raises.

        Args:
            function: of a module, of a path and more. What it takes and returns is pickled.
            args: its arguments, the path first.
            options: its arguments by name.

        Raises:
            ValueError: the file takes too long, or its decoder crashes.
            NoProcess: no process can be started.
        """
        if not self.seconds:
            return function(*args, **options)
        request = Request(
            function, args, options, self.seconds, _folder(), _other_formats(), ImageFile.LOAD_TRUNCATED_IMAGES
        )
        tried_again = False
        while True:
            process = _waiting() or _Process()
            with self._lock:
                if self._ended:
                    _keep(process)
                    raise ValueError(f"{shown(str(args[0]))} was not read: the work was stopped.")
                self._asked.add(process)
            try:
                if not process.begin(request):
                    continue  # it had nothing to do, and has ended
                kind, value = process.answer(self.seconds)
            except NoProcess:
                raise
            except _GONE:
                if self._was_stopped(process) and not tried_again:
                    tried_again = True
                    continue
                raise ValueError(f"{shown(str(args[0]))} {self._why(process)}") from None
            finally:
                with self._lock:
                    self._asked.discard(process)
                process.leave()
            if kind == FAILED:
                raise value
            return value

    def _was_stopped(self, process: _Process) -> bool:
        """Whether its own alarm has ended it, which comes after the limit: the system had stopped it and this one."""
        return process.end() == -getattr(signal, "SIGALRM", 0) and not process.is_late and not self._ended

    def _why(self, process: _Process) -> str:
        """Why a file was given up, as the rest of a sentence."""
        code = process.end()
        if self._ended:
            return "was not read: the work was stopped."
        if process.is_late or code == -getattr(signal, "SIGALRM", 0):
            return (
                f"can't be read within {self.seconds:g} seconds. Save it again, leave it out, or allow more time: "
                "--seconds-per-image."
            )
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        short = ", as the system does where memory is short" if code == -getattr(signal, "SIGKILL", 0) else ""
        return f"can't be decoded: the process that read it was ended ({how}{short}). Save it again, or leave it out."


class _Watch(threading.Thread):
    """Calls a function after some seconds. Those in which the system had stopped this process hardly count.

    Attributes:
        left: seconds.
    """

    def __init__(self, seconds: float, late: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.left, self._late, self._done = seconds, late, threading.Event()

    def run(self) -> None:
        while self.left > 0:
            begun = time.monotonic()
            is_done = self._done.wait(min(self.left, _TICK))
            self.left = max(0.0, self.left - min(time.monotonic() - begun, 2 * _TICK))
            if is_done:
                return
        self._late()

    def cancel(self) -> None:
        """Unless it is too late."""
        self._done.set()
        self.join()


class _Process:
    """One that reads images, one after the other."""

    def __init__(self) -> None:
        self.is_late, self.is_new, self._is_free = False, True, True
        paths = [path for path in sys.path if path]  # not "": a folder of images may have a numpy.py in it
        paths += [] if _ROOT in paths else [_ROOT]
        code = f"import sys; sys.path[:] = {paths!a}; from hclnet_runtime.data import reading_process as p; p.main()"
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **one_thread},
                process_group=0,  # Ctrl-C and Ctrl-Z at the terminal are for who asks
            )
        except OSError as error:
            raise NoProcess(f"No process can be started that reads images: {error.strerror}.") from None

    def begin(self, request: Request) -> bool:
        """Ask for an image. False: the process, asked before, is there no more.

        Raises:
            NoProcess: it never was.
        """
        self._is_free = False
        try:
            self._send(request)
            return bool(self._received() == BEGUN)
        except _GONE:
            code = self.end()
            if self.is_new:
                raise NoProcess(f"The process that reads images ends at once, with exit code {code}.") from None
            return False

    def answer(self, seconds: float) -> Any:
        """What it read.

        Raises:
            EOFError, OSError, UnpicklingError: it was ended.
        """
        watch = _Watch(seconds, self._too_late)
        watch.start()
        try:
            answer = self._received()
        finally:
            watch.cancel()
        if answer[0] != ALONE:
            self._is_free = True
            return answer
        with images.alone:  # the time in which it waits is not its own
            self._send(GO)
            return self.answer(watch.left)

    def leave(self) -> None:
        """Let others ask it, if it has answered."""
        if self._is_free:
            _keep(self)
        else:
            self.end()

    def is_there(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it. Who waits for it gets an error."""
        self._is_free = False
        self._process.kill()

    def end(self) -> int:
        """End it, and its exit code."""
        self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                with suppress(OSError):
                    stream.close()
        return self._process.wait()

    def forget(self) -> None:
        """In a copy of the process that started it, which is not to end it."""
        self._process.returncode = 0

    def _too_late(self) -> None:
        self.is_late = True
        self.kill()

    def _send(self, what: object) -> None:
        assert self._process.stdin
        pickle.dump(what, self._process.stdin, protocol=5)
        self._process.stdin.flush()

    def _received(self) -> Any:
        assert self._process.stdout
        return pickle.load(self._process.stdout)


_kept: list[tuple[float, _Process]] = []  # that nobody asks, and since when
_of_parent: list[_Process] = []
_guard = threading.Lock()


def _waiting() -> _Process | None:
    """One that nobody asks, to be asked."""
    with _guard:
        _drop_old()
        return _kept.pop()[1] if _kept else None


def _keep(process: _Process) -> None:
    process.is_new = False
    with _guard:
        _drop_old()
        _kept.append((time.monotonic(), process))


def _drop_old() -> None:
    """End those that have long had nothing to do, before they do it themselves."""
    oldest = time.monotonic() - IDLE / 2
    for since, process in [*_kept]:
        if since < oldest or not process.is_there():
            _kept.remove((since, process))
            process.end()


def _end_all() -> None:
    while _kept:
        _kept.pop()[1].end()


def _forget_all() -> None:
    """In a forked process, which shares the streams with its parent and must not use them."""
    global _guard
    _guard = threading.Lock()
    for _, process in _kept:
        process.forget()
        _of_parent.append(process)
    _kept.clear()


def _folder() -> str | None:
    """That names are relative to; None if it has been removed."""
    with suppress(OSError):
        return os.getcwd()  # noqa: PTH109
    return None


def _other_formats() -> tuple[bytes, ...]:
    """What Pillow opens by what this process has registered, as far as another one can import it."""
    found = []
    for name, (factory, accept) in Image.OPEN.items():
        if not getattr(factory, "__module__", "PIL").startswith("PIL."):
            with suppress(Exception):  # of a notebook, or a function in a function
                found.append(pickle.dumps((name, factory, accept)))
    return tuple(found)


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
