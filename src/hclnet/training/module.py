"""The one LightningModule that trains every method."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from jaxtyping import Float, UInt8
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional as F

from hclnet.backbones import Features
from hclnet.config import RunConfig
from hclnet.localizer.features import as_input
from hclnet.localizer.localizer import Localizer
from hclnet.methods.whole_batch import has_share
from hclnet.training.batches import Batch, EpochBatches, step_random
from hclnet.training.optimizer import build_optimizer, build_schedule
from hclnet.training.part import WHOLE


class Diverged(ValueError):
    """The loss is no longer a number."""


class Training(pl.LightningModule):
    """Teaches a localizer's method, and with `tune=all` its backbone, by the method's own loss.

    What learns is in training mode: the batch norms of a backbone that is tuned follow its batches.

    Args:
        localizer: with method and backbone.
        config: of the run.
        total_steps: of all epochs together.
        batches: that several processes share, if they do. Lightning takes the mean of their gradients. So each weights
            its loss by its images, and the gradient is that of the whole batch, however it is divided.
    """

    def __init__(
        self, localizer: Localizer, config: RunConfig, total_steps: int, batches: EpochBatches | None = None
    ) -> None:
        super().__init__()
        self.method = localizer.method
        if config.tune == "all":
            self.backbone = localizer.backbone
        self.config = config
        self.total_steps = total_steps
        self.batches, self.part = batches, batches.part if batches else WHOLE
        self.sums: dict[str, Tensor] = {}
        self.train()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        backbone = self.backbone if self.config.tune == "all" else None
        optimizer = build_optimizer(self.config, self.method, backbone)
        schedule = build_schedule(self.config, optimizer, self.total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        def move(value: Any) -> Any:
            if isinstance(value, dict):
                return {k: move(v) for k, v in value.items()}
            return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value

        return Batch(*(move(getattr(batch, f.name)) for f in dataclasses.fields(batch)))

    def on_train_epoch_start(self) -> None:
        self.sums = {}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        if self.batches is None or self.part.processes == 1:
            return self._loss(batch, len(batch.targets), batch_idx)
        whole = self.batches.size(batch_idx)
        share = len(batch.targets) / whole
        with has_share(share):
            return self._loss(batch, whole, batch_idx) * (self.part.processes * share)

    def _loss(self, batch: Batch, whole: int, batch_idx: int) -> Float[Tensor, ""]:
        """The loss of a batch of `whole` images, or of the part of it that this process has."""
        random = step_random(self.config.seed, self.current_epoch, batch_idx)
        features, targets = self._features(batch, random, whole)
        true = targets.argmax(1)
        output = self.method(features, true)
        targets = torch.lerp(targets, torch.full_like(targets, 1 / targets.shape[1]), self.config.label_smoothing)
        terms = self.method.loss(output, targets)
        total = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(total):
            values = ", ".join(f"{name} {float(term.detach()):.3g}" for name, term in terms.items())
            saved = "The checkpoint of the last whole epoch is kept" if self.current_epoch else "No epoch was whole yet"
            raise Diverged(
                f"The loss is not a number any more (epoch {self.current_epoch + 1}, step {batch_idx + 1}: {values}). "
                f"Most often the learning rate is too high (lr={self.config.lr:g}; try --set lr="
                f"{self.config.lr / 10:g}), or bfloat16 overflows (try --set precision=float32). {saved}; with other "
                f"settings it is another run: give it another --out."
            )
        hits = (output.logits.detach().argmax(1) == true).sum()
        for name, value in {
            "loss": total.detach() * len(true),
            "hits": hits,
            "images": torch.tensor(len(true)),
        }.items():
            self.sums[name] = self.sums.get(name, 0) + value.float()
        for name, term in terms.items():
            self.sums[f"loss_{name}"] = self.sums.get(f"loss_{name}", 0) + term.detach() * len(true)
        return total

    def _features(
        self, batch: Batch, random: np.random.Generator, whole: int = 0
    ) -> tuple[Features, Float[Tensor, "b c"]]:
        """Features and targets as the method changes them; `whole` are the images of the batch, if others share it."""
        method, targets = self.method, batch.targets
        change = partial(method.feature_hook, random=random) if method.hooks_features else None
        if batch.features is not None:
            features = self._coarse(batch.features)
            if change is None:
                return features, targets
            return {stage: change(stage, value) for stage, value in features.items()}, targets
        assert batch.images is not None  # a batch has either
        if method.augments_batches:
            images, targets = self._augmented(batch.images, targets, whole, random)
        else:
            images = as_input(batch.images, self.backbone, self.device)
        return self.backbone(images, method.in_features, change), targets

    def _coarse(self, features: Features) -> Features:
        """The features of a frozen backbone, at half of their resolution in the first steps."""
        if self.global_step >= self.config.coarse * self.total_steps:
            return features
        return {stage: F.avg_pool2d(value, 2, ceil_mode=True) for stage, value in features.items()}

    def _augmented(
        self, images: UInt8[Tensor, "b s s 3"], targets: Float[Tensor, "b c"], whole: int, random: np.random.Generator
    ) -> tuple[Float[Tensor, "b 3 s s"], Float[Tensor, "b c"]]:
        """Images and targets as the method changes them. It may mix the images of a batch and draws for one after the
        other, so each process lets it change the whole batch, and keeps its own part."""
        shared = self.part.processes > 1
        if shared:
            images, targets = self.part.gathered(images, whole), self.part.gathered(targets, whole)
        changed, targets = self.method.augment_batch(as_input(images, self.backbone, self.device), targets, random)
        return (self.part.of_whole(changed), self.part.of_whole(targets)) if shared else (changed, targets)

    def epoch_metrics(self) -> dict[str, float]:
        """Means over the epoch so far: the loss, its terms, and training top-1 accuracy. All processes call it."""
        sums = dict(zip(self.sums, self.part.summed(list(self.sums.values()), self.device)))
        means = {k: v / sums["images"] for k, v in sums.items() if k != "images"}
        means["top1"] = means.pop("hits")
        return means
