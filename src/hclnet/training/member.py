"""`python -m hclnet.training.member`: one of the processes that train together. `training.together` starts them.

It reads a `Job` and then what it is told from its standard input, and writes what happens as lines of JSON to its
standard output. What else would be printed there goes to standard error. When the process that started it is gone, it
ends.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import torch
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from timm.layers import convert_sync_batchnorm
from torch import distributed, nn

from hclnet.config import RunConfig
from hclnet.device import PRECISIONS
from hclnet.localizer.localizer import Localizer
from hclnet.training.batches import FeatureBatches, ImageBatches
from hclnet.training.checkpoint import WholeFiles
from hclnet.training.fitting import Fit, Stopped, accelerator, fit
from hclnet.training.part import Part

RANK = "LOCAL_RANK"
"""The environment variable that says which process this is, from 0."""


@dataclass(frozen=True, slots=True)
class Job:
    """What all processes of a training are told.

    Attributes:
        config: of the run.
        classes: names, by label.
        dataset: to learn from.
        out: the run folder. Process 0 alone writes into it.
        precision: float32 or bfloat16.
        device: the kind of device, cpu or cuda.
        meeting: a file of no content through which the processes find one another.
        stopped: a file for what was learned when it was told to stop.
    """

    config: RunConfig
    classes: tuple[str, ...]
    dataset: FeatureBatches | ImageBatches
    out: Path
    precision: str
    device: str
    meeting: Path
    stopped: Path


def learned(localizer: Localizer, tune: str) -> dict[str, nn.Module]:
    """What a training changes, by the names that a checkpoint has."""
    parts: dict[str, nn.Module] = {"method": localizer.method}
    return parts | ({"backbone": localizer.backbone} if tune == "all" else {})


def take(job: Job, rank: int, events: Events, stop: threading.Event) -> Fit:
    """Train as one of the processes of a job.

    Raises:
        ValueError: as `fit`.
    """
    part = Part(rank, job.config.devices)
    device = f"{job.device}:{rank}" if job.device == "cuda" else job.device
    localizer = Localizer.from_config(job.config.model_copy(update={"device": device}), job.classes)
    localizer.dtype = PRECISIONS[job.precision]
    if job.device == "cuda":  # timm's way, which knows its batch norms that have an activation
        localizer.method = convert_sync_batchnorm(localizer.method)
        localizer.backbone = convert_sync_batchnorm(localizer.backbone)
    backend = "nccl" if job.device == "cuda" and distributed.is_nccl_available() else "gloo"
    store = distributed.FileStore(str(job.meeting), part.processes)
    distributed.init_process_group(backend, store=store, rank=rank, world_size=part.processes)
    # Parts of a backbone that no branch reads have no gradients.
    strategy = DDPStrategy(cluster_environment=LightningEnvironment(), find_unused_parameters=True)
    devices = {"accelerator": accelerator(torch.device(device)), "devices": part.processes, "strategy": strategy}
    try:
        return fit(localizer, job.config, job.dataset, job.out, events.step, part, devices, stop.is_set)
    except Stopped as stopped:
        state = {
            f"{name}.{key}": value.cpu()
            for name, module in learned(localizer, job.config.tune).items()
            for key, value in module.state_dict().items()
        }
        WholeFiles().save_checkpoint({"state_dict": state}, job.stopped)
        return Fit(False, stopped.epochs)


class Events:
    """Lines of JSON for the process that started this one."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def tell(self, **what: Any) -> None:
        self.file.write(json.dumps(what) + "\n")
        self.file.flush()

    def step(self, done: int, total: int, note: str = "") -> None:
        """As a progress bar is told."""
        self.tell(done=done, total=total, note=note)


def _listen(orders: BinaryIO, stop: threading.Event) -> None:
    """Heed what the process that started this one says; end when it is gone."""
    for _ in orders:
        stop.set()
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # those that decode for it too
    os._exit(1)


def main() -> None:
    """Do the job, and end without waiting for processes that may never come."""
    events = Events(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    # A forked process closes its `sys.stdin`, and would wait for the lock that `_listen` has on it while it reads.
    orders, sys.stdin = sys.stdin, open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115
    rank, code = int(os.environ[RANK]), 1
    stop = threading.Event()
    try:
        job: Job = pickle.load(orders.buffer)
        threading.Thread(target=_listen, args=(orders.buffer, stop), daemon=True).start()
        done = take(job, rank, events, stop)
        events.tell(finished=done.finished, epochs=done.epochs)
        if not done.finished:
            threading.Event().wait()  # to be ended: the others would fail if this one went first
        distributed.destroy_process_group()
        code = 0
    except ValueError as error:
        events.tell(kind=type(error).__name__, said=str(error))
    except BaseException:
        events.tell(trace=traceback.format_exc())
    for process in multiprocessing.active_children():
        process.kill()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
