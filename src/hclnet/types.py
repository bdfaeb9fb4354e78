"""The nouns that everything speaks. Nothing in here needs torch.

Boxes are `x0, y0, x1, y1` in pixels of the upright original image, 0-based and half-open, so that `x1 - x0` is a width.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Integer

from hclnet.samples import Sample, Samples
from hclnet_runtime.types import Box, Gray, Localization, LocatedObject

__all__ = [
    "FRACTIONS",
    "Box",
    "DataSet",
    "Gray",
    "GroundTruth",
    "Localization",
    "LocatedObject",
    "Log",
    "MaskFiles",
    "Records",
    "Sample",
    "Samples",
    "Skipped",
]

FRACTIONS = (1, 1)
"""The size of a picture whose boxes are fractions of it."""

Log = Callable[[str], None]
"""Called with a line for a person, such as `print`."""


@dataclass(frozen=True, slots=True)
class MaskFiles:
    """Where the ground-truth mask of an image is: gray pictures of any size that show the whole image, bright where it
    holds.

    Attributes:
        foreground: one file or, for several objects, more; the mask is where any of them holds.
        ignore: what is counted neither as object nor as background, apart from the foreground in it.
    """

    foreground: tuple[Path, ...]
    ignore: Path | None = None


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """Boxes and masks by sample id, for scoring only. `hclnet.training` neither takes nor imports it.

    Attributes:
        boxes: in pixels of the image, or of a picture of the size that `sizes` says.
        masks: of any size.
        sizes: width and height of the picture that the boxes were drawn in, where they came with it: an annotator may
            have seen a larger one; `FRACTIONS` of boxes that are fractions. `boxes_in` is to be asked, it heeds this.
        unchanged: of images whose boxes a model made, and a person has accepted as they are, the model's fingerprint.
    """

    boxes: dict[str, Float[np.ndarray, "n 4"]] = field(default_factory=dict)
    masks: dict[str, MaskFiles] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    unchanged: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.boxes or self.masks)

    def without(self, ids: Collection[str]) -> GroundTruth:
        """That of all other samples."""
        boxes = {key: box for key, box in self.boxes.items() if key not in ids}
        masks = {key: mask for key, mask in self.masks.items() if key not in ids}
        return GroundTruth(boxes, masks, self.sizes, {k: v for k, v in self.unchanged.items() if k not in ids})

    def size_of(self, sample_id: str) -> tuple[int, int] | None:
        """Width and height of the picture that the boxes were drawn in; None if not known, or they are fractions."""
        size = self.sizes.get(sample_id)
        return None if size == FRACTIONS else size

    def boxes_in(self, sample_id: str, size: tuple[int, int]) -> Float[np.ndarray, "n 4"]:
        """The boxes of an image of this width and height, in its pixels; none if none are known."""
        boxes = self.boxes.get(sample_id)
        if boxes is None:
            return np.zeros((0, 4))
        width, height = self.sizes.get(sample_id, size)
        return boxes if (width, height) == size else boxes * (np.array(size * 2) / (width, height, width, height))


@dataclass(frozen=True, slots=True)
class Skipped:
    """An image that was left out, and why."""

    sample: Sample
    reason: str


@dataclass(frozen=True, slots=True)
class DataSet:
    """What a reader makes of a path: the labeled images, and beside them, apart, the ground truth.

    Attributes:
        samples: any sequence; it becomes columns, so that a million of them fit into memory.
        notes: what a person should know of how it was read.
        skipped: broken images that are not among the samples.
    """

    root: Path
    kind: str
    classes: tuple[str, ...]
    samples: Sequence[Sample]
    ground_truth: GroundTruth = field(default_factory=GroundTruth)
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", Samples.of(self.samples))

    @property
    def columns(self) -> Samples:
        """The samples, as what they are."""
        assert isinstance(self.samples, Samples)
        return self.samples

    def split(self, name: str) -> Samples:
        """The samples of one split, in order.

        Raises:
            ValueError: there is no such split; the message names those that exist.
        """
        chosen = self.columns.select(self.columns.in_split(name))
        if not chosen:
            have = ", ".join(f"{k} ({v})" for k, v in self.counts().items())
            raise ValueError(f"{self.root} has no split {name!r}; it has {have}. Name one of those with --split.")
        return chosen

    def counts(self) -> dict[str, int]:
        """Images per split: train, val, test."""
        counts = self.columns.splits
        order = [*(split for split in ("train", "val", "test") if split in counts), *counts]
        return {split: counts[split] for split in order}


@dataclass(slots=True)
class Records:
    """One row an image, held as columns: everything that a metric, an interval or a report is reduced from.

    Localization columns describe the map of the *true* class; they are NaN where the image has no ground-truth box.
    What IoU, component and level mean is the protocol's (`hclnet.metrics.protocols`).

    Attributes:
        ids: sample ids.
        paths: image paths.
        labels: true classes.
        sizes: width and height of the upright image, pixels.
        top_classes: the k most probable classes, best first (k = min(5, classes)); k = 0 if nothing was classified.
        top_scores: their probabilities.
        rank: position of the true class among all classes, 0 for the best; -1 if nothing was classified.
        boxes: box at the box rule, image pixels; all zeros where the rule found none.
        iou: best IoU of that box with a ground-truth box of the image, 0..1.
        level_iou: at each level t = 0..255, the same for the largest component of `level > t`.
        level_best: at each level, the best IoU of *any* component with a ground-truth box.
        inside: pixels of the ground-truth mask by the bin that their score is in, ascending; all 0 without a
            ground-truth mask, and without bins (b = 0) if no image has one.
        outside: the same of the background's pixels.
        protocol: name of the protocol that localization was measured under.
    """

    ids: list[str]
    paths: list[str]
    labels: Integer[np.ndarray, "n"]
    sizes: Integer[np.ndarray, "n 2"]
    top_classes: Integer[np.ndarray, "n k"]
    top_scores: Float[np.ndarray, "n k"]
    rank: Integer[np.ndarray, "n"]
    boxes: Float[np.ndarray, "n 4"]
    iou: Float[np.ndarray, "n"]
    level_iou: Float[np.ndarray, "n 256"]
    level_best: Float[np.ndarray, "n 256"]
    inside: Integer[np.ndarray, "n b"] = None  # type: ignore[assignment]  # made in __post_init__
    outside: Integer[np.ndarray, "n b"] = None  # type: ignore[assignment]  # likewise
    protocol: str = "hclnet"

    def __post_init__(self) -> None:
        for name in ("inside", "outside"):
            if getattr(self, name) is None:
                setattr(self, name, np.zeros((len(self.ids), 0), dtype=np.uint16))

    def __len__(self) -> int:
        return len(self.ids)
