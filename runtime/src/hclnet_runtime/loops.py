"""Loops over pixels, compiled by Numba. Where it is not installed they run as plain Python, with the same results."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

import numpy as np

from hclnet_runtime.caches import cache_home

try:
    import numba
except ModuleNotFoundError:
    numba = None  # type: ignore[assignment]  # a module or nothing

COMPILED = numba is not None
"""Whether loops are machine code."""

code_folders: dict[str, Path | None] = {}
"""By function of `compiled`, the folder with its machine code; None where there is none."""


def compiled(**options: Any) -> Callable[[Callable], Callable]:
    """`numba.njit`, with the machine code kept beside the module, or in the user's cache folder, or in ours.

    Where none of them can be written, now or when there is something to write, each process compiles for itself.
    Without Numba the function is the same, and slower.

    Args:
        options: of `numba.njit`.
    """

    def decorate(function: Callable) -> Callable:
        if numba is None:
            return interpreted(function)
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


def interpreted(function: Callable) -> Callable:
    """The function as plain Python, in which whole numbers overflow in silence, as they do in machine code."""

    @wraps(function)
    def plain(*arguments: Any) -> Any:
        with np.errstate(over="ignore"):
            return function(*arguments)

    return plain


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
        folder = cache_home() / "numba"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, ValueError):  # ValueError: there is no home
        return None


def _if_it_can_be(act: Callable) -> Callable:
    """Reading or writing a file of the cache; a full disk or a damaged file means that there is none."""

    def attempt(*arguments: Any) -> Any:
        try:
            return act(*arguments)
        except (OSError, EOFError, pickle.UnpicklingError):
            return None

    return attempt
