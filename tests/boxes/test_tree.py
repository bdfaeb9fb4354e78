"""The tree against 256 labellings, by a literal flood fill and by OpenCV."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hclnet_runtime.boxes import component_tree, iou
from reference import labelling


def noise(seed, shape, levels=256):
    return np.random.default_rng(seed).integers(0, levels, shape, dtype=np.uint8)


def smooth(seed, shape, cells=5):
    coarse = np.random.default_rng(seed).random((cells, cells), dtype=np.float32)
    return (cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_LINEAR) * 255).astype(np.uint8)


def peaks(shape, every=3):
    """Equal isolated peaks on a plateau: nothing but ties."""
    levels = np.full(shape, 10, dtype=np.uint8)
    levels[::every, ::every] = 200
    return levels


def spiral():
    """One long thin component whose bounding box says little, and a background that 4-connectivity would split."""
    levels = np.zeros((13, 13), dtype=np.uint8)
    for ring in range(0, 6, 2):
        levels[ring : 13 - ring, ring : 13 - ring] = 40 + ring
        levels[ring + 1 : 12 - ring, ring + 1 : 12 - ring] = 0
        levels[ring + 1, ring] = 0
    return levels


MAPS = {
    "noise": noise(0, (12, 15)),
    "few levels": noise(1, (14, 11), levels=4),
    "binary": noise(2, (15, 15), levels=2) * 255,
    "smooth": smooth(3, (18, 13)),
    "many peaks": peaks((13, 17)),
    "diagonal": np.eye(9, dtype=np.uint8) * 77,
    "chequers": (np.indices((8, 9)).sum(axis=0) % 2 * 255).astype(np.uint8),
    "spiral": spiral(),
    "constant zero": np.zeros((5, 4), dtype=np.uint8),
    "constant": np.full((5, 4), 9, dtype=np.uint8),
    "constant top": np.full((3, 3), 255, dtype=np.uint8),
    "one pixel": np.full((1, 1), 3, dtype=np.uint8),
    "one zero pixel": np.zeros((1, 1), dtype=np.uint8),
    "row": noise(4, (1, 40)),
    "column": noise(5, (40, 1)),
    "transposed": noise(6, (9, 16)).T,
    "strided": noise(7, (20, 30))[::2, ::-3],
}


def gt_boxes(shape, seed=0, count=3):
    """Boxes that are not whole numbers, one of them partly outside of the map."""
    height, width = shape
    corners = np.random.default_rng(seed).uniform(-0.2, 1.2, (count, 2, 2)) * (width, height)
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


def check_against_labellings(levels):
    tree = component_tree(levels)
    boxes, ground_truth = tree.largest_boxes(), gt_boxes(levels.shape)
    best = tree.best_iou(ground_truth)
    assert boxes.shape == (256, 4) and best.shape == (256,)
    for t in range(256):
        found = labelling.components(levels > t)
        assert tuple(boxes[t]) == labelling.largest_box(found)
        assert best[t] == pytest.approx(labelling.best_iou(found, ground_truth), rel=1e-12, abs=0)
        # `sorted` is stable, so that equally large ones stay in raster order of their first pixel.
        expected = [(len(pixels), labelling.bounding_box(pixels)) for pixels in sorted(found, key=len, reverse=True)]
        assert [(tree.area[i], tuple(tree.box[i])) for i in tree.components(t)] == expected


@pytest.mark.parametrize("name", MAPS)
def test_equals_256_flood_fills(name):
    check_against_labellings(MAPS[name])


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.sampled_from([0, 1, 2, 254, 255]))
)
def test_equals_256_flood_fills_on_any_small_map(levels):
    check_against_labellings(levels)


@pytest.mark.parametrize(
    "levels", [noise(8, (64, 48)), smooth(9, (64, 80), cells=14), peaks((60, 60)), noise(10, (50, 50), levels=3)]
)
def test_equals_256_labellings_by_opencv(levels):
    tree = component_tree(levels)
    boxes, ground_truth = tree.largest_boxes(), gt_boxes(levels.shape, seed=1)
    best = tree.best_iou(ground_truth)
    for t in range(256):
        _, labels, stats, _ = cv2.connectedComponentsWithStats((levels > t).astype(np.uint8), connectivity=8)
        stats = stats[1:]
        area = stats[:, cv2.CC_STAT_AREA]
        corners = stats[:, :2]
        found = np.concatenate([corners, corners + stats[:, 2:4]], axis=1)
        assert sorted(tree.area[tree.components(t)]) == sorted(area)
        if not len(area):
            assert not boxes[t].any() and best[t] == 0
            continue
        firsts = [np.flatnonzero(labels.ravel() == i + 1)[0] for i in np.flatnonzero(area == area.max())]
        largest = np.flatnonzero(area == area.max())[np.argmin(firsts)]
        assert tuple(boxes[t]) == tuple(found[largest])
        assert best[t] == iou(found, ground_truth).max()


@pytest.mark.parametrize("name", MAPS)
def test_the_tree_is_well_formed(name):
    levels = MAPS[name]
    tree = component_tree(levels)
    assert tree.parent[0] == -1 and tree.level[0] == levels.min() and tree.area[0] == levels.size
    children = np.arange(1, len(tree))
    parents = tree.parent[1:]
    assert (parents < children).all() and (parents >= 0).all()
    assert (tree.level[parents] < tree.level[children]).all()
    assert (tree.area[parents] > tree.area[children]).all()
    assert (tree.first[parents] <= tree.first[children]).all()


def test_diagonal_neighbours_are_connected():
    tree = component_tree(np.eye(4, dtype=np.uint8) * 50)
    assert tree.components(0).tolist() == [1] and tree.box[1].tolist() == [0, 0, 4, 4]


def test_of_equal_components_the_first_in_raster_order_is_the_largest():
    levels = np.zeros((3, 7), dtype=np.uint8)
    levels[2, 0:2] = 90  # as large, further left, but begins in a later row
    levels[0, 4:6] = 30
    assert component_tree(levels).largest_boxes()[[0, 29, 30, 89, 90]].tolist() == [
        [4, 0, 6, 1],
        [4, 0, 6, 1],
        [0, 2, 2, 3],
        [0, 2, 2, 3],
        [0, 0, 0, 0],
    ]


def test_best_iou_is_never_below_that_of_the_largest_component():
    levels, ground_truth = smooth(11, (40, 40), cells=8), gt_boxes((40, 40), seed=2)
    tree = component_tree(levels)
    assert (tree.best_iou(ground_truth) >= iou(tree.largest_boxes(), ground_truth).max(axis=1)).all()


def test_best_iou_without_true_boxes_is_zero():
    assert not component_tree(MAPS["noise"]).best_iou(np.zeros((0, 4))).any()


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_a_map_without_pixels_is_refused(shape):
    with pytest.raises(ValueError, match="no pixel"):
        component_tree(np.zeros(shape, dtype=np.uint8))
