"""One training, in a run folder that is usable and resumable at every moment."""

from __future__ import annotations

import csv
import logging
import signal
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from hclnet.config import RunConfig
from hclnet.data.scales import described, learn_gray
from hclnet.device import PRECISIONS, precision_name, resolve_precision
from hclnet.localizer.cache import cached_features
from hclnet.localizer.localizer import Localizer
from hclnet.maps.augmentation import View
from hclnet.progress import Report, bar
from hclnet.randomness import random_states_kept
from hclnet.storage import check_writable, whole, write_json
from hclnet.training.batches import FeatureBatches, ImageBatches, loader
from hclnet.training.checkpoint import WholeFiles
from hclnet.training.folder import CheckpointError, TrainResult, is_run, precision_of
from hclnet.training.foreground import learn_missing
from hclnet.training.module import Training
from hclnet.types import Log, Sample


def train_run(
    config: RunConfig,
    classes: tuple[str, ...],
    samples: Sequence[Sample],
    out: Path,
    label: str = "Training",
    log: Log | None = None,
) -> TrainResult:
    """Train a localizer in a prepared run folder, from its last checkpoint if it has one.

    Args:
        config: what to train.
        classes: names, by label.
        samples: the training images; they carry labels and nothing else.
        out: the run folder, as `prepare_run` left it.
        label: for the progress bar.
        log: called with lines for a person.

    Raises:
        ValueError: the configuration asks for what does not exist, an image can't be read, or the loss diverged.
    """
    started = time.monotonic()
    checkpoint = out / "checkpoints" / "last.ckpt"
    localizer = Localizer.from_config(config, classes)
    chosen = resolve_precision(config.precision, localizer.device, training=True)
    localizer.trained_precision = precision_of(out) or precision_name(chosen)
    localizer.dtype = dtype = PRECISIONS[localizer.trained_precision]
    check_writable(out, _room(localizer, config))
    method, store = localizer.method, None
    localizer.gray = learn_gray([s.path for s in samples], config.gray_max)
    if log:
        for line in described(localizer.gray):
            log(line)
    dataset: FeatureBatches | ImageBatches
    if config.tune == "heads":
        with bar(f"Features at {config.size} px") as report:
            store = cached_features(
                localizer.backbone,
                method.in_features,
                samples,
                config.size,
                dtype,
                localizer.device,
                True,
                progress=report,
                gray=localizer.gray,
            )
        dataset = FeatureBatches(store, samples, len(classes), config.seed)
    else:
        dataset = ImageBatches(samples, config.size, len(classes), config.seed, localizer.gray)
    batches = loader(dataset, config.batch, config.seed, config.workers)
    epochs = config.epochs_of(len(batches))
    module = Training(localizer, config, total_steps=epochs * len(batches))

    interrupted = False
    previous = signal.getsignal(signal.SIGINT)
    with bar(label, unit="steps") as report, _quiet(), random_states_kept():
        pl.seed_everything(config.seed, verbose=False)
        trainer = pl.Trainer(
            accelerator={"cuda": "gpu"}.get(localizer.device.type, localizer.device.type),
            devices=1 if localizer.device.index is None else [localizer.device.index],
            precision="bf16-mixed" if dtype == torch.bfloat16 else "32-true",
            max_epochs=epochs,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            plugins=[WholeFiles()],
            callbacks=[
                _Rows(out / "metrics.csv", report, epochs * len(batches)),
                ModelCheckpoint(
                    out / "checkpoints",
                    filename="last",
                    save_top_k=1,
                    every_n_epochs=1,
                    save_on_train_epoch_end=True,
                    enable_version_counter=False,
                ),
            ],
        )
        try:
            trainer.fit(module, batches, ckpt_path=checkpoint if checkpoint.is_file() else None, weights_only=True)
        except SystemExit:  # Lightning's answer to Ctrl-C
            if not trainer.interrupted:
                raise
            interrupted = True
        finally:
            signal.signal(signal.SIGINT, previous)
    localizer.to(localizer.device).dtype = dtype  # what an object's features are is learned as all the rest was
    learn_missing(localizer, samples, [View(localizer.size), *localizer.views], store)
    localizer.save(out / "localizer")
    localizer.to(localizer.device)
    seconds = time.monotonic() - started
    state = {"finished": not interrupted, "epochs": trainer.current_epoch, "seconds": seconds}
    write_json(out / "state.json", state)
    return TrainResult(localizer, not interrupted, trainer.current_epoch, seconds)


def _room(localizer: Localizer, config: RunConfig) -> int:
    """Bytes that a run folder takes at most: the localizer, and two checkpoints while one gives way to the next."""
    parts = (localizer.backbone, localizer.method)
    sizes = [sum(t.numel() * t.element_size() for t in part.state_dict().values()) for part in parts]
    learned = sum(sizes) if config.tune == "all" else sizes[1]
    return int(sum(sizes) + 2 * 3 * learned)  # a checkpoint has weights and the optimizer's two moments


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
