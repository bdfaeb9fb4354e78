import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hclnet.metrics import PROTOCOLS, Hclnet, Scoring, WsolEval, compute_metrics, get_protocol
from hclnet.types import Records
from hclnet_runtime.boxes import Evidence, iou, parse_rule
from reference import wsoleval

RULES = [parse_rule("fixed:0.2"), parse_rule("otsu3")]


def two_plateaus():
    levels = np.zeros((10, 10), dtype=np.uint8)
    levels[0:2, 0:2] = 200
    levels[4:8, 4:10] = 100
    return levels


def test_what_a_map_contributes_by_hand():
    ground_truth = np.array([[0, 0, 2, 4], [4, 4, 10, 10.0]])
    rules = [parse_rule("fixed:0.2"), parse_rule("fixed:0.5")]
    low, high = Hclnet(10).locate(Evidence(two_plateaus()), ground_truth, rules)
    assert (low.level, low.box.tolist(), low.iou) == (51, [4, 4, 10, 8], pytest.approx(24 / 36))
    np.testing.assert_allclose(low.level_iou, [24 / 36] * 100 + [0.5] * 100 + [0] * 56)
    np.testing.assert_allclose(low.level_best, [24 / 36] * 100 + [0.5] * 100 + [0] * 56)
    assert (high.level, high.box.tolist(), high.iou) == (128, [0, 0, 2, 2], 0.5)

    # Only the small plateau has a ground-truth box: level_best finds it beside the large one, level_iou does not.
    (found,) = Hclnet(10).locate(Evidence(two_plateaus()), ground_truth[:1], [parse_rule("fixed:0.5")])
    assert found.iou == 0.5
    np.testing.assert_allclose(found.level_iou, [0] * 100 + [0.5] * 100 + [0] * 56)
    np.testing.assert_allclose(found.level_best, [0.5] * 200 + [0] * 56)


@pytest.mark.parametrize("rule", ["fixed:0.1", "fixed:0.9", "otsu3"])
def test_it_agrees_with_itself(rule):
    levels = np.random.default_rng(0).integers(0, 256, (30, 30), dtype=np.uint8)
    ground_truth, rule = np.array([[3.5, 2, 20, 18.25], [0, 0, 30, 30]]), parse_rule(rule)
    (found,) = Hclnet(30).locate(Evidence(levels), ground_truth, [rule])
    assert found.iou == found.level_iou[rule.level(levels)] == iou(found.box[None], ground_truth).max()
    assert (found.level_best >= found.level_iou).all() and found.level_best.max() > 0


@pytest.mark.parametrize("protocol", [Hclnet(10), WsolEval(10)])
def test_without_truth_there_is_a_box_and_nan(protocol):
    (found,) = protocol.locate(Evidence(two_plateaus()), np.zeros((0, 4)), RULES[:1])
    assert found.box.tolist() == [4, 4, 10, 8]
    assert np.isnan(found.iou) and np.isnan(found.level_iou).all() and np.isnan(found.level_best).all()


def class_maps():
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[0:28, 0:28]
    peaks = sum(np.exp(-((yy - y) ** 2 + (xx - x) ** 2) / 9.0) for y, x in rng.integers(2, 26, (9, 2)))
    return {
        "random": rng.standard_normal((14, 14)),
        "random, oblong": rng.standard_normal((7, 14)),
        "many peaks": peaks,
        "equal peaks": np.kron(np.ones((7, 7)), np.array([[0, 0], [0, 1.0]])),
        "rectified": np.maximum(rng.standard_normal((14, 14)), 0),
        "constant": np.full((14, 14), 3.0),
        "one pixel": np.ones((1, 1)),
        "of the map's own size": rng.random((56, 56)),
    }


@pytest.mark.parametrize("name", class_maps())
def test_wsoleval_equals_the_literal_port_box_for_box(name):
    protocol, side, size = WsolEval(map_size=56), 56, (500, 333)
    class_map = class_maps()[name]
    expected_map = wsoleval.heatmap(class_map, side)
    heatmap = protocol.heatmap(class_map)
    np.testing.assert_array_equal(heatmap, expected_map)
    levels = protocol.levels(heatmap)
    np.testing.assert_array_equal(levels, (expected_map * 255).astype(np.uint8))

    boxes = np.array([[0.0, 0, 33, 21], [120, 50.7, 412.9, 301], [300, 200, 500, 333]])
    true = [wsoleval.gt_box(b, size, side) for b in boxes]
    on_map = protocol.gt_boxes(boxes, size)
    assert on_map.tolist() == true
    (found,) = protocol.locate(Evidence(levels), on_map, RULES[:1])
    for t in range(255):
        largest, any_of_them = wsoleval.best_ious(levels, true, [(t + 0.5) / 255])
        assert found.level_iou[t] == largest[0] and found.level_best[t] == any_of_them[0], t
    assert found.level_iou[255] == found.level_best[255] == 0


def test_wsoleval_accuracies_are_those_of_a_loop_over_1000_thresholds():
    protocol, rng = WsolEval(map_size=32), np.random.default_rng(3)
    maps = [protocol.levels(protocol.heatmap(rng.random((5, 5)))) for _ in range(6)]
    corners = rng.integers(0, 14, (6, 1, 2))
    true = [np.concatenate([c, c + rng.integers(4, 17, (1, 2))], axis=1) for c in corners]
    found = [protocol.locate(Evidence(levels), t, RULES[:1])[0] for levels, t in zip(maps, true)]
    n = len(maps)
    result = compute_metrics(
        Records(
            ids=[""] * n,
            paths=[""] * n,
            labels=np.zeros(n, dtype=np.int64),
            sizes=np.ones((n, 2), dtype=np.int64),
            top_classes=np.zeros((n, 0), dtype=np.int64),
            top_scores=np.zeros((n, 0)),
            rank=np.full(n, -1),
            boxes=np.zeros((n, 4)),
            iou=np.array([f.iou for f in found]),
            level_iou=np.array([f.level_iou for f in found]),
            level_best=np.array([f.level_best for f in found]),
        )
    )
    first, second = wsoleval.max_box_acc(maps, true)
    assert 0 < result["max_box_acc"] == first and result["max_box_acc_v2"] == pytest.approx(second, abs=1e-12)


def test_wsoleval_thresholds_are_the_levels_0_to_254():
    assert sorted({int(t * 255) for t in wsoleval.THRESHOLDS}) == list(range(255))


def test_the_two_protocols_differ_by_little_on_a_smooth_map():
    """About 1 % of levels, by the edge cut, the + 1 and the rounding of ground-truth boxes."""
    yy, xx = np.mgrid[0:14, 0:14]
    blob = np.exp(-((yy - 6) ** 2 + (xx - 8) ** 2) / 20)
    boxes = np.array([[80, 40, 320, 280.0]])
    ours, theirs = (
        p.locate(Evidence(p.levels(p.heatmap(blob))), p.gt_boxes(boxes, (400, 400)), RULES[:1])[0]
        for p in (Hclnet(upsampling="bicubic"), WsolEval())
    )
    assert np.abs(ours.level_iou - theirs.level_iou)[:250].max() < 0.03
    assert ours.level_iou.tolist() != theirs.level_iou.tolist()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(list(PROTOCOLS)))
def test_in_every_protocol_any_component_is_at_least_as_good_as_the_largest(seed, name):
    rng = np.random.default_rng(seed)
    protocol = get_protocol(name, map_size=24)
    levels = protocol.levels(protocol.heatmap(rng.random(rng.integers(1, 30, 2))))
    true = protocol.gt_boxes(np.sort(rng.random((3, 2, 2)) * 100, axis=1).reshape(3, 4), (100, 100))
    for found, rule in zip(protocol.locate(Evidence(levels), true, RULES), RULES):
        assert (found.level_best >= found.level_iou).all()
        assert found.level == rule.level(levels)
        assert found.iou == found.level_iou[found.level] and 0 <= found.iou <= 1


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_rule_may_box_what_no_level_does(name):
    protocol, auto = get_protocol(name, map_size=10), parse_rule("auto")
    cells = np.full((5, 5), -1, dtype=np.float32)
    cells[2:4, 1:4] = 1
    true = protocol.gt_boxes(np.array([[3.0, 4, 8, 7]]), (10, 10))
    found, alone = (protocol.locate(Evidence(two_plateaus(), foreground=o), true, [auto])[0] for o in (cells, None))
    # The plateau that the foreground score is on, from 4, 4 to 10, 8, and its own box agree on 3, 4, 9, 8, less half a
    # cell.
    x0, y0, x1, y1 = found.box.tolist()
    assert (x0, y0, x1, y1) == (4, 5, 8, 7) and alone.box.tolist() != [4, 5, 8, 7]
    if name == "hclnet":
        assert found.iou == pytest.approx(8 / 15)
    else:
        assert found.iou == wsoleval.iou((x0, y0, x1, y1), true[0].tolist())
    assert found.level_iou.tolist() == alone.level_iou.tolist()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_maps_of_any_size_come_to_the_protocols(name):
    protocol = get_protocol(name, map_size=20)
    assert isinstance(protocol, Scoring)
    for shape in ((2, 1), (14, 14), (9, 31), (20, 20), (64, 64)):
        heatmap = protocol.heatmap(np.random.default_rng(0).standard_normal(shape))
        levels = protocol.levels(heatmap)
        assert levels.shape == (20, 20) and (levels.min(), levels.max()) == (0, 255)


def test_a_constant_map_has_no_box_here_and_rounding_errors_for_boxes_there():
    """wsolevaluation upsamples before it looks whether a map is constant; OpenCV's weights don't quite add up to 1."""
    constant = np.full((14, 14), 0.1)
    assert not Hclnet(upsampling="bicubic").heatmap(constant).any()
    np.testing.assert_array_equal(WsolEval().heatmap(constant), wsoleval.heatmap(constant))


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_map_is_refused(name, value):
    for broken in (np.full((4, 4), value), np.where(np.eye(3) > 0, value, 1.0)):
        with pytest.raises(ValueError, match="NaN or infinite"):
            get_protocol(name).heatmap(broken)
    with pytest.raises(ValueError, match="no pixel"):
        get_protocol(name).heatmap(np.zeros((0, 4)))


def test_a_protocol_says_how_it_measures():
    ours, theirs = (get_protocol(name).describe("fixed:0.2") for name in PROTOCOLS)
    assert ours["name"] == "hclnet" and ours["levels"] == "floor(255 h) > t, t = 0..255"
    assert theirs["name"] == "wsoleval" and theirs["levels"] == "uint8(255 h) > t, t = 0..254"
    assert ours.keys() == theirs.keys() and ours["rule"] == theirs["rule"] == "fixed:0.2"
    assert (ours["map_size"], ours["upsampling"]) == (224, "bilinear")


def test_an_unknown_protocol_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="hclnet, wsoleval"):
        get_protocol("mine")
