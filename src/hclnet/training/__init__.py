"""Training: one LightningModule for all methods, batches, the run folder. No ground truth ever comes in here.

What trains is in `training.run`; only who imports that waits for Lightning.
"""

from hclnet.training.batches import check_divides
from hclnet.training.completed import complete_run
from hclnet.training.folder import (
    CheckpointError,
    TrainResult,
    check_free,
    check_resumable,
    has_progress,
    is_finished,
    is_run,
    prepare_run,
)
from hclnet.training.foreground import learn_missing

__all__ = [
    "CheckpointError",
    "TrainResult",
    "check_divides",
    "check_free",
    "check_resumable",
    "complete_run",
    "has_progress",
    "is_finished",
    "is_run",
    "learn_missing",
    "prepare_run",
]
