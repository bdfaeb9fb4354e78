"""How much memory do the images of a training take, before the first is opened?

    python benchmarks/many_samples.py --images 1281167

Names as those of ILSVRC are made up, and go the way of a training: the table of samples, the checks of it, the training
split, what batches are made from, and the digests of the files with the folder's `data.csv`. Printed is the most memory
that the process has had by each of these, less what it had when all was imported; the same of the samples as a tuple
of objects comes first, in a process of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from hclnet.data.record import change_since, record_splits, with_recorded_splits
from hclnet.data.rules import checked
from hclnet.training.batches import EpochBatches, ImageBatches
from hclnet.types import DataSet, Sample, Samples

_CLASSES = 1000


def peak() -> float:
    """The most resident memory that this process has had, MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    assert found
    return int(found[1]) / 1024


def named(count: int) -> Iterator[Sample]:
    """Made-up images, class by class."""
    each = -(-count // _CLASSES)
    for number in range(count):
        label = number // each
        name = f"n{label * 7919 + 1440764:08}/n{label * 7919 + 1440764:08}_{number % each * 17}.JPEG"
        yield Sample(f"train/{name}", Path(f"/data/ILSVRC/Data/CLS-LOC/train/{name}"), label, "train")


def as_objects(count: int) -> None:
    """The samples as objects."""
    before = peak()
    samples = tuple(named(count))
    print(f"{len(samples):,} samples as objects: {peak() - before:.0f} MiB")


def as_columns(count: int, folder: Path) -> None:
    """The way of a training, with its memory by each step."""
    start = peak()

    def say(step: str) -> None:
        print(f"{step}: {peak() - start:.0f} MiB")

    dataset = DataSet(Path("/data/ILSVRC"), "made up", tuple(map(str, range(_CLASSES))), Samples(named(count)))
    say(f"{len(dataset.samples):,} samples as columns")
    dataset = checked(dataset)
    say("... checked")
    batches = ImageBatches(dataset.split("train"), 224, _CLASSES, seed=0)
    steps = sum(1 for _ in EpochBatches(len(batches.labels), 256, 0))
    say(f"... in {steps:,} batches of an epoch")
    digests = np.empty((count, 32), np.uint8)
    for place, name in enumerate(dataset.columns.ids):
        digests[place] = np.frombuffer(hashlib.sha256(name.encode()).digest(), np.uint8)
    dataset = replace(dataset, samples=dataset.columns.with_digests(digests, slice(None)))
    say("... with the digests of their files")
    record_splits(dataset, folder)
    say("... written into data.csv and data.json")
    dataset = with_recorded_splits(dataset, folder)
    assert not change_since(dataset, folder, "train")
    say("... compared with what is written there, as a resumed training does")
    record_splits(dataset, folder, keep=True)
    say("... written again by it")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_281_167)
    parser.add_argument("--objects", action="store_true", help="only the samples as objects")
    options = parser.parse_args()
    if options.objects:
        as_objects(options.images)
        return
    call = [sys.executable, __file__, "--objects", "--images", str(options.images)]
    print(subprocess.run(call, check=True, capture_output=True, text=True).stdout, end="", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        as_columns(options.images, Path(folder))


if __name__ == "__main__":
    main()
