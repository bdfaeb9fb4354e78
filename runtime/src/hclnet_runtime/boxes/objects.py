"""Several objects of one class in one level map, each with a box, a mask and a peak.

A box rule answers for one object. Where the map has several peaks, each may be an object of its own: pixels are taken
from the highest level down, and each goes to the peak that it hangs together with. Where two peaks meet, they are two
objects if the lower one rises above their meeting point by at least 20 % of its own height, and has at least 20 % of
the other's pixels there; else they are one. Which pixels belong to objects, the rule says (`Rule.object_pixels`):
`levels > t` at its level t, and for `auto` with a foreground score those that look like an object.

One object has the rule's own box. The boxes of several are those of their pixels; under `auto` with a foreground score
learned from maps every side then moves inwards by half a cell, as in `hclnet_runtime.boxes.auto`. The mask of an object
is what `levels > t` has in its box, under `auto` with a foreground score learned from outlines the pixels of the
consensus (`hclnet_runtime.boxes.consensus`) there; and of several, among its own pixels.
"""

from __future__ import annotations

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Bool, Int32, UInt8

from hclnet_runtime.boxes.evidence import Evidence
from hclnet_runtime.boxes.rules import Rule
from hclnet_runtime.loops import compiled

_RISE = 0.2  # of the lower peak's height, above where it meets the higher one
_SHARE = 0.2  # of the other's pixels


class MapObject(NamedTuple):
    """One object in a level map.

    Attributes:
        box: half-open, map pixels.
        mask: its pixels.
        peak: the highest level in the box.
        agreement: how far the box can be trusted, see `Rule.agreement`.
    """

    box: Int32[np.ndarray, " 4"]
    mask: Bool[np.ndarray, "h w"]
    peak: int
    agreement: float | None


def find_objects(evidence: Evidence, rule: Rule, most: int = 1) -> list[MapObject]:
    """The objects in a level map, highest peak first; none if the map is empty.

    Args:
        evidence: the level map, and what else the rule needs.
        rule: the box rule. With `most` 1 its box is the answer.
        most: how many at most.
    """
    levels, choice = evidence.levels, rule.choose(evidence)
    if choice.box[2] <= choice.box[0]:
        return []
    above = rule.mask_pixels(evidence, choice)
    alone = [_object(evidence, rule, choice.box, above)]
    if most == 1:
        return alone
    found = []
    for pixels in _apart(levels, rule.object_pixels(evidence, choice)):
        box = rule.box_of(pixels, evidence)
        if (_within(box, above) & pixels & (levels > 0)).any():
            found.append(_object(evidence, rule, box, above & pixels))
    found.sort(key=lambda one: -one.peak)
    return found[:most] if len(found) > 1 else alone


def _object(evidence: Evidence, rule: Rule, box: Int32[np.ndarray, " 4"], pixels: Bool[np.ndarray, "h w"]) -> MapObject:
    x0, y0, x1, y1 = box.tolist()
    peak = int(evidence.levels[y0:y1, x0:x1].max())
    return MapObject(box, _within(box, pixels), peak, rule.agreement(evidence, box))


def _within(box: Int32[np.ndarray, " 4"], pixels: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    inside = np.zeros_like(pixels)
    x0, y0, x1, y1 = box.tolist()
    inside[y0:y1, x0:x1] = pixels[y0:y1, x0:x1]
    return inside


def _apart(levels: UInt8[np.ndarray, "h w"], pixels: Bool[np.ndarray, "h w"]) -> list[Bool[np.ndarray, "h w"]]:
    """The pixels of each peak; those that have less than a fifth of the most are left out."""
    owner = _flood(levels, pixels, _RISE, _SHARE)
    peaks, counts = np.unique(owner[owner >= 0], return_counts=True)
    return [owner == peak for peak, count in zip(peaks, counts) if count >= _SHARE * counts.max()]


@compiled(nogil=True)
@no_type_check
def _flood(levels, pixels, rise, share):
    """For each of the pixels the raster index of its peak; -1 for the others."""
    height, width = levels.shape
    level, wanted = levels.ravel().astype(np.int64), pixels.ravel()
    root = np.full(level.size, -1, dtype=np.int64)
    area = np.zeros(level.size, dtype=np.int64)
    for here in np.argsort(255 - level, kind="mergesort"):
        if not wanted[here]:
            continue
        y, x = here // width, here % width
        mine = -1
        for v in range(max(y - 1, 0), min(y + 2, height)):
            for u in range(max(x - 1, 0), min(x + 2, width)):
                other = v * width + u
                if root[other] < 0:
                    continue
                while root[other] != other:
                    root[other] = root[root[other]]
                    other = root[other]
                if mine < 0:
                    mine = other
                elif other != mine:
                    # A root is the first of its pixels, so its level is the peak's.
                    high, low = mine, other
                    if level[low] > level[high] or (level[low] == level[high] and area[low] > area[high]):
                        high, low = low, high
                    if level[low] - level[here] < rise * level[low] or area[low] < share * area[high]:
                        root[low] = high
                        area[high] += area[low]
                    mine = high
        if mine < 0:
            mine = here
        root[here] = mine
        area[mine] += 1
    for here in range(level.size):
        if root[here] >= 0:
            top = here
            while root[top] != top:
                top = root[top]
            root[here] = top
    return root.reshape(height, width)
