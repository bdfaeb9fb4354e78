"""Where the browser is that the reports are tried in, and what its absence means."""

from __future__ import annotations

import importlib
import os
import shutil
from types import ModuleType
from typing import NoReturn

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
# No graphics card, and no traffic of the browser's own.
_WITHOUT = ("background-networking", "component-update", "gpu", "quic", "sync")
ARGUMENTS = ["--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in _WITHOUT)]


def find_chromium() -> str:
    """The path of the browser, of which there has to be one in continuous integration."""
    return next((path for name in NAMES if (path := shutil.which(name))), None) or _absent(
        "There is no Chromium here, in which the reports are tried. Install it: apt-get install chromium."
    )


def playwright() -> ModuleType:
    """What drives the browser; as above."""
    try:
        return importlib.import_module("playwright.sync_api")
    except ImportError:
        _absent("There is no playwright here, which drives the browser. Install it: pip install playwright.")


def _absent(sentence: str) -> NoReturn:
    """On a person's machine the tests are left out. Where CI is set nobody would see that, so that it is a failure."""
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        pytest.skip(sentence)
    pytest.fail(sentence, pytrace=False)
