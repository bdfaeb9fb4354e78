"""What the class map and a foreground score learned from outlines say together: a box, and the pixels of the object.

The map says where the class is and is blurred; the foreground score has the edges of objects, of other things too.
The score's logistic function is a probability, and a power of the map weights it. How much the map should say differs
from image to image: beside a thing that lies against the object it must say much, and where it covers a part of the
object it must say little. So each of three powers is tried: 0, which leaves the score alone, 1/2 and 1. The pixels of
things are those where the product is above a threshold, and of these things the object is the one with the greatest sum
of the squares of the probability times the *whole* map: which of several things is the object, the map knows better.

No threshold is right for all images either. Each power is cut at several, each cut gives a box, and the box that most
others overlap by half is taken: the mean of these. Where map and foreground score agree on an object, nearly all cuts
give its box; where one of them says little, the other one decides.

A method with several branches has several maps. The later ones are made to cover what the first one leaves out, and
flood textures and what surrounds small objects. So the fused map and that of the first branch vote alike.

The share of cuts that agree with a box, `agreement`, says how far it can be trusted. Where less than half of them do,
map and foreground score contradict each other, and there is no majority: on textures, whose outlines say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Float64, Real, UInt8

from hclnet_runtime.boxes.geometry import iou
from hclnet_runtime.boxes.heaviest import Weights, heaviest_component

_POWERS = (0.0, 0.5, 1.0)  # of the map
_THRESHOLDS = np.arange(0.1, 0.71, 0.1, dtype=np.float32)  # of the maximum
_ODDS = 3.0  # log-odds of an object at a foreground score of 1, its mean distance from 0
_LEAST = 1e-6  # of the maximum, in place of 0
_OVERLAP = 0.5  # IoU of boxes that agree
_MAJORITY = 0.5  # of the cuts


@dataclass(frozen=True)
class Consensus:
    """What most cuts agree on.

    Attributes:
        box: half-open, map pixels.
        pixels: of objects, at the middle one of the cuts that agree, in order of power and threshold.
        components: boxes of all components, a cut at a time.
    """

    box: Float64[np.ndarray, " 4"]
    pixels: Bool[np.ndarray, "h w"]
    components: tuple[Float64[np.ndarray, "_ 4"], ...]

    @cached_property
    def majority(self) -> bool:
        """Whether at least half of the cuts agree with the box."""
        return self.agreement(self.box) >= _MAJORITY

    def agreement(self, box: Real[np.ndarray, " 4"]) -> float:
        """The share of cuts, 0..1, at which a component's box has an IoU of at least 0.5 with a box.

        Args:
            box: half-open, map pixels.
        """
        alike = iou(np.concatenate(self.components), box[None])[:, 0] >= _OVERLAP
        firsts = np.cumsum([0, *map(len, self.components[:-1])])  # of each cut
        return float(np.logical_or.reduceat(alike, firsts).mean())


def consensus(
    levels: UInt8[np.ndarray, "h w"],
    foreground: Float32[np.ndarray, "h w"],
    first: Float32[np.ndarray, "h w"] | None = None,
) -> Consensus | None:
    """The box of the map and the foreground score together; None if the map is zero.

    Args:
        levels: the level map.
        foreground: the foreground score, interpolated to it.
        first: the map of the first branch, interpolated to it, 0 to 1; None if there are no others.
    """
    if not levels.any():
        return None
    # As logarithms, so that nothing is lost where the foreground score is far below 0 all over the image.
    likely = -np.logaddexp(0, -_ODDS * foreground, dtype=np.float32)
    cuts: list[Bool[np.ndarray, "h w"]] = []
    heaviest: list[Float64[np.ndarray, " 4"]] = []
    components: list[Float64[np.ndarray, "_ 4"]] = []
    for of in (levels, first):
        if of is None or not of.any():
            continue
        heat = np.log(np.maximum(of.astype(np.float32) / of.max(), _LEAST))
        weights = Weights(_exponential(2 * (heat + likely)))
        for power in _POWERS:
            together = _exponential(np.float32(power) * heat + likely)
            for threshold in _THRESHOLDS:
                cuts.append(together > threshold)
                box, boxes = heaviest_component(cuts[-1], weights)
                heaviest.append(box)
                components.append(boxes)
    boxes = np.stack(heaviest)
    agree = iou(boxes, boxes) >= _OVERLAP
    votes = agree.sum(1)
    voters = np.flatnonzero(agree[votes.argmax()])
    return Consensus(boxes[voters].mean(0), cuts[voters[len(voters) // 2]], tuple(components))


def _exponential(logarithms: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """With a maximum of 1."""
    return np.exp(logarithms - logarithms.max())
