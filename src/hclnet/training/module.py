"""The one LightningModule that trains every method."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from jaxtyping import Float
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from hclnet.backbones import Features
from hclnet.config import RunConfig
from hclnet.localizer.features import as_input
from hclnet.localizer.localizer import Localizer
from hclnet.training.batches import Batch, step_random
from hclnet.training.optimizer import build_optimizer, build_schedule


class Diverged(ValueError):
    """The loss is no longer a number."""


class Training(pl.LightningModule):
    """Teaches a localizer's method, and with `tune=all` its backbone, by the method's own loss.

    What learns is in training mode: the batch norms of a backbone that is tuned follow its batches.
    """

    def __init__(self, localizer: Localizer, config: RunConfig, total_steps: int) -> None:
        super().__init__()
        self.method = localizer.method
        if config.tune == "all":
            self.backbone = localizer.backbone
        self.config = config
        self.total_steps = total_steps
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
        features, targets = self._features(batch, step_random(self.config.seed, self.current_epoch, batch_idx))
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

    def _features(self, batch: Batch, random: np.random.Generator) -> tuple[Features, Float[Tensor, "b c"]]:
        """Features and targets as the method changes them."""
        method, targets = self.method, batch.targets
        change = partial(method.feature_hook, random=random) if method.hooks_features else None
        if batch.features is not None:
            if change is None:
                return batch.features, targets
            return {stage: change(stage, value) for stage, value in batch.features.items()}, targets
        assert batch.images is not None  # a batch has either
        images = as_input(batch.images, self.backbone, self.device)
        if method.augments_batches:
            images, targets = method.augment_batch(images, targets, random)
        return self.backbone(images, method.in_features, change), targets

    def epoch_metrics(self) -> dict[str, float]:
        """Means over the epoch so far: the loss, its terms, and training top-1 accuracy."""
        images = float(self.sums["images"])
        means = {k: float(v) / images for k, v in self.sums.items() if k != "images"}
        means["top1"] = means.pop("hits")
        return means
