"""Outlines of masks are polygons that, filled, are the masks."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hclnet.formats import ObjectResult
from hclnet.formats.masks import run_lengths
from hclnet.formats.outlines import polygons


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """In pixels of the mask."""
    height, width = mask.shape
    found = polygons(ObjectResult("a", (0, 0, 1, 1), mask=run_lengths(mask)))
    return [np.array(points) * (width, height) for points in found]


def area(points: np.ndarray) -> float:
    x, y = points.T
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def test_a_rectangle_is_four_corners_at_the_edges_of_its_pixels():
    mask = np.zeros((8, 10), bool)
    mask[2:5, 3:9] = True
    (points,) = outlines(mask)
    assert sorted(map(tuple, points.tolist())) == [(3, 2), (3, 5), (9, 2), (9, 5)]
    assert polygons(ObjectResult("a", (0, 0, 1, 1))) == []
    assert outlines(np.zeros((4, 4), bool)) == []
    assert outlines(np.ones((4, 4), bool))[0].tolist() and area(outlines(np.ones((4, 4), bool))[0]) == 16


@settings(deadline=None)
@given(arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_filled_they_are_the_mask_without_its_holes(mask: np.ndarray):
    filled = np.zeros(mask.shape, np.uint8)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
    found = outlines(mask)
    centers = np.zeros(mask.shape, bool)
    for points in found:
        for y, x in np.ndindex(*mask.shape):
            centers[y, x] |= cv2.pointPolygonTest(points.astype(np.float32), (x + 0.5, y + 0.5), False) > 0
    np.testing.assert_array_equal(centers, filled.astype(bool))
