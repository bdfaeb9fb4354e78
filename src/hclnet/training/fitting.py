"""The steps of a training, by Lightning, in one process: the only one, or one of several that share each batch."""

from __future__ import annotations

import csv
import logging
import signal
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from hclnet.config import RunConfig
from hclnet.localizer.localizer import Localizer
from hclnet.progress import Report
from hclnet.randomness import random_states_kept
from hclnet.storage import whole
from hclnet.training.batches import EpochBatches, FeatureBatches, ImageBatches, loader, workers_of
from hclnet.training.checkpoint import WholeFiles
from hclnet.training.folder import CheckpointError, is_run
from hclnet.training.module import Training
from hclnet.training.part import WHOLE, Part


@dataclass(frozen=True, slots=True)
class Fit:
    """How far a training came.

    Attributes:
        finished: all epochs are done; False after an interruption.
        epochs: whole epochs that are done.
    """

    finished: bool
    epochs: int


class Stopped(BaseException):
    """Asked for by the process that started this one; what was learned is in the localizer.

    Args:
        epochs: whole epochs that are done.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__(epochs)
        self.epochs = epochs


def last_checkpoint(out: Path) -> Path:
    """Of the last whole epoch of a run."""
    return out / "checkpoints" / "last.ckpt"


def fit(
    localizer: Localizer,
    config: RunConfig,
    dataset: FeatureBatches | ImageBatches,
    out: Path,
    report: Report,
    part: Part = WHOLE,
    devices: dict[str, Any] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Fit:
    """Teach a localizer, from the last checkpoint of its run if there is one.

    Args:
        localizer: it learns; its `dtype` is the precision.
        config: of the run.
        dataset: to learn from.
        out: the run folder.
        report: called with steps done and steps in all.
        part: what this process has of each batch.
        devices: arguments of Lightning's trainer, where it is not the localizer's device alone.
        stop: asked after each step whether it is to be the last one.

    Raises:
        ValueError: the loss diverged, an image can't be read, or the run folder can't be written.
        Stopped: `stop` said so.
    """
    decoded = config.tune == "all"
    workers = workers_of(localizer.device, part.processes, config.workers) if decoded else config.workers or 0
    loaded = loader(dataset, config.batch, config.seed, workers, part)
    batches = loaded.sampler
    assert isinstance(batches, EpochBatches)
    epochs = config.epochs_of(len(batches))
    module = Training(localizer, config, epochs * len(batches), batches)
    checkpoint, device = last_checkpoint(out), localizer.device
    own = {"accelerator": accelerator(device), "devices": 1 if device.index is None else [device.index]}
    interrupted = False
    previous = signal.getsignal(signal.SIGINT)
    with _quiet(), random_states_kept():
        pl.seed_everything(config.seed, verbose=False)
        trainer = pl.Trainer(
            **(devices or own),
            precision="bf16-mixed" if localizer.dtype == torch.bfloat16 else "32-true",
            max_epochs=epochs,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            plugins=[WholeFiles()],
            callbacks=[
                _Rows(out / "metrics.csv", report, epochs * len(batches)),
                _Stops(stop or (lambda: False)),
                ModelCheckpoint(
                    checkpoint.parent,
                    filename=checkpoint.stem,
                    save_top_k=1,
                    every_n_epochs=1,
                    save_on_train_epoch_end=True,
                    enable_version_counter=False,
                ),
            ],
        )
        try:
            trainer.fit(module, loaded, ckpt_path=checkpoint if checkpoint.is_file() else None, weights_only=True)
        except SystemExit:  # Lightning's answer to Ctrl-C
            if not trainer.interrupted:
                raise
            interrupted = True
        finally:
            signal.signal(signal.SIGINT, previous)
    return Fit(not interrupted, trainer.current_epoch)


def accelerator(device: torch.device) -> str:
    """Lightning's name of a kind of device."""
    return {"cuda": "gpu"}.get(device.type, device.type)


class _Stops(Callback):
    """Ends the training after the step in which it is asked to."""

    def __init__(self, stop: Callable[[], bool]) -> None:
        self.stop = stop

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if self.stop():
            raise Stopped(trainer.current_epoch)


class _Rows(Callback):
    """A row of `metrics.csv` per epoch, and the progress bar. After a resume, rows of replayed epochs go."""

    def __init__(self, path: Path, report: Report, steps: int) -> None:
        self.path, self.report, self.steps = path, report, steps
        self.rows: list[dict[str, object]] = []
        self.started = self.lr = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.path.exists():
            with self.path.open(encoding="utf-8", newline="") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["epoch"]) <= trainer.current_epoch]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = time.monotonic()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        self.lr = trainer.optimizers[0].param_groups[0]["lr"]  # after the step it is the next one's

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        self.report(trainer.global_step, self.steps)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raises:
        CheckpointError: the run folder is gone; what is written now would be no run.
        """
        assert isinstance(pl_module, Training)
        if not is_run(self.path.parent):
            raise CheckpointError(f"{self.path.parent} was removed while it was trained. Begin again.")
        metrics = pl_module.epoch_metrics()
        if not trainer.is_global_zero:
            return
        seconds = round(time.monotonic() - self.started, 3)
        self.rows.append({"epoch": trainer.current_epoch + 1, "lr": self.lr, **metrics, "seconds": seconds})
        with whole(self.path) as part, part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(self.rows[-1]))
            writer.writeheader()
            writer.writerows(self.rows)
        self.report(trainer.global_step, self.steps, f"loss {metrics['loss']:.3f}, top-1 {metrics['top1']:.3f}")


class _quiet:
    """Silences Lightning's hints that are wrong or noise here, and no other warning."""

    def __enter__(self) -> None:
        self._catch = warnings.catch_warnings()
        self._catch.__enter__()
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
        warnings.filterwarnings("ignore", message=".*The dirpath has changed from .*")  # a run folder that was moved
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
        warnings.filterwarnings("ignore", message=".*Grad strides do not match bucket view strides.*")  # of 1x1 weights
        self._loggers = [logging.getLogger(n) for n in ("lightning.pytorch", "lightning.fabric")]
        self._levels = [logger.level for logger in self._loggers]
        for logger in self._loggers:
            logger.setLevel(logging.WARNING)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for logger, level in zip(self._loggers, self._levels):
            logger.setLevel(level)
        self._catch.__exit__(kind, error, trace)
