"""In which way a box is wrong: part only, too large, shifted, background. Which class is wrong is in the records' rank.

Of a box P and a ground-truth box G, `inside` = |P and G| / |P| says how much of the box lies on the object, `covered` =
|P and G| / |G| how much of the object lies in the box. IoU = 1 / (1 / inside + 1 / covered - 1). So where both are
c = 2 T / (1 + T) or more (2/3 for T = 1/2) the IoU is T or more, and of a wrong box at most one of them is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Real

from hclnet.types import Records
from hclnet_runtime.boxes import iou

KINDS = {
    "right": "IoU of at least {T} with a ground-truth box",
    "part only": "wrong, and at least {c} of the box lies on the object: it holds a part of it",
    "too large": "wrong, and at least {c} of the object lies in the box: it holds more than the object",
    "shifted": "wrong, and the overlap is from {h} to {c} of the smaller of the two: beside the object",
    "background": "wrong, and the overlap is less than {h} of the smaller of the two, or there is no box at all",
}


def kind_of_box(iou: float, inside: float, covered: float, iou_threshold: float = 0.5) -> str:
    """The kind of a box, one of `KINDS`, from its overlap with the ground-truth box that it overlaps best.

    Args:
        iou: with that ground-truth box, 0..1.
        inside: share of the box that lies in the ground-truth box.
        covered: share of the ground-truth box that lies in the box.
        iou_threshold: T, smallest IoU of a right box.
    """
    if iou >= iou_threshold:
        return "right"
    most = 2 * iou_threshold / (1 + iou_threshold)
    if max(inside, covered) < most / 2:
        return "background"
    if max(inside, covered) < most:
        return "shifted"
    return "part only" if inside > covered else "too large"


def containment(box: Real[np.ndarray, " 4"], gt_boxes: Real[np.ndarray, "m 4"]) -> tuple[float, float]:
    """`inside` and `covered` of a box and, of several ground-truth boxes, the one with the highest IoU; 0 without
    overlap."""
    true = gt_boxes[iou(box[None], gt_boxes)[0].argmax()].astype(np.float64)
    sides = np.minimum(box[2:], true[2:]) - np.maximum(box[:2], true[:2])
    overlap = float(np.maximum(sides, 0).prod())
    if not overlap:
        return 0.0, 0.0
    return overlap / float((box[2:] - box[:2]).prod()), overlap / float((true[2:] - true[:2]).prod())


def box_kinds(
    records: Records, gt_boxes: Mapping[str, Real[np.ndarray, "_ 4"]], iou_threshold: float = 0.5
) -> list[str | None]:
    """The kind of the box at the box rule, for every row; None where the image has no ground-truth box.

    Args:
        records: what was found.
        gt_boxes: by sample id, image pixels.
        iou_threshold: T, smallest IoU of a right box.
    """
    kinds: list[str | None] = []
    for name, box, overlap in zip(records.ids, records.boxes, records.iou):
        if np.isnan(overlap):
            kinds.append(None)
        else:
            kinds.append(kind_of_box(float(overlap), *containment(box, gt_boxes[name]), iou_threshold))
    return kinds


def describe_kinds(iou_threshold: float = 0.5) -> dict[str, str]:
    """What each kind means, in words, for a reader of a table."""
    most = 2 * iou_threshold / (1 + iou_threshold)
    values = {"T": f"{iou_threshold:g}", "c": f"{most:.0%}", "h": f"{most / 2:.0%}"}
    return {kind: text.format(**values) for kind, text in KINDS.items()}
