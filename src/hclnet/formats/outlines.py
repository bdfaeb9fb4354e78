"""Masks of objects as polygons, for formats without run lengths."""

from __future__ import annotations

import cv2
import numpy as np

from hclnet.formats.masks import of_run_lengths
from hclnet.formats.results import ObjectResult

_TOLERANCE = 0.1  # of a mask's pixel: leaves out points on a straight line


def polygons(found: ObjectResult) -> list[list[tuple[float, float]]]:
    """The outer outlines of an object's mask, the largest first; holes are filled. None without a mask.

    A point is x, y in fractions of the image. The outline runs along the edges of the mask's pixels, at the heatmap's
    resolution, and cuts inner corners by half of one.
    """
    if found.mask is None:
        return []
    mask = of_run_lengths(found.mask)
    # OpenCV's outlines go through the centers of pixels: at twice the size they can be moved to the edges.
    large = np.pad(mask.astype(np.uint8), 1).repeat(2, 0).repeat(2, 1)
    outer, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    corners = [np.ceil(points[:, 0] / 2) - 1 for points in sorted(outer, key=cv2.contourArea, reverse=True)]
    simple = [cv2.approxPolyDP(points.astype(np.float32)[:, None], _TOLERANCE, True)[:, 0] for points in corners]
    height, width = mask.shape
    return [[(float(x) / width, float(y) / height) for x, y in points] for points in simple if len(points) > 2]
