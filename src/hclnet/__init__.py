"""Object boxes from class labels: weakly supervised object localization.

    import hclnet
    hclnet.locate("photo.jpg").plot()                    # the packaged ImageNet classifier, no training
    hclnet.train("my_photos/", out="runs/mine")          # one folder per class
    hclnet.load("runs/mine").locate("new.jpg").box

Names are loaded on first use, so that `import hclnet` does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what editors and type checkers see; `_HOME` says the same at run time, and a test compares them
    from hclnet.config import Inference, RunConfig
    from hclnet.data import read
    from hclnet.localizer.localizer import Localizer
    from hclnet.metrics.calibration import Calibration
    from hclnet.metrics.rejection import Rejection
    from hclnet.paper import Reproduction, reproduce
    from hclnet.training.folder import TrainResult
    from hclnet.types import DataSet, GroundTruth, Localization, LocatedObject, MaskFiles, Records, Sample
    from hclnet.workflows.calibrate import calibrate, calibrate_rejection
    from hclnet.workflows.compare import compare
    from hclnet.workflows.comparison import ComparisonRow
    from hclnet.workflows.convert import Converted, convert
    from hclnet.workflows.evaluate import Evaluation, evaluate
    from hclnet.workflows.export import Exported, export
    from hclnet.workflows.load import load, locate
    from hclnet.workflows.locate import Located, locate_files
    from hclnet.workflows.push import push
    from hclnet.workflows.score import Score, score
    from hclnet.workflows.shards import Shards, locate_shards
    from hclnet.workflows.train import train

__version__ = "0.1.0"

_HOME = {
    "Calibration": "metrics.calibration",
    "ComparisonRow": "workflows.comparison",
    "Converted": "workflows.convert",
    "DataSet": "types",
    "Evaluation": "workflows.evaluate",
    "Exported": "workflows.export",
    "GroundTruth": "types",
    "Inference": "config",
    "Localization": "types",
    "Localizer": "localizer.localizer",
    "Located": "workflows.locate",
    "LocatedObject": "types",
    "MaskFiles": "types",
    "Records": "types",
    "Rejection": "metrics.rejection",
    "Reproduction": "paper",
    "RunConfig": "config",
    "Sample": "types",
    "Score": "workflows.score",
    "Shards": "workflows.shards",
    "TrainResult": "training.folder",
    "calibrate": "workflows.calibrate",
    "calibrate_rejection": "workflows.calibrate",
    "compare": "workflows.compare",
    "convert": "workflows.convert",
    "evaluate": "workflows.evaluate",
    "export": "workflows.export",
    "load": "workflows.load",
    "locate": "workflows.load",
    "locate_files": "workflows.locate",
    "locate_shards": "workflows.shards",
    "push": "workflows.push",
    "read": "data",
    "reproduce": "paper",
    "score": "workflows.score",
    "train": "workflows.train",
}

__all__ = [
    "Calibration",
    "ComparisonRow",
    "Converted",
    "DataSet",
    "Evaluation",
    "Exported",
    "GroundTruth",
    "Inference",
    "Localization",
    "Localizer",
    "Located",
    "LocatedObject",
    "MaskFiles",
    "Records",
    "Rejection",
    "Reproduction",
    "RunConfig",
    "Sample",
    "Score",
    "Shards",
    "TrainResult",
    "__version__",
    "calibrate",
    "calibrate_rejection",
    "compare",
    "convert",
    "evaluate",
    "export",
    "load",
    "locate",
    "locate_files",
    "locate_shards",
    "push",
    "read",
    "reproduce",
    "score",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'hclnet' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hclnet.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
