import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hclnet_runtime.boxes import RULES, box, parse_rule
from reference import labelling


@pytest.mark.parametrize(
    ("text", "level"), [("fixed:0", 0), ("fixed:0.2", 51), ("fixed:.5", 128), ("fixed:0.999", 254)]
)
def test_fixed_is_a_share_of_the_maximum(text, level):
    assert parse_rule(text).level(np.zeros((2, 2), dtype=np.uint8)) == level


@pytest.mark.parametrize(
    "text", [*(kind.example for kind in RULES.values()), "fixed:0", "fixed:0.123456789", "fixed:1e-3"]
)
def test_text_reads_back_as_the_same_rule(text):
    rule = parse_rule(text)
    assert parse_rule(str(rule)) == rule and str(parse_rule(str(rule))) == str(rule)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fix:0.2",
        "fixed",
        "fixed:",
        "fixed:1",
        "fixed:-0.1",
        "fixed:nan",
        "fixed:x",
        "otsu3:2",
        "otsu3:",
        "Otsu3",
        "auto:",
        "auto:1",
    ],
)
def test_what_is_no_rule_is_refused_with_examples(text):
    with pytest.raises(ValueError, match=r"fixed:0\.2, otsu3") as error:
        parse_rule(text)
    assert repr(text) in str(error.value)


def check_otsu3(levels):
    chosen = parse_rule("otsu3").level(levels)
    best = labelling.otsu3(levels, int(levels.max()))
    assert best[chosen] == pytest.approx(max(best.values()), rel=1e-9)
    assert (levels > chosen).any() and not (levels > chosen).all()


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint8, (5, 6), elements=st.integers(0, 12)).filter(lambda a: len(np.unique(a)) >= 3))
def test_otsu3_has_the_greatest_variance_of_all_pairs_of_thresholds(levels):
    check_otsu3(levels)


def test_otsu3_on_levels_up_to_255():
    levels = np.random.default_rng(0).choice([0, 3, 60, 61, 140, 200, 254, 255], (9, 9)).astype(np.uint8)
    values = np.unique(levels)
    chosen = parse_rule("otsu3").level(levels)
    pairs = [(low, high) for low in values for high in values if low < high < 255]
    scores = {pair: labelling.variance_between(levels, pair) for pair in pairs}
    assert chosen == max(scores, key=scores.get)[1]


def test_otsu3_separates_three_plateaus():
    levels = np.repeat(np.array([20, 100, 220], dtype=np.uint8), 30).reshape(9, 10)
    assert parse_rule("otsu3").level(levels) == 100
    assert box(levels, parse_rule("otsu3")) == (0, 6, 10, 9)


@pytest.mark.parametrize(
    ("values", "level"), [([0, 0], 0), ([0, 255], 0), ([0, 1], 0), ([254, 255], 254), ([7, 90], 7), ([7, 7], 6)]
)
def test_otsu3_with_fewer_than_three_levels(values, level):
    assert parse_rule("otsu3").level(np.array([values], dtype=np.uint8)) == level


def test_box_is_that_of_the_largest_component():
    levels = np.zeros((10, 12), dtype=np.uint8)
    levels[1:3, 1:3] = 255
    levels[5:9, 4:11] = 100
    assert box(levels, parse_rule("fixed:0.2")) == (4, 5, 11, 9)
    assert box(levels, parse_rule("fixed:0.5")) == (1, 1, 3, 3)


def test_box_of_an_empty_mask_is_zeros():
    for rule in ("auto", "fixed:0", "otsu3"):
        assert box(np.zeros((4, 4), dtype=np.uint8), parse_rule(rule)) == (0, 0, 0, 0)
