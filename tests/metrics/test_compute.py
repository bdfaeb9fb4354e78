import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hclnet.metrics import (
    Hclnet,
    accuracy_by_level,
    compute_metrics,
    describe_protocol,
    shown_metrics,
    weighted_metrics,
)
from hclnet.types import Records


def records(rank, iou, level_iou=None, level_best=None, classes=200):
    """Records of which only what the metrics depend on is given; levels that are not given are all 0."""
    n, k = len(rank), min(5, classes)
    iou = np.array(iou, dtype=np.float64)
    columns = []
    for given_levels in (level_iou, level_best):
        levels = np.zeros((n, 256))
        for t, values in (given_levels or {}).items():
            levels[:, t] = values
        columns.append(np.where(np.isnan(iou)[:, None], np.nan, levels))
    return Records(
        ids=[str(i) for i in range(n)],
        paths=[""] * n,
        labels=np.zeros(n, dtype=np.int64),
        sizes=np.ones((n, 2), dtype=np.int64),
        top_classes=np.zeros((n, k), dtype=np.int64),
        top_scores=np.zeros((n, k)),
        rank=np.array(rank, dtype=np.int64),
        boxes=np.zeros((n, 4)),
        iou=iou,
        level_iou=columns[0],
        level_best=columns[1],
    )


NAN = float("nan")


def test_every_figure_by_hand():
    result = compute_metrics(
        records(
            rank=[0, 0, 4, 5],
            iou=[0.5, 0.49, 0.9, 0.8],
            level_iou={40: [0.5, 0.6, 0.7, 0.1], 41: [0.5, 0.6, 0.1, 0.7], 42: [0.9, 0.0, 0.0, 0.0]},
            # best at IoU 0.3: all four, at 10; at 0.5: three, at 20; at 0.7: one, at 30
            level_best={10: [0.3, 0.3, 0.4, 0.4], 20: [0.6, 0.6, 0.6, 0.2], 30: [0.7, 0.0, 0.0, 0.0]},
        )
    )
    assert result == {
        "images": 4,
        "top1_cls": 0.5,
        "top5_cls": 0.75,
        "images_with_boxes": 4,
        "top1_loc": 0.25,
        "top5_loc": 0.5,
        "gt_known": 0.75,
        "box_acc_v2": pytest.approx((1 + 0.75 + 0.5) / 3),
        "max_box_acc": 0.75,
        "max_box_acc_threshold": 40 / 255,
        "max_box_acc_v2": pytest.approx((1 + 0.75 + 0.25) / 3),
        "top1_loc_best": 0.5,
    }
    assert {type(value) for value in result.values()} == {int, float}


def test_the_iou_threshold_moves_all_but_v2():
    some = records([0, 0], [0.75, 0.5], level_iou={3: [0.75, 0.5]}, level_best={3: [0.75, 0.5]})
    low, high = compute_metrics(some), compute_metrics(some, iou_threshold=0.7)
    changed = {name for name in low if low[name] != high[name]}
    assert changed == {"top1_loc", "top5_loc", "gt_known", "max_box_acc", "top1_loc_best"}
    assert low["gt_known"] == 1.0 and high["gt_known"] == 0.5


def test_top1_loc_best_is_at_the_level_that_is_best_for_all():
    # Level 9 would give the one image that is classified right, level 7 more boxes.
    some = records([0, 1, 2], [0, 0, 0], level_iou={7: [0, 1, 1], 9: [1, 0, 0]})
    assert compute_metrics(some)["max_box_acc_threshold"] == 7 / 255
    assert compute_metrics(some)["top1_loc_best"] == 0.0


def test_without_truth_there_is_only_classification():
    assert compute_metrics(records([0, 6], [NAN, NAN])) == {"images": 2, "top1_cls": 0.5, "top5_cls": 0.5}


def test_partly_boxed_images_count_for_localization_only_where_boxed():
    result = compute_metrics(records([0, 0, 9, 9], [0.8, NAN, 0.6, NAN], level_iou={0: [0.8, 0, 0.2, 0]}))
    assert (result["images"], result["images_with_boxes"], result["top1_cls"]) == (4, 2, 0.5)
    assert (result["gt_known"], result["top1_loc"], result["max_box_acc"]) == (1.0, 0.5, 0.5)


def test_with_fewer_than_five_classes_top5_is_all():
    result = compute_metrics(records([0, 1, 2], [1, 0, 1], classes=3))
    assert result["top5_cls"] == 1.0 and result["top5_loc"] == result["gt_known"]


def test_without_a_classifier_there_is_only_localization():
    some = records([-1, -1], [0.8, 0.4], level_iou={3: [0.8, 0.4]}, level_best={3: [0.8, 0.4]}, classes=0)
    assert set(compute_metrics(some)) == {
        "images", "images_with_boxes", "gt_known", "box_acc_v2", "max_box_acc", "max_box_acc_threshold",
        "max_box_acc_v2",
    }  # fmt: skip
    assert compute_metrics(some)["gt_known"] == 0.5


def test_pxap_is_over_the_pixels_of_the_images_with_a_mask():
    some = records([0, 0, 0], [NAN, NAN, NAN])
    some.inside = np.array([[1, 0, 3], [0, 0, 0], [0, 0, 0]])
    some.outside = np.array([[2, 2, 0], [0, 0, 0], [4, 0, 1]])
    result = compute_metrics(some)
    assert (result["images"], result["images_with_masks"]) == (3, 2)
    # thresholds from the top: precision 3/4 at recall 3/4, 3/6 at 3/4, 4/13 at 1
    assert result["pxap"] == pytest.approx(3 / 4 * 3 / 4 + 4 / 13 * 1 / 4)
    assert "gt_known" not in result


def test_weights_are_as_if_the_rows_were_there_so_often():
    rng = np.random.default_rng(0)
    values = np.where(rng.random(30) < 0.2, NAN, rng.random(30))
    at = {t: rng.random(30) for t in (3, 50, 200)}
    some = records(rng.integers(0, 8, 30), values, at, at)
    some.inside, some.outside = rng.integers(0, 9, (2, 30, 4))
    weights = rng.integers(0, 4, (5, 30))
    result = weighted_metrics(some, weights)
    for row, weight in enumerate(weights):
        again = np.repeat(np.arange(30), weight)
        drawn = records(some.rank[again], some.iou[again])
        drawn.level_iou, drawn.level_best = some.level_iou[again], some.level_best[again]
        drawn.inside, drawn.outside = some.inside[again], some.outside[again]
        assert {name: value[row] for name, value in result.items()} == pytest.approx(compute_metrics(drawn))


def test_no_records_are_refused():
    with pytest.raises(ValueError, match="at least one image"):
        compute_metrics(records([], []))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_metrics_are_in_order(data):
    n = data.draw(st.integers(1, 12))
    rank = data.draw(arrays(np.int64, n, elements=st.integers(0, 9)))
    shares = st.floats(0, 1)
    at = [data.draw(arrays(np.float64, n, elements=shares)) for _ in range(3)]
    extra = [np.maximum(a, data.draw(arrays(np.float64, n, elements=shares))) for a in at]
    # The rule's box is the one at level 50, as it is for a fixed rule.
    result = compute_metrics(
        records(rank, at[0], {50: at[0], 60: at[1], 70: at[2]}, {50: extra[0], 60: extra[1], 70: extra[2]})
    )
    assert result["top1_loc"] <= result["top5_loc"] <= result["gt_known"] <= result["max_box_acc"]
    assert result["top1_loc"] <= result["top1_cls"] and result["top5_loc"] <= result["top5_cls"]
    assert result["top1_loc_best"] <= min(result["max_box_acc"], result["top1_cls"])
    assert all(0 <= value <= 1 for name, value in result.items() if not name.startswith("images"))


def test_accuracy_by_level_is_over_the_boxed_images():
    some = records([0, 1, 0], [0.8, 0.1, NAN], level_iou={0: [0.5, 0.49, 0.9], 7: [0.9, 0.5, 0.0]})
    curve = accuracy_by_level(some)
    assert curve.shape == (256,) and (curve[0], curve[7], curve[8]) == (0.5, 1.0, 0.0)
    assert accuracy_by_level(some, iou_threshold=0.6)[7] == 0.5
    assert compute_metrics(some)["max_box_acc"] == curve.max()
    with pytest.raises(ValueError, match="no image has a ground-truth box"):
        accuracy_by_level(records([0], [NAN]))


def test_every_figure_in_fractions_has_its_meaning():
    some = records([0, 1], [0.9, 0.2])
    some.inside, some.outside = np.ones((2, 2, 3), dtype=np.int64)
    measured = compute_metrics(some)
    assert {m.key for m in shown_metrics()} == {
        n for n in measured if not n.startswith("images") and n != "max_box_acc_threshold"
    }


def test_the_protocol_in_words():
    measured = compute_metrics(records([0, 1], [0.9, 0.2], level_iou={51: [0.9, 0.2]}))
    text = describe_protocol({**measured, "protocol": Hclnet().describe("otsu3")})
    assert text == (
        "Percent of 2 images. Protocol hclnet: maps of 224 px, bilinear upsampling, box rule otsu3; the best threshold "
        "is 0.20 of the maximum."
    )
    text = describe_protocol({"images": 7, "pxap": 0.5, "protocol": Hclnet().describe("otsu3"), "intervals": {}})
    assert text == (
        "Percent of 7 images, with 95 % intervals over images. Protocol hclnet: maps of 224 px, bilinear upsampling."
    )
    assert "classification only" in describe_protocol(compute_metrics(records([0], [NAN])))
