"""Ray: the cluster that is worked on, or one of our own on this machine. No torch in here."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any

from hclnet.types import Log

_OBJECTS = 200 * 2**20  # bytes of memory for what is on its way: names and boxes
_LOCAL = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on Linux too: it listens on the loopback address alone
    "RAY_USAGE_STATS_ENABLED": "0",
}
_QUIET = {"RAY_BACKEND_LOG_LEVEL": "fatal"}  # it warns of what Ray Data does by itself


def check_ray(device: str) -> None:
    """Raises:
    ValueError: Ray Data is not installed, or the device can't be used with it.
    """
    if find_spec("ray") is None or find_spec("pandas") is None:
        raise ValueError("--engine ray needs one more package:  pip install 'hclnet[ray]'")
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"--device {device} can't be with --engine ray, which gives each worker a card: write cuda.")


@contextmanager
def connected(workers: int | None) -> Iterator[Any]:
    """Ray, as the caller has begun it; else the cluster that `RAY_ADDRESS` names, else one of our own on this machine.

    Args:
        workers: how many one of our own is for; by default as many as there are processors.

    Raises:
        ValueError: it can't be reached.
    """
    address = os.environ.get("RAY_ADDRESS")
    with ExitStack() as at_the_end:
        with ExitStack() as meanwhile:
            if not address and "ray" not in sys.modules:  # it looks when it is imported
                meanwhile.enter_context(_environment(_LOCAL))
            import ray
            import ray.data

            if not ray.is_initialized():
                meanwhile.enter_context(_environment(_QUIET))
                with _sigterm_kept(), _faults(ray, "reached" if address else "started"):
                    at_the_end.enter_context(_joined(ray, address) if address else _own(ray, workers))
                at_the_end.enter_context(_hushed("ray.data"))
        yield ray


def resources(ray: Any, workers: int | None, device: str) -> tuple[int, int]:
    """How many cards there are to compute on, and how many workers there are to be.

    Args:
        ray: of `connected`.
        workers: how many a person wants; by default one for each card, or for each processor where there is no card.
        device: auto, cpu or cuda.

    Raises:
        ValueError: there is no card, and one is asked for.
    """
    have = ray.cluster_resources()
    cards = 0 if device == "cpu" else int(have.get("GPU", 0))
    if device == "cuda" and not cards:
        raise ValueError("--device cuda can't be used: Ray has no card. Write --device cpu.")
    return cards, workers or cards or max(1, int(have.get("CPU", 1)))


@contextmanager
def told_if_busy(ray: Any, cards: int, log: Log | None, seconds: float = 60) -> Iterator[Callable[[], None]]:
    """Says once that nothing has begun, where no processor or card was free from the start.

    Args:
        ray: of `connected`.
        cards: how many there are to compute on.
        log: for a person.
        seconds: until it is said.

    Yields:
        What is called when the first result is there.
    """
    what, name = ("graphics cards", "GPU") if cards else ("processors", "CPU")
    if log is None or ray.available_resources().get(name, 0) >= 1:
        yield lambda: None
        return
    said = f"No image is located yet: none of Ray's {what} was free. The work begins when one is."
    timer = threading.Timer(seconds, log, [said])
    timer.daemon = True
    timer.start()
    try:
        yield timer.cancel
    finally:
        timer.cancel()


def first_line(error: BaseException) -> str:
    """What an error of Ray's says, without the calls that led to it; it ends with a full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".") + "."


@contextmanager
def _joined(ray: Any, address: str) -> Iterator[None]:
    """A cluster that is there."""
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        yield
    finally:
        ray.shutdown()


@contextmanager
def _own(ray: Any, workers: int | None) -> Iterator[None]:
    """A Ray of our own, which is there from here on; at the end its files go."""
    folder = None if "RAY_TMPDIR" in os.environ else tempfile.mkdtemp(prefix="ray-")
    os.environ.setdefault("RAY_AUTH_TOKEN", _token())  # and it stays: Ray asks for one from now on in this process
    with _environment(_LOCAL):
        try:
            ray.init(
                "local",
                num_cpus=workers,
                include_dashboard=False,
                object_store_memory=_OBJECTS,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=folder,
            )
            yield
        finally:
            ray.shutdown()
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)


@cache
def _token() -> str:
    """A process of Ray's has to show it to another one; Ray reads it once."""
    return secrets.token_hex(32)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Variables that are set for a while, except those that somebody else has set."""
    new = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)


@contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it begins."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():  # None: it is none of Python's
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _faults(ray: Any, what: str) -> Iterator[None]:
    try:
        yield
    except (ConnectionError, RuntimeError, OSError, ray.exceptions.RayError) as error:
        raise ValueError(f"Ray can't be {what}: {first_line(error)}") from error


@contextmanager
def _hushed(name: str) -> Iterator[None]:
    """A logger that says nothing for a while."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
