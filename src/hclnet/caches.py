"""What can be computed again and is kept where there is a place for it. Nothing here needs torch."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba

from hclnet.config import cache_home
from hclnet.storage import Unwritable, check_writable
from hclnet.text import shown

code_folders: dict[str, Path | None] = {}
"""By function of `compiled`, the folder with its machine code; None where there is none."""


def writable(folder: Path) -> Path:
    """The folder, made if need be.

    Raises:
        ValueError: it can't be written; the message says what to do.
    """
    try:
        check_writable(folder)
    except Unwritable as error:
        reason = getattr(error.__cause__, "strerror", None) or str(error)
        why = f"{reason[:1].lower()}{reason[1:].rstrip('.')}"
        raise ValueError(
            f"The cache {shown(folder)} can't be written: {why}. Set HCLNET_CACHE to a folder of yours."
        ) from None
    return folder


def compiled(**options: Any) -> Callable[[Callable], Callable]:
    """`numba.njit`, with the machine code kept beside the module, or in the user's cache folder, or in ours.

    Where none of them can be written, now or when there is something to write, each process compiles for itself.

    Args:
        options: of `numba.njit`.
    """

    def decorate(function: Callable) -> Callable:
        try:
            loops = _cached(function, options)
            code_folders[function.__qualname__] = Path(loops._cache.cache_path)
        except RuntimeError:  # "no locator available"
            code_folders[function.__qualname__] = None
            plain: Callable = numba.njit(**options)(function)
            return plain
        cache = loops._cache
        cache.load_overload, cache.save_overload = (
            _if_it_can_be(cache.load_overload),
            _if_it_can_be(cache.save_overload),
        )
        compiled: Callable = loops
        return compiled

    return decorate


def _cached(function: Callable, options: dict[str, Any]) -> Any:
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:
        if not (ours := _ours()):
            raise
        numba.config.CACHE_DIR = str(ours)  # type: ignore[attr-defined]  # numba sets its settings at run time
        return numba.njit(cache=True, **options)(function)


@lru_cache
def _ours() -> Path | None:
    try:
        return writable(cache_home() / "numba")
    except ValueError:
        return None


def _if_it_can_be(act: Callable) -> Callable:
    """Reading or writing a file of the cache; a full disk or a damaged file means that there is none."""

    def attempt(*arguments: Any) -> Any:
        try:
            return act(*arguments)
        except (OSError, EOFError, pickle.UnpicklingError):
            return None

    return attempt


def _no_remark_on_folders(record: logging.LogRecord) -> bool:
    remarks = ("not a writable directory", "mkdir -p failed", "temporary cache directory")
    return not any(remark in record.getMessage() for remark in remarks)


# matplotlib, which several packages import, does without a folder of the user's, and need not say so each time.
logging.getLogger("matplotlib").addFilter(_no_remark_on_folders)
