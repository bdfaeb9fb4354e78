import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hclnet.metrics import KINDS, box_kinds, containment, describe_kinds, kind_of_box
from hclnet.types import Records
from hclnet_runtime.boxes import iou

TRUE = np.array([[0, 0, 100, 100]])


def kind(box, true=TRUE, threshold=0.5):
    box = np.array(box, dtype=np.float64)
    return kind_of_box(float(iou(box[None], true).max()), *containment(box, true), threshold)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 0, 100, 50), "right"),  # IoU exactly 1/2
        ((0, 0, 100, 49), "part only"),
        ((40, 40, 45, 45), "part only"),  # a speck, whatever its IoU
        ((0, 0, 100, 201), "too large"),
        ((-500, -500, 900, 900), "too large"),
        ((0, 40, 100, 140), "shifted"),  # 60 % of each: IoU 0.43
        ((0, 34, 100, 134), "shifted"),  # 66 % of each, just below 2/3
        ((0, 66, 100, 166), "shifted"),  # 34 % of each, just above 1/3
        ((0, 67, 100, 167), "background"),
        ((200, 0, 300, 100), "background"),
        ((0, 0, 0, 0), "background"),  # no box
    ],
)
def test_the_kinds_by_hand(box, expected):
    assert kind(box) == expected


def test_a_stricter_iou_moves_the_bounds():
    # For 0.7 the bound is 2 * 0.7 / 1.7 = 82 %.
    assert kind((0, 0, 100, 60)) == "right"
    assert kind((0, 0, 100, 60), threshold=0.7) == "part only"
    assert kind((0, 20, 100, 120)) == "right"
    assert kind((0, 20, 100, 120), threshold=0.7) == "shifted"  # 80 % of each


def test_of_several_true_boxes_the_one_with_the_best_iou_counts():
    two = np.array([[0, 0, 100, 100], [200, 0, 210, 10]])
    assert kind((198, 0, 214, 12), two) == "right"
    assert containment(np.array([198, 0, 214, 12]), two) == (100 / 192, 1.0)
    assert containment(np.array([500, 500, 600, 600]), two) == (0.0, 0.0)


boxes = st.tuples(*[st.integers(0, 40)] * 4).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]) + 1, max(c[1], c[3]) + 1)
)


@settings(max_examples=300, deadline=None)
@given(boxes, boxes, st.sampled_from([0.3, 0.5, 0.7]))
def test_every_box_is_of_the_kind_that_the_words_say(box, true, threshold):
    box, true = np.array(box), np.array([true])
    # Literally, by counting pixels.
    cells = np.zeros((2, 42, 42), dtype=bool)
    for layer, (x0, y0, x1, y1) in zip(cells, (box, true[0])):
        layer[y0:y1, x0:x1] = True
    both, p, g = (cells[0] & cells[1]).sum(), cells[0].sum(), cells[1].sum()
    assert containment(box, true) == pytest.approx((both / p, both / g))
    most = 2 * threshold / (1 + threshold)
    found = kind(box, true, threshold)
    if found == "right":
        assert both / (p + g - both) >= threshold
    else:
        assert both / (p + g - both) < threshold
        assert not (both / p > most + 1e-9 and both / g > most + 1e-9)
        expected = {"part only": p < g, "too large": p > g, "shifted": True, "background": True}
        assert expected[found]
        bounds = {
            "part only": (most, 2),
            "too large": (most, 2),
            "shifted": (most / 2, most),
            "background": (-1, most / 2),
        }
        low, high = bounds[found]
        assert low - 1e-9 <= both / min(p, g) <= high + 1e-9


def test_rows_without_a_true_box_have_no_kind_and_the_records_decide_what_is_right():
    some = Records(
        ids=["a", "b", "c"],
        paths=["", "", ""],
        labels=np.zeros(3, dtype=np.int64),
        sizes=np.full((3, 2), 100),
        top_classes=np.zeros((3, 1), dtype=np.int64),
        top_scores=np.ones((3, 1)),
        rank=np.zeros(3, dtype=np.int64),
        boxes=np.array([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]]),
        iou=np.array([np.nan, 0.5, np.nextafter(0.5, 0)]),
        level_iou=np.zeros((3, 256)),
        level_best=np.zeros((3, 256)),
    )
    ground_truth = {"b": np.array([[0.0, 0, 10, 20]]), "c": np.array([[0.0, 0, 10, 20]])}
    assert box_kinds(some, ground_truth) == [None, "right", "part only"]


def test_the_words_have_their_numbers():
    words = describe_kinds()
    assert list(words) == list(KINDS)
    assert "67%" in words["part only"] and "33%" in words["background"] and "0.5" in words["right"]
    assert not any("{" in text for text in words.values())
