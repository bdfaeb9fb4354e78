"""True masks, and how the pixels of a map lie in them: counts by bin of the score, which PxAP is reduced from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Integer, Real

from hclnet.data.files import shown
from hclnet.data.masks import read_gray
from hclnet.types import MaskFiles

Counts = Integer[np.ndarray, " b"]


@dataclass(frozen=True, slots=True)
class Mask:
    """The ground-truth mask of an image in memory, as `MaskFiles` has it in files: pictures that show the whole image.

    Attributes:
        foreground: one or, for several objects, more, each of any size, brighter where it holds.
        ignore: what is counted neither as object nor as background, apart from the foreground in it.
    """

    foreground: tuple[Real[np.ndarray, "_ _"], ...]
    ignore: Real[np.ndarray, "_ _"] | None = None


def read_mask(
    mask: MaskFiles | Mask, side: int, share: float, interpolation: int
) -> tuple[Bool[np.ndarray, "s s"], Bool[np.ndarray, "s s"]]:
    """The ground-truth mask on a map, and what is to be ignored; the two have no pixel in common.

    Args:
        mask: of one image.
        side: of the map, pixels.
        share: a pixel counts where it is brighter than this share of the brightest in its file, 0..1.
        interpolation: how files are brought to the map's size, such as `cv2.INTER_NEAREST`.

    Raises:
        ValueError: a file is missing or not an image, or the mask is empty; the message names it.
    """

    def read(picture: Path | Real[np.ndarray, "_ _"]) -> Bool[np.ndarray, "s s"]:
        gray = read_gray(picture) if isinstance(picture, Path) else picture
        return cv2.resize(gray, (side, side), interpolation=interpolation) > share * gray.max().item()

    foreground = np.zeros((side, side), dtype=bool)
    for picture in mask.foreground:
        foreground |= read(picture)
    if (
        isinstance(mask, MaskFiles)
        and not foreground.any()
        and not any(read_gray(path).any() for path in mask.foreground)
    ):
        files = ", ".join(map(shown, mask.foreground))
        raise ValueError(f"The mask {files} is empty: nothing in it is bright. Leave it out where there is no object.")
    ignore = np.zeros_like(foreground) if mask.ignore is None else read(mask.ignore) & ~foreground
    return foreground, ignore


def count_pixels(
    bins: Integer[np.ndarray, "s s"],
    foreground: Bool[np.ndarray, "s s"],
    ignore: Bool[np.ndarray, "s s"],
    count: int,
) -> tuple[Counts, Counts]:
    """How many pixels of each bin are in the foreground, and how many in the background.

    Args:
        bins: of every pixel, 0 to `count - 1`.
        foreground: the ground-truth mask.
        ignore: pixels that are not counted.
        count: of bins.
    """
    kind = np.min_scalar_type(bins.size)
    inside = np.bincount(bins[foreground], minlength=count)
    outside = np.bincount(bins[~(foreground | ignore)], minlength=count)
    return inside.astype(kind), outside.astype(kind)


def pxap(inside: Real[np.ndarray, "*r b"], outside: Real[np.ndarray, "*r b"]) -> Real[np.ndarray, "*r"]:
    """Area under the pixels' precision-recall curve, 0..1, by counts over all images; NaN without a foreground pixel.

    Each bin's lower edge is a threshold: the sum over them of precision times growth of recall (Choe et al. 2020).
    """
    found = np.cumsum(inside[..., ::-1], axis=-1, dtype=np.float64)
    wrong = np.cumsum(outside[..., ::-1], axis=-1, dtype=np.float64)
    precision = np.divide(found, found + wrong, out=np.zeros_like(found), where=found > 0)
    area = (precision * inside[..., ::-1]).sum(axis=-1)
    return np.divide(area, found[..., -1], out=np.full_like(area, np.nan), where=found[..., -1] > 0)
