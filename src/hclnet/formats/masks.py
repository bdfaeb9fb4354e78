"""Masks of objects at the size of their image, and as COCO's run lengths."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool


def at_size(mask: Bool[np.ndarray, "h w"], size: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    """The mask at a width and height in pixels: each pixel is that of the mask which its center lies in."""
    return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT).astype(bool)


def run_lengths(mask: Bool[np.ndarray, "h w"]) -> dict[str, Any]:
    """COCO's run lengths: how many pixels are out, in, out ... column by column from the left, each from the top."""
    column_by_column = mask.ravel(order="F")
    ends = np.flatnonzero(column_by_column[1:] != column_by_column[:-1]) + 1
    counts = np.diff([0, *ends.tolist(), column_by_column.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if column_by_column[0] else counts}


def row_lengths(mask: Bool[np.ndarray, "h w"]) -> list[int]:
    """CVAT's run lengths: how many pixels are out, in, out ... row by row from the top, each from the left."""
    counts: list[int] = run_lengths(mask.T)["counts"]
    return counts


def of_run_lengths(rle: dict[str, Any]) -> Bool[np.ndarray, "h w"]:
    """The mask that `run_lengths` was made of."""
    height, width = rle["size"]
    values = np.arange(len(rle["counts"])) % 2 == 1
    return np.repeat(values, rle["counts"]).reshape(width, height).T
