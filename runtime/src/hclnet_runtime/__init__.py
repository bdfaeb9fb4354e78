"""Object boxes from an exported hclnet model, without torch.

    from hclnet_runtime import load
    load("mine.onnx").locate("photo.jpg").box

hclnet uses the same code. Names are loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what editors and type checkers see; `_HOME` says the same at run time
    from hclnet_runtime.model import Model, load
    from hclnet_runtime.types import Localization, LocatedObject

__version__ = "0.1.0"

_HOME = {"Localization": "types", "LocatedObject": "types", "Model": "model", "load": "model"}

__all__ = ["Localization", "LocatedObject", "Model", "__version__", "load"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'hclnet_runtime' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hclnet_runtime.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
