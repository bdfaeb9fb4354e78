"""`python sharing.py FOLDER` is one of the processes that do all jobs in FOLDER, one after the other, in float64.

`in_float64` makes a training keep its gradients and the images that it learns from.
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from hclnet.training import member, module

Set = Callable[[Any, str, Any], None]


def in_float64(setattr: Set, kept: dict[str, Any]) -> None:
    """Patch the training; `kept` gets the gradients of the first step, and what the backbone was given in it."""
    training = module.Training
    plain = {name: getattr(training, name) for name in ("__init__", "transfer_batch_to_device", "_features")}
    as_input = module.as_input

    def init(self, *args: Any, **options: Any) -> None:
        plain["__init__"](self, *args, **options)
        self.double()

    def transfer(self, batch, device, dataloader_idx):
        batch = plain["transfer_batch_to_device"](self, batch, device, dataloader_idx)
        features = batch.features and {stage: x.double() for stage, x in batch.features.items()}
        return dataclasses.replace(batch, targets=batch.targets.double(), features=features)

    def features(self, *args: Any) -> Any:
        found = plain["_features"](self, *args)
        if "targets" not in kept:
            kept["targets"], kept["features"] = found[1].detach().clone(), {k: v.detach() for k, v in found[0].items()}
        return found

    def before_step(self, optimizer) -> None:
        if "gradients" not in kept:
            kept["gradients"] = {k: p.grad.clone() for k, p in self.named_parameters() if p.grad is not None}

    setattr(training, "__init__", init)
    setattr(training, "transfer_batch_to_device", transfer)
    setattr(training, "_features", features)
    setattr(training, "on_before_optimizer_step", before_step)
    setattr(module, "as_input", lambda *given: as_input(*given).double())


def main() -> None:
    rank, kept = int(os.environ[member.RANK]), {}
    in_float64(setattr, kept)
    for file in sorted(Path(sys.argv[1]).glob("*.job")):
        kept.clear()
        job = pickle.loads(file.read_bytes())
        member.take(job, rank, member.Events(sys.stderr), threading.Event())
        distributed.destroy_process_group()
        torch.save(kept, file.with_suffix(f".{rank}.pt"))


if __name__ == "__main__":
    main()
