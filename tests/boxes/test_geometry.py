import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hclnet_runtime.boxes import iou, scale
from reference import labelling


def test_iou_by_hand():
    boxes = np.array([[0, 0, 4, 4], [2, 2, 6, 6], [4, 0, 8, 4], [0, 0, 0, 0], [5, 5, 3, 3]])
    expected = [[1, 4 / 28, 0, 0, 0], [4 / 28, 1, 4 / 28, 0, 0], [0, 4 / 28, 1, 0, 0], [0] * 5, [0] * 5]
    np.testing.assert_allclose(iou(boxes, boxes), expected, rtol=1e-15)


def test_iou_is_half_open():
    one, two = np.array([[0.0, 0, 1, 1]]), np.array([[0.0, 0, 2, 1]])
    assert iou(one, two).item() == 0.5  # with + 1 it would be 4 / 6


def test_iou_with_no_boxes():
    assert iou(np.zeros((0, 4)), np.zeros((3, 4))).shape == (0, 3)


boxes = st.tuples(*[st.floats(-20, 20)] * 2, *[st.floats(0.1, 20)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@settings(max_examples=50, deadline=None)
@given(st.lists(boxes, min_size=1, max_size=4), st.lists(boxes, min_size=1, max_size=4))
def test_iou_equals_the_literal_one(some, others):
    expected = [[labelling.iou(a, b) for b in others] for a in some]
    np.testing.assert_allclose(iou(np.array(some), np.array(others)), expected, rtol=1e-9)


def test_scale():
    box = np.array([[0, 56, 224, 112]])
    assert scale(box, (224, 224), (500, 375)).tolist() == [[0, 93.75, 500, 187.5]]
    np.testing.assert_allclose(scale(scale(box, (224, 224), (33, 7)), (33, 7), (224, 224)), box)


def test_scale_from_nothing_is_refused():
    with pytest.raises(ValueError, match="width and height"):
        scale(np.zeros((1, 4)), (0, 5), (3, 3))
