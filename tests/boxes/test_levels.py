import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hclnet_runtime.boxes import normalize, steady, to_levels

EVERY = ("minmax", "max", "pas", "ivr:0", "ivr:35", "ivr:99.9")
RAMP = np.arange(-2, 9, dtype=np.float32).reshape(1, 11)  # percentile p is at -2 + p / 10


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("minmax", np.arange(11) / 10),
        ("max", np.maximum(np.arange(-2, 9), 0) / 8),
        ("pas", np.minimum(np.arange(11) / 9, 1)),
        ("ivr:30", np.maximum(np.arange(11) - 3, 0) / 7),
        ("ivr:35", np.maximum(np.arange(11) - 3.5, 0) / 6.5),
    ],
)
def test_each_normalization_by_hand(how, expected):
    heatmap = normalize(RAMP, how)
    assert heatmap.dtype == np.float32
    np.testing.assert_allclose(heatmap[0], expected, rtol=1e-6)


def test_ivr_0_is_minmax_and_minmax_is_the_default():
    np.testing.assert_array_equal(normalize(RAMP), normalize(RAMP, "ivr:0"))


@pytest.mark.parametrize("how", EVERY)
def test_each_map_of_a_batch_is_normalized_by_itself(how):
    maps = np.random.default_rng(0).normal(size=(2, 3, 6, 5)) * np.array([1, 50, 1e-3])[:, None, None]
    expected = [[normalize(m, how) for m in row] for row in maps]
    np.testing.assert_array_equal(normalize(maps, how), np.array(expected))


@pytest.mark.parametrize("how", EVERY)
@pytest.mark.parametrize("value", [0, 3, -3, 1e-40, 3e38])
def test_a_constant_map_gives_zeros(how, value):
    assert not normalize(np.full((4, 5), value, dtype=np.float32), how).any()


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, (4, 5), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
@pytest.mark.parametrize("how", EVERY)
def test_always_finite_and_within_0_and_1(how, map):
    heatmap = normalize(map, how)
    assert np.isfinite(heatmap).all() and heatmap.min() >= 0 and heatmap.max() <= 1
    if how == "minmax" and map.max() > map.min():
        assert heatmap.max() == 1 and heatmap.min() == 0


def test_pas_of_a_peak_smaller_than_a_tenth_of_the_map():
    map = np.zeros((10, 10), dtype=np.float32)
    map[4, 5] = 7
    np.testing.assert_array_equal(normalize(map, "pas"), map / 7)


def test_max_of_a_negative_map_is_zero():
    assert not normalize(-np.arange(1, 7, dtype=np.float32).reshape(2, 3), "max").any()


def test_the_map_passed_in_is_left_alone():
    map = RAMP.copy()
    for how in EVERY:
        normalize(map, how)
    np.testing.assert_array_equal(map, RAMP)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_map_that_is_not_finite_is_refused(bad):
    with pytest.raises(ValueError, match="NaN or infinite"):
        normalize(np.array([[0, bad]], dtype=np.float32))


@pytest.mark.parametrize(
    "how", ["", "min-max", "ivr", "ivr:", "ivr:100", "ivr:-1", "ivr:x", "ivr:nan", "max:1", "pas:90"]
)
def test_what_is_no_normalization_is_refused_with_the_choices(how):
    with pytest.raises(ValueError, match=r"minmax, max, pas, ivr:P"):
        normalize(RAMP, how)


def test_an_empty_map_is_refused():
    with pytest.raises(ValueError, match="at least one pixel"):
        normalize(np.zeros((2, 0, 3), dtype=np.float32))


def test_levels_are_the_floor():
    heatmap = np.array([[0, 0.9 / 255, 1.1 / 255, 0.5, np.nextafter(1, 0), 1]])
    assert to_levels(heatmap).tolist() == [[0, 0, 1, 127, 254, 255]]


def test_levels_of_half_precision_are_not_rounded_up():
    heatmap = np.linspace(0, 1, 4001).astype(np.float16)[None]
    assert to_levels(heatmap).tolist() == [[int(255 * float(h)) for h in heatmap[0]]]


def test_levels_survive_being_a_float32_heatmap():
    levels = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(to_levels(levels.astype(np.float32) / np.float32(255)), levels)


@pytest.mark.parametrize("value", [-0.01, 1.01, np.nan])
def test_levels_of_what_is_no_heatmap_are_refused(value):
    with pytest.raises(ValueError, match="normalize it first"):
        to_levels(np.array([[0.5, value]]))


BLOB = np.zeros((6, 8))
BLOB[2:5, 3:7] = [[1, 2, 3, 4], [5, 8, 8, 4], [2, 3, 1, 0]]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    "map",
    [
        BLOB, BLOB + 1e8, BLOB - 1e14, BLOB * 1e-46, BLOB * 5e-324, BLOB * 1e300, (BLOB - 4) * 4e307,
        BLOB * 1e-300 + 3e-299, BLOB.astype(np.int64) + 2**62, BLOB.astype(np.int64) - 2**62 - 2**61,
        BLOB.astype(np.uint64) + np.uint64(2**63), BLOB.astype(np.int32) + 2**30, BLOB.astype(np.float16),
        BLOB.astype(np.int8) - np.int8(100), BLOB.astype(np.float32) * np.float32(1e-45),
        (BLOB - 4).astype(np.float32) * np.float32(8e37), (BLOB + 1e9).astype(">f8"),
    ],
    ids=lambda map: f"{map.dtype}-{map.min():.3g}-{map.max():.3g}",
)  # fmt: skip
def test_steps_survive_any_offset_and_any_height(map: np.ndarray, wide: bool):
    values = steady(map, wide=wide)
    assert values.dtype == (np.float64 if wide else np.float32)
    heatmap = normalize(values)
    np.testing.assert_allclose(heatmap, BLOB / 8, atol=1e-6)


def test_what_float32_holds_stays_to_the_bit():
    rng = np.random.default_rng(0)
    for map in (rng.normal(size=(5, 6)), rng.random((5, 6)) * 1e-20, rng.random((5, 6)) + 30, np.full((3, 3), 0.1)):
        single = map.astype(np.float32)
        np.testing.assert_array_equal(steady(single), single)
        np.testing.assert_array_equal(steady(single.astype(np.float64)), single)
        np.testing.assert_array_equal(steady(map, wide=True), map)


def test_where_zero_is_stays_for_the_normalization_that_asks():
    for factor in (1.0, 1e-46, 1e300):
        map = (BLOB - 2) * factor
        np.testing.assert_allclose(
            normalize(steady(map, from_zero=True), "max"), np.maximum(BLOB - 2, 0) / 6, atol=1e-6
        )


@pytest.mark.parametrize("how", ["minmax", "ivr:0", "pas", "max"])
def test_a_range_beyond_double_precision(how: str):
    map = np.array([[-1e308, 0, 1e308, 1e308]])
    expected = [[0, 0, 1, 1]] if how == "max" else [[0, 0.5, 1, 1]]
    np.testing.assert_allclose(normalize(map, how), expected, atol=1e-7)


@pytest.mark.parametrize("value", [0.0, 7.0, -1e300, 1e-310, 2.0**63])
def test_a_constant_map_stays_constant(value: float):
    for wide in (False, True):
        assert np.ptp(steady(np.full((2, 3), value), wide=wide)) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_what_is_not_finite_has_no_steady_map(bad: float, kind: type):
    with pytest.raises(ValueError, match="NaN or infinite"):
        steady(np.array([[0, bad, 1]], dtype=kind))
