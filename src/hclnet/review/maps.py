"""The heatmap of an image, as `locate --save heatmaps` left it: a picture of it, and the box at each of its levels."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8
from PIL import Image

from hclnet.data.files import is_file
from hclnet.report.draw import heat_colors
from hclnet.review.folder import Listed
from hclnet_runtime.boxes import component_tree, scale, to_levels
from hclnet_runtime.text import shown


@dataclass(frozen=True, slots=True, eq=False)
class Heat:
    """A heatmap.

    Attributes:
        levels: of its pixels, 0..255, on the square that boxes are drawn on.
        size: of its image, pixels.
    """

    levels: UInt8[np.ndarray, "s s"]
    size: tuple[int, int]

    def boxes(self) -> Float64[np.ndarray, "256 4"]:
        """The box of the largest component above each level, image pixels; zeros where there is none."""
        return self._scaled(component_tree(self.levels).largest_boxes())

    def boxes_at(self, peak: Sequence[float]) -> Float64[np.ndarray, "256 4"]:
        """The box of the component above each level that has a pixel in it.

        Args:
            peak: x and y in image pixels.
        """
        side = len(self.levels)
        x, y = (min(int(at * side / length), side - 1) for at, length in zip(peak, self.size))
        found = np.zeros((256, 4), dtype=np.int32)
        for t in range(int(self.levels[y, x])):
            mask = (self.levels > t).astype(np.uint8)
            _, _, _, (left, top, width, height) = cv2.floodFill(mask, None, (x, y), 2, flags=8)
            found[t] = left, top, left + width, top + height
        return self._scaled(found)

    def picture(self) -> bytes:
        """A PNG in the colors of the reports."""
        image = Image.fromarray(self.levels)
        image.putpalette(base64.b64decode(heat_colors()))
        data = io.BytesIO()
        image.save(data, "PNG")
        return data.getvalue()

    def _scaled(self, boxes: np.ndarray) -> Float64[np.ndarray, "256 4"]:
        side = len(self.levels)
        return scale(boxes, (side, side), self.size)


def read_heat(one: Listed, side: int) -> Heat | None:
    """The heatmap of an image; None where there is none.

    Args:
        one: the image.
        side: of the square that its boxes were drawn on, pixels.

    Raises:
        ValueError: its file is not such a heatmap.
    """
    if one.heatmap is None or not is_file(one.heatmap):
        return None
    return Heat(to_levels(_squared(_gray(one.heatmap), side)), one.size)


def _gray(file: Path) -> Float32[np.ndarray, "h w"]:
    values = cv2.imdecode(np.fromfile(file, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 2 or values.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"{shown(file)} is not a heatmap of hclnet. Delete it and run `hclnet locate` again.")
    return (values / np.float32(255 if values.dtype == np.uint8 else 65535)).astype(np.float32)


def _squared(values: Float32[np.ndarray, "h w"], side: int) -> Float32[np.ndarray, "s s"]:
    shrinks = min(values.shape) >= side
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(values, (side, side), interpolation=how).clip(0, 1).astype(np.float32)
