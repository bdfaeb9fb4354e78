"""The browser that pages are tried in: where it is, what its absence means, and how well a page in it can be read."""

from __future__ import annotations

import importlib
import os
import shutil
from types import ModuleType
from typing import Any, NoReturn

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


def contrasts(tab: Any) -> dict[str, float]:
    """Texts whose contrast with the page is below 4.5 (WCAG AA)."""
    return tab.evaluate(
        """(() => {
          const rgb = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
          const luminance = (color) => {
            const [r, g, b] = color.map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const behind = (node) => {
            for (; node; node = node.parentElement) {
              const color = getComputedStyle(node).backgroundColor;
              if (!/, 0\\)$/.test(color) && color !== 'transparent') return rgb(color);
            }
          };
          const low = {};
          for (const node of document.querySelectorAll('main *, header *')) {
            const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
            if (!own || node.closest('button:disabled, option')) continue;
            const both = [luminance(rgb(getComputedStyle(node).color)), luminance(behind(node))];
            const contrast = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
            if (contrast < 4.5) low[node.outerHTML.slice(0, 80)] = contrast;
          }
          return low;
        })()"""
    )


def _absent(sentence: str) -> NoReturn:
    """On a person's machine the tests are left out. Where CI is set nobody would see that, so that it is a failure."""
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        pytest.skip(sentence)
    pytest.fail(sentence, pytrace=False)
