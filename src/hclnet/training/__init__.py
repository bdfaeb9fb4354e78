"""Training: one LightningModule for all methods, batches, the run folder. No truth ever comes in here.

What trains is in `training.run`; only who imports that waits for Lightning.
"""

from hclnet.training.folder import CheckpointError, TrainResult, has_progress, is_finished, prepare_run
from hclnet.training.objectness import learn_missing

__all__ = ["CheckpointError", "TrainResult", "has_progress", "is_finished", "learn_missing", "prepare_run"]
