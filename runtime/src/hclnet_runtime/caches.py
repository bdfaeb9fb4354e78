"""Where what can be computed again is kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_home() -> Path:
    """The folder for what can be computed again: `HCLNET_CACHE`, or the user's cache folder.

    Raises:
        ValueError: none is named and the user has no home.
    """
    try:
        if named := os.environ.get("HCLNET_CACHE"):
            return Path(named).expanduser()
        if user := os.environ.get("XDG_CACHE_HOME"):
            return Path(user) / "hclnet"
        return Path.home() / ".cache" / "hclnet"
    except RuntimeError:
        raise ValueError("There is no home folder to keep a cache in. Set HCLNET_CACHE to a folder of yours.") from None
