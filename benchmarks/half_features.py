"""Would features that are kept in half precision change a box?

    python benchmarks/half_features.py DATA RUN [RUN ...]

Each run locates the test images of the data with its features as they are, and rounded to float16 and bfloat16, as a
cache of half the size would give them back. Counted are images whose box or class is not the same, and the least IoU of
the two boxes.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch

import hclnet.localizer.network as network
from hclnet.data import read
from hclnet.localizer.localizer import Localizer
from hclnet.types import Box, DataSet
from hclnet_runtime.boxes.geometry import iou

_extract = network.extract


def locate(localizer: Localizer, data: DataSet, dtype: torch.dtype) -> list[tuple[str, Box | None]]:
    """Class and box of each test image, of features that were rounded to a precision."""

    def rounded(*arguments: Any, **named: Any) -> dict[str, torch.Tensor]:
        return {name: x.to(dtype).to(x.dtype) for name, x in _extract(*arguments, **named).items()}

    network.extract = rounded
    try:
        found = [localizer.locate(sample.path) for sample in data.split("test")]
    finally:
        network.extract = _extract
    return [(one.label, one.box) for one in found]


def overlap(a: Box | None, b: Box | None) -> float:
    """IoU of two boxes; 1 for none and none."""
    if a is None or b is None:
        return float(a is b)
    return float(iou(np.array([a], dtype=float), np.array([b], dtype=float))[0, 0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("runs", nargs="+")
    chosen = parser.parse_args()
    dataset = read(chosen.data)
    print("| run | features | images | other box | other class | least IoU |\n|---|---|---|---|---|---|")
    for run in chosen.runs:
        one = Localizer.load(run, "cpu")
        plain = locate(one, dataset, torch.float32)
        for precision in (torch.float16, torch.bfloat16):
            pairs = list(zip(plain, locate(one, dataset, precision)))
            boxes, labels = (sum(a[k] != b[k] for a, b in pairs) for k in (1, 0))
            least = min(overlap(a[1], b[1]) for a, b in pairs)
            print(f"| {run} | {str(precision)[6:]} | {len(pairs)} | {boxes} | {labels} | {least:.3f} |", flush=True)
