"""The protocol of Choe et al., "Evaluating Weakly Supervised Object Localization Methods Right", CVPR 2020, as their
code wsolevaluation computes it. docs/protocols.md says it in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from jaxtyping import Float, Float64, Int32, Int64, Real, UInt8

from hclnet.config import Inference
from hclnet.metrics.masks import Counts, Mask, count_pixels, read_mask
from hclnet.metrics.scoring import Found, without_gt
from hclnet.types import MaskFiles
from hclnet_runtime.boxes import Evidence, Rule, best_iou, contours, scale, steady
from hclnet_runtime.heatmaps import resized

_EDGES = np.append(np.arange(0, 1, 0.001), [1.0, 2.0])


@dataclass(frozen=True, slots=True)
class WsolEval:
    """wsolevaluation's, to the letter: OpenCV's contours, inclusive boxes cut at the edge, ground-truth boxes in whole
    pixels.

    Args:
        map_size: side of the level maps, pixels; 224 in wsolevaluation.
    """

    name: ClassVar[str] = "wsoleval"
    suffix: ClassVar[str] = "-wsoleval"
    bins: ClassVar[int] = 1001
    note: ClassVar[str] = (
        "At the box rule, boxes and IoUs are those of the protocol wsoleval. At the threshold slider the page boxes "
        "the 8-connected component with the most pixels, unlike the protocol, which goes by contours."
    )
    upsampling: ClassVar[str] = "bicubic"
    normalization: ClassVar[str] = "minmax"

    map_size: int = 224

    @classmethod
    def of(cls, settings: Inference) -> WsolEval:
        return cls()

    @classmethod
    def make(cls, map_size: int, upsampling: str, normalization: str) -> WsolEval:
        if normalization != "minmax":
            raise ValueError(f"protocol wsoleval normalizes by minmax; {normalization} is for protocol hclnet.")
        return cls(map_size)

    def heatmap(self, map: Real[np.ndarray, "h w"]) -> Float[np.ndarray, "s s"]:
        values = resized(steady(map, wide=True), self.map_size, cv2.INTER_CUBIC)
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
            return [without_gt(choice) for choice in chosen]
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


def _thousandths(heatmap: Float[np.ndarray, "s s"]) -> Int64[np.ndarray, "s s"]:
    """The bin i of each score, `edge[i] <= score < edge[i + 1]`, by a guess that is one off at most."""
    bins = (heatmap * 1000).astype(np.int64)
    bins -= _EDGES[bins] > heatmap
    bins += _EDGES[bins + 1] <= heatmap
    return bins
