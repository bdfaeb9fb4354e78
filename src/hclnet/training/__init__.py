"""Training: one LightningModule for all methods, batches, the run folder. No truth ever comes in here."""

from hclnet.training.objectness import learn_missing
from hclnet.training.run import CheckpointError, TrainResult, has_progress, is_finished, prepare_run, train_run

__all__ = ["CheckpointError", "TrainResult", "has_progress", "is_finished", "learn_missing", "prepare_run", "train_run"]
