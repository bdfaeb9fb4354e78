"""Protocols: how a map and the ground-truth boxes become IoUs, and with a ground-truth mask counts of pixels.

`hclnet` is our own; `wsoleval` is that of Choe et al., "Evaluating Weakly Supervised Object Localization Methods
Right", CVPR 2020, as their code wsolevaluation computes it. docs/protocols.md says both in full. A protocol looks at a
map once: what it finds at every level costs the same however many thresholds, IoUs and ground-truth boxes it is asked
about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from jaxtyping import Float, Float64, Real, UInt8

from hclnet.config import Inference
from hclnet.metrics.masks import Counts, Mask, count_pixels, read_mask
from hclnet.metrics.scoring import Found, Scoring, without_gt
from hclnet.metrics.wsoleval import WsolEval
from hclnet.types import MaskFiles
from hclnet_runtime.boxes import Evidence, Rule, best_iou, parse_normalization, scale, to_levels
from hclnet_runtime.heatmaps import Drawn, to_heatmap


@dataclass(frozen=True, slots=True)
class Hclnet:
    """Our own protocol, the default: 8-connected components by pixels, half-open boxes, ground-truth boxes as they are.

    Args:
        map_size: side of the level maps, pixels.
        upsampling: of smaller maps, `bilinear` or `bicubic`; larger ones are averaged down.
        normalization: see `hclnet_runtime.boxes.normalize`.
    """

    name: ClassVar[str] = "hclnet"
    suffix: ClassVar[str] = ""
    bins: ClassVar[int] = 256
    note: ClassVar[str] = ""

    map_size: int = 224
    upsampling: str = "bilinear"
    normalization: str = "minmax"

    @classmethod
    def of(cls, settings: Inference) -> Hclnet:
        return cls(settings.map_size, settings.upsampling, settings.cam_normalization)

    @classmethod
    def make(cls, map_size: int, upsampling: str, normalization: str) -> Hclnet:
        return cls(map_size, upsampling, normalization)

    def heatmap(self, map: Real[np.ndarray, "h w"]) -> Float[np.ndarray, "s s"]:
        return to_heatmap(map, self.map_size, self.upsampling, self.normalization)

    def levels(self, heatmap: Float[np.ndarray, "s s"]) -> UInt8[np.ndarray, "s s"]:
        return to_levels(heatmap)

    def gt_boxes(self, boxes: Real[np.ndarray, "m 4"], size: tuple[int, int]) -> Float64[np.ndarray, "m 4"]:
        return scale(boxes, size, (self.map_size, self.map_size))

    def locate(self, evidence: Evidence, gt_boxes: Real[np.ndarray, "m 4"], rules: Sequence[Rule]) -> list[Found]:
        tree, boxes = evidence.tree, evidence.boxes
        chosen = [rule.choose(evidence) for rule in rules]
        if not len(gt_boxes):
            return [without_gt(choice) for choice in chosen]
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


PROTOCOLS: dict[str, type[Scoring]] = {"hclnet": Hclnet, "wsoleval": WsolEval}


def look(
    drawn: Drawn,
    gt_boxes: Real[np.ndarray, "m 4"],
    size: tuple[int, int],
    mask: MaskFiles | Mask | None,
    scoring: Scoring,
    rules: Sequence[Rule],
) -> tuple[list[Found], tuple[Counts, Counts] | None]:
    """What a map contributes to the records, whatever it was made by: a localizer, files, or a training loop.

    Args:
        drawn: of the map of the true class.
        gt_boxes: in pixels of an image of `size`; with no rows where none are known.
        size: width and height of that image.
        mask: the ground-truth mask, or None.
        scoring: the protocol that it was drawn under.
        rules: box rules. Without one no box is looked for.

    Returns:
        Of every rule what was found, and of the mask the pixels in each bin inside and outside of it.

    Raises:
        ValueError: a mask or the image can't be read.
    """
    found = scoring.locate(drawn.evidence, scoring.gt_boxes(gt_boxes, size), rules) if rules else []
    return found, scoring.pixels(drawn.heatmap, drawn.evidence.levels, mask) if mask else None


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
    return PROTOCOLS[name].make(map_size, upsampling, normalization)


def protocol_of(name: str, settings: Inference) -> Scoring:
    """The protocol of a name under a localizer's settings of maps; `wsoleval` has its own, whatever they say.

    Raises:
        ValueError: there is no such protocol.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"there is no protocol {name!r}; choose one of {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name].of(settings)
