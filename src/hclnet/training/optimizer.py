"""Who learns how fast: the optimizer's groups of parameters, and the schedule of their learning rates."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, StepLR

from hclnet.config import RunConfig


def build_optimizer(config: RunConfig, heads: nn.Module, backbone: nn.Module | None) -> Optimizer:
    """AdamW, or SGD with Nesterov's momentum (reading 15).

    Args:
        config: of the run.
        heads: learn at `lr`.
        backbone: learns at `backbone_lr`; None if it is frozen.
    """
    groups: list[dict[str, Any]] = []
    for module, rate in ((heads, config.lr), (backbone, config.backbone_lr)):
        if module is None:
            continue
        if config.bias_lr == 1:
            groups.append({"params": module.parameters(), "lr": rate})
        else:
            named = list(module.named_parameters())
            biases = [p for name, p in named if name.endswith("bias")]
            weights = [p for name, p in named if not name.endswith("bias")]
            groups.append({"params": weights, "lr": rate})
            groups.append({"params": biases, "lr": rate * config.bias_lr})
    if config.optimizer == "sgd":
        momentum = config.momentum
        return SGD(groups, momentum=momentum, nesterov=momentum > 0, weight_decay=config.weight_decay)
    return AdamW(groups, weight_decay=config.weight_decay)


def build_schedule(config: RunConfig, optimizer: Optimizer, total_steps: int) -> LRScheduler:
    """Rates by the step of the training, of which there are `total_steps` in all epochs together."""
    if config.schedule == "step":
        return StepLR(optimizer, config.step_epochs * total_steps // config.epochs, config.step_factor)
    peaks = [group["lr"] for group in optimizer.param_groups]
    # The momentum of SGD stays what it was set to; AdamW's goes down where its rate goes up.
    cycle = config.optimizer == "adamw"
    return OneCycleLR(optimizer, peaks, total_steps=total_steps, cycle_momentum=cycle)
