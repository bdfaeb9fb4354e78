"""Boxes as numbers: overlap and change of scale. Boxes are `x0, y0, x1, y1`, half-open: `x1 - x0` is a width."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Float64, Real

from hclnet_runtime.loops import compiled


def iou(boxes: Real[np.ndarray, "n 4"], others: Real[np.ndarray, "m 4"]) -> Float64[np.ndarray, "n m"]:
    """Intersection over union, 0..1, of every box with every other box.

    Boxes are half-open: no `+ 1`, unlike wsolevaluation. A box without area, such as the zeros that stand for "no box",
    overlaps nothing: its IoU is 0, with itself too.
    """
    a = boxes.astype(np.float64)[:, None, :]
    b = others.astype(np.float64)[None, :, :]
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    overlap = np.maximum(width, 0) * np.maximum(height, 0)
    union = _area(a) + _area(b) - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=overlap > 0)


def best_iou(
    boxes: Real[np.ndarray, "n 4"], gt_boxes: Real[np.ndarray, "m 4"], inclusive: bool = False
) -> Float64[np.ndarray, " n"]:
    """Of every box the best IoU with any ground-truth box, 0..1; 0 without ground-truth boxes.

    Args:
        boxes: half-open, or inclusive.
        gt_boxes: as `boxes`.
        inclusive: the pixel at `x1, y1` belongs to the box, whose width is `x1 - x0 + 1`, as in wsolevaluation.
    """
    return _best_iou(boxes, gt_boxes.astype(np.float64), 1 if inclusive else 0)


def scale(
    boxes: Real[np.ndarray, "n 4"], from_size: tuple[int, int], to_size: tuple[int, int]
) -> Float64[np.ndarray, "n 4"]:
    """The same boxes on an image of another size; nothing is rounded or clipped.

    Args:
        boxes: in pixels of an image of `from_size`.
        from_size: width and height, pixels.
        to_size: width and height, pixels.

    Raises:
        ValueError: `from_size` is not positive.
    """
    if min(from_size) <= 0:
        raise ValueError(f"cannot scale boxes from an image of size {from_size}: give its width and height, both > 0.")
    # Multiply first: an edge at the full width then lands exactly on the new full width.
    return boxes.astype(np.float64) * np.tile(to_size, 2) / np.tile(from_size, 2)


def _area(boxes: Float64[np.ndarray, "*n 4"]) -> Float64[np.ndarray, "*n"]:
    # A box with its corners swapped has no area: two negative sides must not multiply to a positive one.
    return np.maximum(boxes[..., 2] - boxes[..., 0], 0) * np.maximum(boxes[..., 3] - boxes[..., 1], 0)


# `no_type_check` keeps run-time checkers of annotations out of what numba compiles.
@compiled(nogil=True)
@no_type_check
def _best_iou(boxes, gt_boxes, extra):
    best = np.zeros(len(boxes), dtype=np.float64)
    for i in range(len(boxes)):
        x0, y0, x1, y1 = boxes[i]
        area = max(x1 - x0 + extra, 0) * max(y1 - y0 + extra, 0)
        for j in range(len(gt_boxes)):
            u0, v0, u1, v1 = gt_boxes[j]
            overlap = max(min(x1, u1) - max(x0, u0) + extra, 0.0) * max(min(y1, v1) - max(y0, v0) + extra, 0.0)
            if overlap > 0:
                true_area = max(u1 - u0 + extra, 0.0) * max(v1 - v0 + extra, 0.0)
                best[i] = max(best[i], overlap / (area + true_area - overlap))
    return best
