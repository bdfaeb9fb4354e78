"""How long a first run takes: `hclnet train` and `hclnet evaluate`, start-up and an empty feature cache included.

    python benchmarks/first_run.py DATA [--size 224] [--method hclnet] [--preset fast] [--epochs 12]

Beside the clock's seconds stand those of processor time, which others on the machine lengthen less. Before and after
it, the seconds for a 2048^3 float32 matrix product, so that a slow moment of the machine can be told from a slow
program.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch


def product_seconds(side: int = 2048, times: int = 7) -> float:
    """Median seconds for a side^3 matrix product in float32."""
    a, b = torch.randn(side, side), torch.randn(side, side)
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def processor_seconds() -> float:
    """Of all threads of the processes that were started and have ended."""
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--size")
    parser.add_argument("--preset")
    parser.add_argument("--epochs")
    parser.add_argument("--method", default="hclnet")
    arguments = parser.parse_args()
    print(f"2048^3 float32 product before: {product_seconds():.3f} s")
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder) / "run")
        environment = {**os.environ, "HCLNET_CACHE": str(Path(folder) / "cache")}
        train = ["train", arguments.data, "--method", arguments.method, "--out", run]
        for option in ("size", "preset", "epochs"):
            if value := getattr(arguments, option):
                train += [f"--{option}", value]
        total = used = 0.0
        for verb in (train, ["evaluate", run]):
            start, before = time.perf_counter(), processor_seconds()
            subprocess.run([sys.executable, "-m", "hclnet", *verb], check=True, env=environment)
            seconds, processor = time.perf_counter() - start, processor_seconds() - before
            total, used = total + seconds, used + processor
            print(f"{verb[0]}: {seconds:.1f} s, of processor time {processor:.1f} s", flush=True)
    print(f"train + evaluate: {total:.1f} s, of processor time {used:.1f} s")
    print(f"2048^3 float32 product after: {product_seconds():.3f} s")


if __name__ == "__main__":
    main()
