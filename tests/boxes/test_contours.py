"""All contours of all masks from three trees, against OpenCV's `findContours`, one mask at a time."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hclnet_runtime.boxes.contours import contours


def rings(side=21):
    """Components within holes within components, at several levels, and rings that are open at a corner only."""
    levels = np.zeros((side, side), dtype=np.uint8)
    for k in range(0, side // 2, 2):
        levels[k : side - k, k : side - k] = 100 + 10 * k
        levels[k + 1 : side - k - 1, k + 1 : side - k - 1] = 20 + k
    levels[2, 2] = 0
    return levels


def peaks(shape=(15, 22), every=3):
    """Equal isolated peaks: nothing but ties, and areas of 0."""
    levels = np.full(shape, 10, dtype=np.uint8)
    levels[::every, ::every] = 200
    levels[1::every, 1::every] = 30
    return levels


def upsampled(seed, cells=4, side=26):
    coarse = np.random.default_rng(seed).random((cells, cells))
    fine = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return ((fine - fine.min()) / np.ptp(fine) * 255).astype(np.uint8)


def noise(seed, shape, levels):
    return (np.random.default_rng(seed).integers(0, levels, shape) * (255 // (levels - 1))).astype(np.uint8)


MAPS = {
    "rings": rings(),
    "many peaks": peaks(),
    "upsampled": upsampled(0),
    "smooth": upsampled(1, cells=3, side=31),
    "noise": noise(0, (12, 15), 256),
    "few levels": noise(1, (17, 14), 4),
    "binary": noise(2, (18, 18), 2),
    "diagonal": np.eye(9, dtype=np.uint8) * 77,
    "chequers": (np.indices((8, 9)).sum(axis=0) % 2 * 255).astype(np.uint8),
    "constant zero": np.zeros((5, 4), dtype=np.uint8),
    "constant": np.full((5, 4), 9, dtype=np.uint8),
    "one pixel": np.full((1, 1), 3, dtype=np.uint8),
    "row": noise(4, (1, 40), 9),
    "column": noise(5, (40, 1), 9),
    "strided": noise(7, (20, 30), 5)[::2, ::-3],
}


def literal(levels, t):
    """The largest contour's half-open box, or zeros, and the boxes of all contours, of `levels > t`."""
    found, _ = cv2.findContours((levels > t).astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    boxes = [(x, y, x + w, y + h) for x, y, w, h in map(cv2.boundingRect, found)]
    if not boxes:
        return (0, 0, 0, 0), set()
    areas = [cv2.contourArea(contour) for contour in found]
    return boxes[areas.index(max(areas))], set(boxes)


def assert_as_opencv(levels):
    found = contours(levels)
    largest = found.largest_boxes()
    # Scores by which now small and now large boxes are best, at any place; whole numbers, so that sums are exact.
    weights = np.random.default_rng(0).integers(-99, 100, (8, 4))
    best = [found.best(lambda boxes, w=w: boxes @ w + 1e5, nothing=-1.0) for w in weights]
    for t in range(256):
        box, every = literal(levels, t)
        assert tuple(largest[t].tolist()) == box, t
        for w, scores in zip(weights, best):
            assert scores[t] == max((np.array(b) @ w + 1e5 for b in every), default=-1.0), t


@pytest.mark.parametrize("name", MAPS)
def test_every_contour_of_every_mask_is_opencvs(name):
    assert_as_opencv(MAPS[name])


@settings(max_examples=60, deadline=None)
@given(
    arrays(
        np.uint8,
        array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14),
        elements=st.sampled_from([0, 1, 80, 200, 255]),
    )
)
def test_every_contour_of_any_map_is_opencvs(levels):
    assert_as_opencv(levels)


def test_a_hole_has_a_contour_of_its_own_and_an_open_one_has_none():
    levels = np.full((9, 9), 50, dtype=np.uint8)
    levels[3:5, 2:6] = 0
    closed = contours(levels)
    assert closed.is_hole.sum() == 1
    inner = np.array([1, 2, 7, 6])  # the hole and the pixels round it
    assert closed.best(lambda boxes: (boxes == inner).all(axis=1).astype(float), nothing=0.0)[:50].all()
    levels[:4, 2] = 0
    assert not contours(levels).is_hole.any()


def test_areas_are_those_of_opencv():
    levels = MAPS["upsampled"]
    found = contours(levels)
    tree = found.filled
    for i in range(len(tree)):
        t = int(tree.level[i]) - 1
        if t < 0:
            continue
        outer, _ = cv2.findContours((levels > t).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        areas = {(x, y, x + w, y + h): cv2.contourArea(c) for c in outer for x, y, w, h in [cv2.boundingRect(c)]}
        assert found.areas[i] == areas[tuple(tree.box[i].tolist())]


def test_without_a_pixel_there_are_no_contours():
    with pytest.raises(ValueError, match="no pixel"):
        contours(np.zeros((0, 3), dtype=np.uint8))
