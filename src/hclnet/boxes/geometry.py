"""Boxes as numbers: overlap and change of scale. Boxes are `x0, y0, x1, y1`, half-open: `x1 - x0` is a width."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Real


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
