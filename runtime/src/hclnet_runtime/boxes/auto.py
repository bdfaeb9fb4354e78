"""The box rule `auto`: no threshold, and no ground-truth box where it is used.

**With a foreground score learned from outlines** (`hclnet.maps.foreground`), as every training now leaves it, the map
and the foreground score decide together: see `hclnet_runtime.boxes.consensus`. If the map is zero, there is no box.
If less than half of their cuts agree on one, they contradict each other, as on textures, which have no outlines. Then
the map decides alone, as it does without a foreground score, by its levels above the median.

**With one learned from maps alone**, as localizers of version 0.1 have it. Its constants were set on cut-out animals.

The map alone does not say which of its levels is the object's edge: on the maps of one branch the best single
level lies near 0.45 of the maximum, on those of two branches near 0.7, at twice the image size at 0.3 and 0.5. The
backbone's features say it, since an object's differ from its surroundings' whatever method drew the map. Their
answer is the foreground score: a value for every cell of the features, above 0 where they
are more like what the class maps point at, on all training images, than like what they pass over.

1. A = the pixels whose foreground score, interpolated to the map, is above 0. M(t) = `levels > t`, the mask at level t.
   J(t) = |A and M(t)| / |A or M(t)|: how well it agrees with A.
2. One box is the mean over t of the boxes of the largest component of M(t), weighted by J(t)^8: levels that agree
   about equally well share the say, others have none.
3. Another is that of the component of A that holds the most of the map. The answer is the mean of both.
4. Every side that does not lie on the edge of the image moves inwards by half a cell: a cell answers as soon as the
   object covers part of what it sees, so that what answers reaches half a cell too far.

J, and with it the choice among levels, is the same for any map with the same masks, however its values are spread.

**Without a foreground score** (a localizer that was never trained here, such as the packaged ImageNet classifier), only
the map is left: of the levels above its 65th percentile, the box that most others overlap by half, each weighted by
a (1 - a) for a box that takes the share a of the image; the answer is the weighted mean of those that overlap it.

docs/ablations.md has what was measured, on real images too, and what was tried besides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int32, UInt8

from hclnet_runtime.boxes.consensus import Consensus
from hclnet_runtime.boxes.evidence import Evidence
from hclnet_runtime.boxes.geometry import iou
from hclnet_runtime.boxes.heaviest import Weights, heaviest_component

_SHARPNESS = 8  # exponent of J; from 4 to 32 the accuracy is the same within a point
_BLUR = 0.5  # cells by which what answers reaches beyond the object, on each side
_MOST_BLUR = 0.3  # of a side's length: a box smaller than a cell keeps an inside
_ROUNDING = 1e-6  # pixels
_BACKGROUND = 65  # percent of the map, without a foreground score
UNSURE = 50
"""Percent of the map that are background where map and foreground score contradict each other: textures are large."""


class Choice(NamedTuple):
    """What a box rule makes of a level map.

    Attributes:
        level: the level t whose mask `levels > t` is the object's.
        box: half-open, map pixels; zeros if there is none.
    """

    level: int
    box: Int32[np.ndarray, " 4"]


def choose_by_consensus(evidence: Evidence, found: Consensus) -> Choice:
    """The box of the consensus, and the level whose mask is most like its pixels.

    Args:
        evidence: with a foreground score learned from outlines.
        found: the consensus of it.
    """
    return Choice(int(_agreement(evidence.levels, found.pixels).argmax()), _whole(found.box))


def choose_by_foreground(evidence: Evidence) -> Choice:
    """The level and the box that agree best with the foreground score; see the module.

    Args:
        evidence: with a foreground score learned from maps.
    """
    levels, boxes, likely = evidence.levels, evidence.boxes, evidence.foreground_pixels
    assert likely is not None and evidence.foreground is not None
    agreement = _agreement(levels, likely)
    agreement[~_has_area(boxes)] = 0
    best = agreement.max()
    if best <= 0:  # nothing on the map looks like an object
        return choose_by_map(evidence)
    weight = (agreement / best) ** _SHARPNESS
    mean = (_weighted_mean(boxes, weight) + heaviest_component(likely, Weights(levels))[0]) / 2
    return Choice(int(agreement.argmax()), tightened(mean, levels.shape, evidence.foreground.shape))


def choose_by_map(evidence: Evidence, background: float = _BACKGROUND) -> Choice:
    """The level and the box that most levels above the background agree on; see the module.

    Args:
        evidence: whose level map decides.
        background: percent of the map, at least, that are below all levels that are asked.
    """
    levels, boxes = evidence.levels, evidence.boxes
    present = _has_area(boxes)
    if not present.any():
        return Choice(0, np.zeros(4, dtype=np.int32))
    candidates = present & (np.arange(256) >= np.percentile(levels, background, method="lower"))
    if not candidates.any():  # more than a third of the map shares the maximum
        candidates = present
    share = _areas(boxes) / levels.size
    # A box of the whole image weighs nothing, unless there are no others.
    weight = np.where(candidates, np.maximum(share * (1 - share), 1e-9), 0.0)
    alike = iou(boxes, boxes) >= 0.5
    support = np.where(candidates, alike @ weight, -1.0)
    chosen = int(support.argmax())
    return Choice(chosen, _whole(_weighted_mean(boxes, weight * alike[chosen])))


def _agreement(levels: UInt8[np.ndarray, "h w"], likely: Bool[np.ndarray, "h w"]) -> Float64[np.ndarray, " 256"]:
    """IoU of `levels > t` with the likely pixels, for each t."""
    of_all = np.bincount(levels.ravel(), minlength=256)
    of_likely = np.bincount(levels[likely], minlength=256)
    mask = of_all.sum() - of_all.cumsum()
    common = of_likely.sum() - of_likely.cumsum()
    return common / np.maximum(mask + of_likely.sum() - common, 1)


def tightened(
    box: Float64[np.ndarray, " 4"], shape: tuple[int, int], cells: tuple[int, int]
) -> Int32[np.ndarray, " 4"]:
    """The box with every side that is not on the edge of the map moved inwards by half a cell, in whole pixels.

    Args:
        box: half-open, map pixels.
        shape: height and width of the map.
        cells: how many of the foreground score it has, down and across.
    """
    blur = _BLUR * np.array(shape[::-1]) / np.array(cells[::-1])
    inwards = np.minimum(blur, _MOST_BLUR * (box[2:] - box[:2]))
    # A mean of sides on the edge is there but for rounding.
    low, high = box[:2] > _ROUNDING, box[2:] < np.array(shape[::-1]) - _ROUNDING
    return _whole(box + np.concatenate([inwards * low, -inwards * high]))


def _weighted_mean(boxes: Int32[np.ndarray, "n 4"], weight: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " 4"]:
    return weight @ boxes / weight.sum()


def _whole(box: Float[np.ndarray, " 4"]) -> Int32[np.ndarray, " 4"]:
    """In whole pixels, as every rule's box is; never empty."""
    low = np.floor(box[:2] + 0.5)
    high = np.maximum(np.floor(box[2:] + 0.5), low + 1)
    return np.concatenate([low, high]).astype(np.int32)


def _areas(boxes: Int32[np.ndarray, "n 4"]) -> Float64[np.ndarray, " n"]:
    return np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).astype(np.float64)


def _has_area(boxes: Int32[np.ndarray, "n 4"]) -> Bool[np.ndarray, " n"]:
    return _areas(boxes) > 0
