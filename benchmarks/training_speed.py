"""Where the time of a training goes, beside the rate at which the machine multiplies matrices.

    python benchmarks/training_speed.py DATA [--preset best] [--method hclnet] [--set tune=all] [--set size=224]
        [--precisions float32,bfloat16] [--parts-only] [--at-once 2]

First `hclnet train` runs as a process of its own with an empty cache; printed are the seconds of each part as the
training itself names them, all seconds, those of the processor, and the most memory that was resident at a time. Then
the parts are measured alone, on a batch of images: a 2048^3 product in each precision; reading; the backbone of one
image, as the feature cache computes it, alone and several at a time; a step of what learns, forwards, backwards and by
the optimizer; and scoring, which is the evaluation of images with an untrained head. Each has its floating-point
operations (two for a multiplication with an addition, counted by PyTorch of plain convolutions), their rate, and that
rate's share of the product's. Winograd's convolutions can exceed it, since they need fewer operations.

`--at-once 2` instead compares two trainings that run at the same time with one alone, in turns.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch.utils.flop_counter import FlopCounterMode

from hclnet.config import RunConfig
from hclnet.data import find_split, read
from hclnet.device import PRECISIONS, autocast
from hclnet.localizer.evaluation import evaluate_localizer
from hclnet.localizer.features import as_input, computed, extract
from hclnet.localizer.localizer import Localizer
from hclnet.settings import parse_settings, read_preset
from hclnet.training.batches import Batch
from hclnet.training.module import Training
from hclnet.training.optimizer import build_optimizer
from hclnet.types import DataSet
from hclnet.workflows.settings import make_config
from hclnet_runtime.data.images import load_square

PART = re.compile(r"^(?P<what>[^:]+): (?P<count>\d+) (?P<unit>\w+) in (?P<seconds>[\d.]+) s", re.MULTILINE)
MEASURES = re.compile(r"^resident (\d+) processor ([\d.]+)$", re.MULTILINE)
SIDE = 2048
TOGETHER = 16  # images whose features are computed, several at a time

# Starts a command and says how much memory it had at most; a process that ends tells its parent.
MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print("resident", used.ru_maxrss, "processor", used.ru_utime + used.ru_stime)
raise SystemExit(code)
"""


@dataclass(frozen=True)
class Run:
    """A whole training as a process of its own, with an empty cache.

    Attributes:
        seconds, processor: that it took.
        resident: the most memory at a time, GiB.
        said: its standard error.
    """

    seconds: float
    processor: float
    resident: float
    said: str


def run(data: str, options: Sequence[str]) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", "hclnet", "train", data, *options, "--no-report", "--out", str(Path(folder) / "run")]
        environment = {**os.environ, "HCLNET_CACHE": str(Path(folder) / "cache")}
        command = [sys.executable, "-c", MEASURED, sys.executable, *words]
        start = time.perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"hclnet train ended with {done.returncode}:\n{done.stderr[-2000:]}")
    resident, processor = map(float, MEASURES.findall(done.stdout)[0])
    return Run(seconds, processor, resident / 2**20, done.stderr)


def alone_and_together(data: str, options: Sequence[str], count: int, rounds: int) -> list[str]:
    """Lines of the table of one training alone and of several at once, in turns."""
    ratios, lines = [], [f"| round | seconds alone | of {count} at once | ratio |", "|---" * 4 + "|"]
    for number in range(rounds):
        alone = run(data, options).seconds
        with ThreadPoolExecutor(count) as pool:
            start = time.perf_counter()
            list(pool.map(lambda _: run(data, options), range(count)))
            together = time.perf_counter() - start
        ratios.append(together / alone)
        lines += [f"| {number + 1} | {alone:.1f} | {together:.1f} | {ratios[-1]:.2f} |"]
    return [*lines, "", f"Median ratio: {statistics.median(ratios):.2f}."]


def parts_of(one: Run) -> list[str]:
    """Lines of the table of the parts of a training."""
    parts = [match.groupdict() for match in PART.finditer(one.said)]
    rest = one.seconds - sum(float(part["seconds"]) for part in parts)
    rows = [(f"{part['what']}, {part['count']} {part['unit']}", float(part["seconds"])) for part in parts]
    lines = ["| part of the training | seconds | share |", "|---|---|---|"]
    lines += [f"| {what} | {took:.1f} | {took / one.seconds:.0%} |" for what, took in [*rows, ("the rest", rest)]]
    lines += [f"| all | {one.seconds:.1f} | of processor time {one.processor:.1f} s |"]
    return [*lines, "", f"The most memory that was resident: {one.resident:.2f} GiB."]


def median_seconds(work: Callable[[], object], times: int) -> float:
    """Of several calls, after one that is not counted."""
    work()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


@contextmanager
def plain_convolutions() -> Iterator[None]:
    """Winograd's are off, as PyTorch can't count their operations."""
    before = os.environ.get("HCLNET_WINOGRAD")
    os.environ["HCLNET_WINOGRAD"] = "off"
    try:
        yield
    finally:
        os.environ.pop("HCLNET_WINOGRAD")
        if before is not None:
            os.environ["HCLNET_WINOGRAD"] = before


def gradient_operations(
    of_output: Sequence[int], of_input: object, weight: Sequence[int], *rest: Any, out_shape: object = None
) -> int:
    """Of the gradients of a convolution, from the shapes of its output's gradient and its weight: each as many as the
    convolution itself. PyTorch counts those of a convolution in groups as if it had none."""
    return 2 * math.prod(of_output) * math.prod(weight[1:]) * sum(rest[-1][:2])


def operations(work: Callable[[], object]) -> float:
    """Of one call."""
    formulas = {torch.ops.aten.convolution_backward: gradient_operations}
    with plain_convolutions(), FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        work()
    return float(counter.get_total_flops())


def product_seconds(dtype: torch.dtype, times: int) -> float:
    """Of a SIDE^3 matrix product in a precision."""
    a, b = torch.randn(SIDE, SIDE, dtype=dtype), torch.randn(SIDE, SIDE, dtype=dtype)
    return median_seconds(lambda: torch.mm(a, b), times)


def parts_alone(dataset: DataSet, config: RunConfig, times: int) -> list[str]:
    """Lines of the table of parts, each measured by itself, in the precision of the configuration."""
    localizer = Localizer.from_config(config, dataset.classes)
    localizer.dtype = dtype = PRECISIONS[config.precision]
    samples = dataset.split("train")[: config.batch]
    tested = dataset.split(find_split(dataset, "test"))[: config.batch]
    images = [load_square(sample.path, config.size) for sample in samples]
    one = as_input(images[0][None], localizer.backbone, localizer.device)

    def read_one() -> None:
        load_square(samples[0].path, config.size)

    frozen = localizer.backbone.folded().to(memory_format=torch.channels_last)

    def backbone_of(x: Float[torch.Tensor, "1 3 s s"]) -> None:
        extract(frozen, x, localizer.method.in_features, dtype)

    def backbone() -> None:
        with torch.inference_mode():
            backbone_of(one)

    def together() -> None:
        with torch.inference_mode():
            deque(computed(backbone_of, [one] * TOGETHER, True), 0)

    def score() -> None:
        localizer.to(localizer.device).dtype = torch.float32  # which a localizer is used in
        evaluate_localizer(localizer, tested, dataset.ground_truth)

    seconds = product_seconds(dtype, times)
    rate = 2 * SIDE**3 / seconds
    lines = [f"| in {config.precision} | ms an image | GFLOP | GFLOP/s | of the product's |", "|---" * 5 + "|"]
    lines += [
        f"| {SIDE}^3 product (ms in all) | {1e3 * seconds:.1f} | {rate * seconds / 1e9:.1f} | {rate / 1e9:.0f} | 1 |"
    ]
    lines += [f"| reading | {1e3 * median_seconds(read_one, times):.1f} | | | |"]
    coarse = [False, True] if config.coarse and config.tune == "heads" else [False]
    labels = [sample.label for sample in samples]
    steps = [step_of(localizer, config, np.stack(images), labels, how) for how in coarse]
    of_backbone = operations(backbone)  # those of other threads are not counted
    for what, count, work, done in (
        (f"backbone at {config.size} px", 1, backbone, of_backbone),
        (f"backbone, images at a time: {torch.get_num_threads()}", TOGETHER, together, of_backbone),
        *(
            (
                f"a step of {config.tune}{', coarse' if how else ''}, batch of {len(images)}",
                len(images),
                step,
                operations(step) / len(images),
            )
            for how, step in zip(coarse, steps)
        ),
        ("scoring in float32, box and all", len(tested), score, operations(score) / len(tested)),
    ):
        took = median_seconds(work, times) / count
        lines += [
            f"| {what} | {1e3 * took:.1f} | {done / 1e9:.2f} | {done / took / 1e9:.0f} | {done / took / rate:.2f} |"
        ]
    return lines


def step_of(
    localizer: Localizer, config: RunConfig, images: UInt8[np.ndarray, "b s s 3"], labels: Sequence[int], coarse: bool
) -> Callable[[], None]:
    """One step of a training on a batch: forwards, backwards and by the optimizer, on coarse or on fine features."""
    config = config.model_copy(update={"coarse": float(coarse)})
    backbone, method, device, dtype = localizer.backbone, localizer.method, localizer.device, localizer.dtype
    targets = torch.nn.functional.one_hot(torch.tensor(labels), len(localizer.classes)).float()
    if config.tune == "heads":
        features = extract(backbone, as_input(images, backbone, device), method.in_features, dtype)
        batch = Batch(targets, features={name: value.detach() for name, value in features.items()})
    else:
        batch = Batch(targets, images=torch.from_numpy(images))
    module = Training(localizer, config, total_steps=1)
    module.on_train_epoch_start()
    optimizer = build_optimizer(config, method, backbone if config.tune == "all" else None)

    def step() -> None:
        optimizer.zero_grad()
        with autocast(device, dtype):
            loss = module.training_step(batch, 0)
        loss.backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--method", default="hclnet")
    parser.add_argument("--preset", default="best")
    parser.add_argument("--set", action="append", default=[], help="a setting, KEY=VALUE")
    parser.add_argument("--precisions", default="float32,bfloat16")
    parser.add_argument("--times", type=int, default=5, help="calls of each part, of which the median is taken")
    parser.add_argument(
        "--at-once", type=int, default=0, help="compare as many trainings at once with one, and no parts"
    )
    parser.add_argument("--parts-only", action="store_true", help="no whole training")
    arguments = parser.parse_args()
    print(f"{torch.get_num_threads()} threads")
    dataset = read(arguments.data)
    for precision in arguments.precisions.split(","):
        options = ["--method", arguments.method, "--preset", arguments.preset]
        for setting in [*arguments.set, f"precision={precision}"]:
            options += ["--set", setting]
        if arguments.at_once:
            lines = alone_and_together(arguments.data, options, arguments.at_once, arguments.times)
            print("\n".join(["", f"In {precision}:", "", *lines]), flush=True)
            continue
        if not arguments.parts_only:
            print("\n".join(["", f"In {precision}:", "", *parts_of(run(arguments.data, options))]), flush=True)
        settings = {**read_preset(arguments.preset), **parse_settings(arguments.set), "precision": precision}
        config = make_config(arguments.data, arguments.method, **settings)
        print("\n".join(["", *parts_alone(dataset, config, arguments.times)]), flush=True)


if __name__ == "__main__":
    main()
