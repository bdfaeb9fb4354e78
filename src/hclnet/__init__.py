"""hclnet: boxes without boxes. Images with class labels in, boxes and heatmaps out.

    import hclnet
    hclnet.locate("photo.jpg").plot()                    # the packaged ImageNet classifier, no training
    hclnet.train("my_photos/", out="runs/mine")          # one folder per class
    hclnet.load("runs/mine").locate("new.jpg").box

Names are loaded on first use, so that `import hclnet` does not import torch.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "DataSet": "types",
    "Localization": "types",
    "Records": "types",
    "Sample": "types",
    "GroundTruth": "types",
    "Localizer": "localizer.localizer",
    "RunConfig": "config",
    "calibrate": "workflows.calibrate",
    "calibrate_rejection": "workflows.calibrate",
    "compare": "workflows.compare",
    "evaluate": "workflows.api",
    "load": "workflows.api",
    "locate": "workflows.api",
    "locate_files": "workflows.locate",
    "read": "data",
    "reproduce": "reproduce",
    "score": "workflows.score",
    "train": "workflows.api",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hclnet' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hclnet.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """Importing a submodule makes it an attribute of its package; `evaluate` and `compare` stay the functions."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
