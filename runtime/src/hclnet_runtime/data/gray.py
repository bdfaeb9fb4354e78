"""Gray of more than 8 bits becomes 8: by one scale for all images of a run, or each image by its own values."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Real, UInt8
from PIL import Image

from hclnet_runtime.types import Gray

_HIGH, _LOW = 0.999, 0.001  # shares of the values: one hot or dead pixel has no say


def is_deep(image: Image.Image) -> bool:
    """Whether the image is gray of more than 8 bits."""
    return image.mode.startswith("I") or image.mode == "F"


def eight_bits(image: Image.Image, gray: Gray) -> Image.Image:
    """Gray of more than 8 bits -> 8 bits, 0..255.

    Args:
        image: with `is_deep`.
        gray: which values are shown as 0 and 255. Without a scale for images of this kind it is the image's own: from
            0, or where there are fractions or negative values from their 0.1th percentile, to the 99.9th percentile.
    """
    values = np.asarray(image)
    if gray.by_depth:
        return Image.fromarray(_by_depth(values, image.mode))
    low, high = (gray.fractions if image.mode == "F" else gray.whole) or scale_of(values)
    if values.dtype == np.uint16:
        shown = _stretched(np.arange(2**16), low, high)[values]
    else:
        shown = _stretched(values, low, high)
    return Image.fromarray(shown)


def scale_of(values: Real[np.ndarray, "..."]) -> tuple[float, float]:
    """Which of these values are shown as 0 and 255; what is not finite has no say."""
    flat = values.ravel()
    fractions = flat.dtype.kind == "f"
    if fractions:
        flat = flat[np.isfinite(flat)]
    if not flat.size:
        return 0.0, 0.0
    # Of a value that there is, and never of the very highest: among few values one hot pixel is more than a thousandth.
    first, last = math.ceil(_LOW * (flat.size - 1)), math.floor(_HIGH * (flat.size - 1))
    low, high = np.partition(flat, (first, last))[[first, last]].tolist()
    return (low if fractions or low < 0 else 0), high


def _stretched(values: Real[np.ndarray, "..."], low: float, high: float) -> UInt8[np.ndarray, "..."]:
    if high <= low:
        return np.zeros(values.shape, dtype=np.uint8)
    share = (values.astype(np.float64) - low) / (high - low)
    return np.rint(np.nan_to_num(share, nan=0, posinf=1, neginf=0).clip(0, 1) * 255).astype(np.uint8)


def _by_depth(values: Real[np.ndarray, "h w"], mode: str) -> UInt8[np.ndarray, "h w"]:
    """As version 0.1 did it, for the runs that it trained.

    The depth is the least even one, from 8, that the largest value needs. What has negative values, fractions or more
    bits than 16 goes by its own range.
    """
    if mode != "F" and values.min() >= 0 and (high := int(values.max())) < 2**16:
        most = 2 ** max(8, 2 * math.ceil(math.log2(high + 1) / 2)) - 1
        return np.rint(np.arange(most + 1) * (255 / most)).astype(np.uint8)[values]
    values = np.nan_to_num(values.astype(np.float64), nan=0, posinf=0, neginf=0)
    low, high = values.min(), values.max()
    return np.rint((values - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)
