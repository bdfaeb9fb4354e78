"""Protocols: how a map and the ground-truth boxes become IoUs, and with a ground-truth mask counts of pixels.

`hclnet` is our own; `wsoleval` is that of Choe et al., "Evaluating Weakly Supervised Object Localization Methods
Right", CVPR 2020, as their code wsolevaluation computes it. docs/protocols.md says both in full. A protocol looks at a
map once: what it finds at every level costs the same however many thresholds, IoUs and ground-truth boxes it is asked
    about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float, Float64, Int32, Int64, Real, UInt8

from hclnet.boxes import (
    Choice,
    Evidence,
    Rule,
    best_iou,
    contours,
    normalize,
    parse_normalization,
    scale,
    steady,
    to_levels,
)
from hclnet.metrics.masks import Counts, Mask, count_pixels, read_mask
from hclnet.types import MaskFiles


class Found(NamedTuple):
    """What one map contributes to the records.

    Attributes:
        level: the box rule's.
        box: the box rule's; half-open, map pixels, zeros if there is none.
        iou: its best IoU with a ground-truth box.
        level_iou: at each level t = 0..255 the same of the largest component of `levels > t`.
        level_best: at each level the best IoU of any component with a ground-truth box. Without ground-truth boxes IoUs
            are NaN.
    """

    level: int
    box: Int32[np.ndarray, " 4"]
    iou: float
    level_iou: Float64[np.ndarray, " 256"]
    level_best: Float64[np.ndarray, " 256"]


def unlocated() -> Found:
    """What a map contributes in which no box was looked for."""
    return _nothing(Choice(255, np.zeros(4, dtype=np.int32)))


@runtime_checkable
class Scoring(Protocol):
    """A protocol, with its settings. `bins` is how many bins PxAP has."""

    name: ClassVar[str]
    bins: ClassVar[int]
    map_size: int
    upsampling: str
    normalization: str

    def heatmap(self, map: Real[np.ndarray, "h w"]) -> Float[np.ndarray, "s s"]:
        """A map of any size at `map_size`, in 0..1. ValueError if it is empty or not finite."""
        ...

    def levels(self, heatmap: Float[np.ndarray, "s s"]) -> UInt8[np.ndarray, "s s"]:
        """The heatmap in 256 levels."""
        ...

    def gt_boxes(self, boxes: Real[np.ndarray, "m 4"], size: tuple[int, int]) -> Real[np.ndarray, "m 4"]:
        """True boxes of an image of this width and height, on the map."""
        ...

    def locate(self, evidence: Evidence, gt_boxes: Real[np.ndarray, "m 4"], rules: Sequence[Rule]) -> list[Found]:
        """What a level map contributes under each box rule, which has what it needs among the evidence."""
        ...

    def pixels(
        self, heatmap: Float[np.ndarray, "s s"], levels: UInt8[np.ndarray, "s s"], mask: MaskFiles | Mask
    ) -> tuple[Counts, Counts]:
        """Pixels in each bin inside and outside of the ground-truth mask."""
        ...

    def describe(self, rule: str) -> dict[str, str | int]:
        """How metrics under this protocol and box rule are measured, to be written beside them."""
        ...


@dataclass(frozen=True, slots=True)
class Hclnet:
    """Our own protocol, the default: 8-connected components by pixels, half-open boxes, ground-truth boxes as they are.

    Args:
        map_size: side of the level maps, pixels.
        upsampling: of smaller maps, `bilinear` or `bicubic`; larger ones are averaged down.
        normalization: see `hclnet.boxes.normalize`.
    """

    name: ClassVar[str] = "hclnet"
    bins: ClassVar[int] = 256

    map_size: int = 224
    upsampling: str = "bilinear"
    normalization: str = "minmax"

    def heatmap(self, map: Real[np.ndarray, "h w"]) -> Float[np.ndarray, "s s"]:
        enlarged = cv2.INTER_LINEAR if self.upsampling == "bilinear" else cv2.INTER_CUBIC
        how = cv2.INTER_AREA if max(map.shape) > self.map_size else enlarged
        values = steady(map, from_zero=self.normalization == "max")
        if map.shape != (self.map_size, self.map_size) and (values == values[0, 0]).all():
            return np.zeros((self.map_size, self.map_size), dtype=np.float32)  # else rounding errors would be stretched
        return normalize(_resize(values, self.map_size, how), self.normalization)

    def levels(self, heatmap: Float[np.ndarray, "s s"]) -> UInt8[np.ndarray, "s s"]:
        return to_levels(heatmap)

    def gt_boxes(self, boxes: Real[np.ndarray, "m 4"], size: tuple[int, int]) -> Float64[np.ndarray, "m 4"]:
        return scale(boxes, size, (self.map_size, self.map_size))

    def locate(self, evidence: Evidence, gt_boxes: Real[np.ndarray, "m 4"], rules: Sequence[Rule]) -> list[Found]:
        tree, boxes = evidence.tree, evidence.boxes
        chosen = [rule.choose(evidence) for rule in rules]
        if not len(gt_boxes):
            return [_nothing(choice) for choice in chosen]
        level_iou, level_best = best_iou(boxes, gt_boxes), tree.best_iou(gt_boxes)
        ious = best_iou(np.stack([choice.box for choice in chosen]), gt_boxes)
        return [Found(*choice, iou, level_iou, level_best) for choice, iou in zip(chosen, ious.tolist())]

    def pixels(
        self, heatmap: Float[np.ndarray, "s s"], levels: UInt8[np.ndarray, "s s"], mask: MaskFiles | Mask
    ) -> tuple[Counts, Counts]:
        # Sampled at the centers of pixels.
        foreground, ignore = read_mask(mask, self.map_size, 0.5, cv2.INTER_NEAREST_EXACT)
        return count_pixels(levels, foreground, ignore, self.bins)

    def describe(self, rule: str) -> dict[str, str | int]:
        return {
            "name": self.name,
            "map_size": self.map_size,
            "upsampling": self.upsampling,
            "normalization": self.normalization,
            "levels": "floor(255 h) > t, t = 0..255",
            "components": "8-connected; the one with the most pixels, or for max_box_acc_v2 every one",
            "iou": "half-open boxes; ground-truth boxes scaled to the map, not rounded",
            "rule": rule,
        }


@dataclass(frozen=True, slots=True)
class WsolEval:
    """wsolevaluation's, to the letter: OpenCV's contours, inclusive boxes cut at the edge, ground-truth boxes in whole
    pixels.

    Args:
        map_size: side of the level maps, pixels; 224 in wsolevaluation.
    """

    name: ClassVar[str] = "wsoleval"
    bins: ClassVar[int] = 1001
    upsampling: ClassVar[str] = "bicubic"
    normalization: ClassVar[str] = "minmax"

    map_size: int = 224

    def heatmap(self, map: Real[np.ndarray, "h w"]) -> Float[np.ndarray, "s s"]:
        values = _resize(steady(map, wide=True), self.map_size, cv2.INTER_CUBIC)
        values = values - values.min()
        high = values.max()
        return values / high if high > 0 else values

    def levels(self, heatmap: Float[np.ndarray, "s s"]) -> UInt8[np.ndarray, "s s"]:
        return (heatmap * 255).astype(np.uint8)

    def gt_boxes(self, boxes: Real[np.ndarray, "m 4"], size: tuple[int, int]) -> Int64[np.ndarray, "m 4"]:
        return scale(boxes, size, (self.map_size, self.map_size)).astype(np.int64)

    def locate(self, evidence: Evidence, gt_boxes: Real[np.ndarray, "m 4"], rules: Sequence[Rule]) -> list[Found]:
        levels, found = evidence.levels, contours(evidence.levels)
        boxes = found.largest_boxes()
        chosen = [rule.choose(evidence.with_boxes(boxes)) for rule in rules]
        if not len(gt_boxes):
            return [_nothing(choice) for choice in chosen]
        # Its "no contour" is the box 0, 0, 0, 0, which holds the pixel in the corner.
        edge = np.array([levels.shape[1] - 1, levels.shape[0] - 1])

        def overlap(half_open: Int32[np.ndarray, "n 4"]) -> Float64[np.ndarray, " n"]:
            cut = half_open.copy()
            cut[:, 2:] = np.minimum(cut[:, 2:], edge)
            return best_iou(cut, gt_boxes, inclusive=True)

        level_iou = overlap(boxes)
        level_best = found.best(overlap, nothing=level_iou[-1])
        # It has 1000 thresholds int(t * 255), t < 1: they are the levels 0 to 254.
        level_iou[-1] = level_best[-1] = 0.0
        ious = overlap(np.stack([choice.box for choice in chosen]))
        return [Found(*choice, iou, level_iou, level_best) for choice, iou in zip(chosen, ious.tolist())]

    def pixels(
        self, heatmap: Float[np.ndarray, "s s"], levels: UInt8[np.ndarray, "s s"], mask: MaskFiles | Mask
    ) -> tuple[Counts, Counts]:
        foreground, ignore = read_mask(mask, self.map_size, 0.0, cv2.INTER_NEAREST)
        return count_pixels(_thousandths(heatmap), foreground, ignore, self.bins)

    def describe(self, rule: str) -> dict[str, str | int]:
        return {
            "name": self.name,
            "map_size": self.map_size,
            "upsampling": self.upsampling,
            "normalization": self.normalization,
            "levels": "uint8(255 h) > t, t = 0..254",
            "components": "OpenCV's contours; the one of the largest area, or for max_box_acc_v2 every one, holes too",
            "iou": "inclusive boxes, x1 and y1 at most the last pixel; ground-truth boxes scaled to the map, truncated",
            "rule": rule,
        }


PROTOCOLS: dict[str, type[Scoring]] = {"hclnet": Hclnet, "wsoleval": WsolEval}


def look(
    map: Real[np.ndarray, "h w"],
    gt_boxes: Real[np.ndarray, "m 4"],
    size: tuple[int, int],
    mask: MaskFiles | Mask | None,
    scoring: Scoring,
    rules: Sequence[Rule],
    pixels: Callable[[int], UInt8[np.ndarray, "s s 3"]] | None = None,
) -> tuple[list[Found], tuple[Counts, Counts] | None]:
    """What a map contributes to the records, by whatever way it came: files, or a training loop.

    Args:
        map: of the true class.
        gt_boxes: in pixels of an image of `size`; with no rows where none are known.
        size: width and height of that image.
        mask: the ground-truth mask, or None.
        scoring: the protocol.
        rules: box rules. Without one no box is looked for.
        pixels: reads the image squashed to a side, for rules that need it.

    Returns:
        Of every rule what was found, and of the mask the pixels in each bin inside and outside of it.

    Raises:
        ValueError: the map is not finite, or a mask or the image can't be read.
    """
    heatmap = scoring.heatmap(map)
    levels = scoring.levels(heatmap)
    evidence = Evidence(levels, grid=map, pixels=partial(pixels, scoring.map_size) if pixels else None)
    found = scoring.locate(evidence, scoring.gt_boxes(gt_boxes, size), rules) if rules else []
    return found, scoring.pixels(heatmap, levels, mask) if mask else None


_EDGES = np.append(np.arange(0, 1, 0.001), [1.0, 2.0])


def get_protocol(
    name: str, map_size: int = 224, upsampling: str = "bilinear", normalization: str = "minmax"
) -> Scoring:
    """The protocol of a name; `upsampling` and `normalization` are of our own only.

    Raises:
        ValueError: there is no such protocol, or it has no such normalization.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"there is no protocol {name!r}; choose one of {', '.join(PROTOCOLS)}.")
    parse_normalization(normalization)  # whether there is such a one, now and not at the first map
    if name == "hclnet":
        return Hclnet(map_size, upsampling, normalization)
    if normalization != "minmax":
        raise ValueError(f"protocol {name} normalizes by minmax; {normalization} is for protocol hclnet.")
    return WsolEval(map_size)


def _nothing(choice: Choice) -> Found:
    nothing = np.full(256, np.nan)
    return Found(*choice, float("nan"), nothing, nothing)


def _resize(map: Float[np.ndarray, "h w"], side: int, how: int) -> Float[np.ndarray, "s s"]:
    return map if map.shape == (side, side) else cv2.resize(map, (side, side), interpolation=how)


def _thousandths(heatmap: Float[np.ndarray, "s s"]) -> Int64[np.ndarray, "s s"]:
    """The bin i of each score, `edge[i] <= score < edge[i + 1]`, by a guess that is one off at most."""
    bins = (heatmap * 1000).astype(np.int64)
    bins -= _EDGES[bins] > heatmap
    bins += _EDGES[bins + 1] <= heatmap
    return bins
