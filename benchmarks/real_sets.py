"""The sets of `real_images.py`: which images each side trains on, and which it tests."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hclnet.data import read
from hclnet.data.identity import file_digest, images_of
from hclnet.data.identity import fingerprint_of as data_fingerprint
from hclnet.types import DataSet, Sample
from hclnet_runtime.boxes import iou, scale
from hclnet_runtime.data.images import image_size

KNOWN = {
    "imagenette224": "data/real/imagenette224",
    "neu_det": "data/real/neu_det",
    "wbc3": "data/real/wbc3",
    "boards4": "data/real/boards4",
    "photos": "data/photos",
}
"""The sets that decisions are made on, and where they are in the shared folder."""

HALVED = "imagenette224"
"""The training images of this set have no boxes, so its test images are halved instead."""

SIDES = ("choose", "report")

SEVERAL = 1.05
"""Ground-truth boxes an image with boxes has on average, from which on a set counts as one of several objects."""


@dataclass(frozen=True, slots=True)
class RealSet:
    """A set under one side.

    Attributes:
        name: as tables call it.
        parts: each has the splits `train` and `test`. Folds have a part each, and no image is tested twice.
    """

    name: str
    parts: tuple[DataSet, ...]

    @property
    def tested(self) -> list[tuple[DataSet, Sample]]:
        """The tested images of all parts, each with its part."""
        return [(part, sample) for part in self.parts for sample in part.split("test")]

    @property
    def boxed(self) -> list[tuple[DataSet, Sample]]:
        """Those of them that have ground-truth boxes."""
        return [(part, sample) for part, sample in self.tested if len(part.ground_truth.boxes.get(sample.id, ()))]

    @property
    def objects(self) -> int:
        """How many ground-truth boxes the tested images have."""
        return sum(len(part.ground_truth.boxes[sample.id]) for part, sample in self.boxed)

    @property
    def has_several(self) -> bool:
        """Whether images have several objects, more than now and then."""
        return self.objects >= SEVERAL * len(self.boxed)


def open_set(name: str, shared: Path, side: str, folds: int) -> RealSet:
    """A set of `KNOWN`, or any other data with boxes at a path, which has its own splits on both sides.

    A path to one of the known sets means that set, so that its test side is not looked at by mistake. `NAME@N` is the
    set with at most N training images a class.

    Raises:
        ValueError: there is no such set, it can't be read, or no tested image has a ground-truth box.
    """
    if side not in SIDES:
        raise ValueError(f"there is no side {side!r}; choose {' or '.join(SIDES)}.")
    if "@" in name and not Path(name).exists():
        whole, _, most = name.rpartition("@")
        if not (most.isdecimal() and int(most)):
            raise ValueError(
                f"{name}: {most!r} after the @ is no number of training images a class; write such as @16."
            )
        return limited(open_set(whole, shared, side, folds), int(most))
    places = {(shared / place).resolve(): known for known, place in KNOWN.items()}
    path = shared / KNOWN[name] if name in KNOWN else Path(name)
    if not path.exists():
        where = f"there is no {path}; name the folder that has {KNOWN[name]} with --shared" if name in KNOWN else (
            f"{name} is neither one of {', '.join(KNOWN)} nor a path"
        )  # fmt: skip
        raise ValueError(f"{where}.")
    dataset, known = read(path), places.get(path.resolve()) or places.get(path.resolve().parent)
    if known is None:
        found = RealSet(path.stem, (dataset,))
    elif known == HALVED:
        found = RealSet(known, (halved(dataset, side),))
    else:
        found = RealSet(known, folded(dataset, folds) if side == "choose" else (dataset,))
    if not found.boxed:
        raise ValueError(f"{path}: no tested image has a ground-truth box, so there is nothing to measure.")
    return found


def in_half_a(sample: Sample) -> bool:
    """Whether an image is in half A: the first bit of the SHA-256 of its file name, extension included, is 0."""
    return hashlib.sha256(sample.path.name.encode()).digest()[0] < 128


def halved(dataset: DataSet, side: str) -> DataSet:
    """The data with all of its training images and, to test, half A on the side `choose` and half B on `report`."""
    kept = (s for s in dataset.samples if s.split == "train" or in_half_a(s) == (side == "choose"))
    return replace(dataset, samples=tuple(s for s in kept if s.split in ("train", "test")))


def limited(real: RealSet, most: int) -> RealSet:
    """A set with at most so many training images a class, drawn at random; fewer are part of more."""
    return RealSet(f"{real.name}@{most}", tuple(_limited(part, most) for part in real.parts))


def _limited(dataset: DataSet, most: int) -> DataSet:
    by_class: dict[int, list[Sample]] = defaultdict(list)
    for sample in dataset.split("train"):
        by_class[sample.label].append(sample)
    kept = {
        sample.id
        for label, samples in by_class.items()
        for sample in random.Random(f"few/{dataset.classes[label]}").sample(samples, len(samples))[:most]
    }
    return replace(dataset, samples=tuple(s for s in dataset.samples if s.split != "train" or s.id in kept))


def folded(dataset: DataSet, folds: int, seed: int = 0) -> tuple[DataSet, ...]:
    """The training images in folds: each data set tests one fold and trains on the others. The test images are left
    out.

    The folds are stratified by class and a function of the seed and of the order of the images only.

    Raises:
        ValueError: there are less than two folds, or a class has fewer training images than that.
    """
    if folds < 2:
        raise ValueError(f"--folds is {folds}; name 2 or more.")
    by_class: dict[int, list[Sample]] = defaultdict(list)
    for sample in dataset.split("train"):
        by_class[sample.label].append(sample)
    fold_of, place = {}, 0
    for label, samples in sorted(by_class.items()):
        if len(samples) < folds:
            name = dataset.classes[label]
            raise ValueError(
                f"{dataset.root}: class {name} has {len(samples)} training images, too few for {folds} folds."
            )
        for sample in random.Random(f"{seed}/{dataset.classes[label]}").sample(samples, len(samples)):
            fold_of[sample.id], place = place % folds, place + 1
    training = dataset.split("train")
    return tuple(
        replace(
            dataset,
            samples=tuple(replace(s, split="test" if fold_of[s.id] == fold else "train") for s in training),
        )
        for fold in range(folds)
    )


def best_centered(real: RealSet) -> tuple[float, float]:
    """GT-known of the best box that is the same in every image: centered, with one share of both sides; and that share.

    The share is the best of 0.05, 0.1, ... 1 for these very images.
    """
    shares = np.arange(1, 21) / 20
    boxes = np.stack([np.array([0.5 - s / 2, 0.5 - s / 2, 0.5 + s / 2, 0.5 + s / 2]) for s in shares])
    best = []
    for part, sample in real.boxed:
        size = image_size(sample.path)
        best.append(iou(boxes, scale(part.ground_truth.boxes_in(sample.id, size), size, (1, 1))).max(axis=1))
    right = (np.array(best) >= 0.5).mean(axis=0)
    return float(right.max()), float(shares[right.argmax()])


def fingerprints(part: DataSet) -> tuple[str, str]:
    """Of the bytes and classes of the training images; and of those of the tested ones with their ground truth."""
    with_digests = replace(part, samples=[replace(s, sha256=file_digest(s.path)) for s in part.samples])
    return images_of(with_digests, "train"), data_fingerprint(with_digests, "test")


def key_of(values: Iterable[object]) -> str:
    """A short name for values: equal ones have the same."""
    return hashlib.sha256("\n".join(map(repr, values)).encode()).hexdigest()[:10]


def code_digest(root: Path, without: Sequence[str] = ()) -> str:
    """Of the code and the presets of a package, committed or not, without some of its folders."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix in (".py", ".yaml") and path.relative_to(root).parts[0] not in without:
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
