import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hclnet_runtime.boxes import Evidence, box, find_objects, parse_rule
from reference import labelling

FIXED, AUTO = parse_rule("fixed:0.1"), parse_rule("auto")
SIDE, CELLS = 96, 12


def hills(*places, side=SIDE):
    """Cones with a center, a height and a radius."""
    y, x = np.mgrid[0:side, 0:side] + 0.5
    cones = [height * np.clip(1 - np.hypot(x - u, y - v) / r, 0, 1) for u, v, height, r in places]
    return np.round(np.max(cones, axis=0)).astype(np.uint8)


def likely(*boxes):
    """ForegroundScore of cells that are within one of the boxes, in map pixels."""
    cells = np.full((CELLS, CELLS), -1, dtype=np.float32)
    for x0, y0, x1, y1 in boxes:
        cells[y0 * CELLS // SIDE : y1 * CELLS // SIDE, x0 * CELLS // SIDE : x1 * CELLS // SIDE] = 1
    return cells


@pytest.mark.parametrize("rule", ["auto", "fixed:0.3", "otsu3"])
@pytest.mark.parametrize("cells", [None, likely((16, 16, 80, 80))])
def test_one_object_has_the_rules_own_box_however_many_are_asked_for(rule, cells):
    levels, rule = hills((48, 48, 255, 40)), parse_rule(rule)
    for most in (1, 3):
        (one,) = find_objects(Evidence(levels, foreground=cells), rule, most)
        assert tuple(one.box.tolist()) == box(levels, rule, cells) and one.peak == levels.max()
        level = rule.choose(Evidence(levels, foreground=cells)).level
        x0, y0, x1, y1 = one.box.tolist()
        expected = np.zeros_like(one.mask)
        expected[y0:y1, x0:x1] = levels[y0:y1, x0:x1] > level
        np.testing.assert_array_equal(one.mask, expected)


def test_peaks_that_touch_are_told_apart_highest_first():
    levels = hills((28, 48, 200, 26), (68, 48, 255, 26))
    first, second = find_objects(Evidence(levels), FIXED, most=5)
    assert first.peak > second.peak >= 190
    assert labelling.iou(first.box.tolist(), (45, 24, 92, 72)) > 0.8
    assert labelling.iou(second.box.tolist(), (4, 24, 51, 72)) > 0.8
    assert not (first.mask & second.mask).any() and ((first.mask | second.mask) == (levels > 26)).all()
    (only,) = find_objects(Evidence(levels), FIXED, most=1)
    assert tuple(only.box.tolist()) == box(levels, FIXED)
    assert len(find_objects(Evidence(levels), FIXED, most=2)) == 2


@pytest.mark.parametrize(
    "second, objects",
    [
        ((60, 48, 230, 26), 2),
        ((37, 48, 240, 26), 1),  # hardly a saddle between them
        ((70, 48, 255, 6), 1),  # tiny
        ((80, 80, 255, 14), 2),  # apart
    ],
)
def test_what_makes_a_peak_an_object(second, objects):
    assert len(find_objects(Evidence(hills((30, 48, 255, 26), second)), FIXED, most=5)) == objects


def test_three_in_a_row_and_the_best_two_of_them():
    levels = hills((18, 48, 150, 18), (48, 48, 255, 18), (78, 48, 200, 18))
    assert [one.peak > 140 for one in find_objects(Evidence(levels), FIXED, most=9)] == [True] * 3
    best, next_best = find_objects(Evidence(levels), FIXED, most=2)
    assert best.box[0] < 48 < best.box[2] and next_best.box[0] > 48


def test_under_auto_the_foreground_says_how_large_they_are():
    boxes = (8, 16, 40, 80), (56, 16, 88, 80)
    levels = hills((24, 48, 255, 60), (72, 48, 200, 60))
    first, second = find_objects(Evidence(levels, foreground=likely(*boxes)), AUTO, most=3)
    for one, (x0, y0, x1, y1) in zip((first, second), boxes):
        # Half a cell is taken off on every side, and interpolation may add as much.
        assert np.abs(one.box - np.array([x0 + 4, y0 + 4, x1 - 4, y1 - 4])).max() <= 2


def test_likely_places_that_the_map_passes_over_are_no_objects():
    levels = hills((24, 48, 255, 20))
    (one,) = find_objects(Evidence(levels, foreground=likely((8, 32, 40, 64), (64, 32, 88, 64))), AUTO, most=3)
    assert one.box[2] < 48


@pytest.mark.parametrize("rule", ["auto", "fixed:0.1", "otsu3"])
@pytest.mark.parametrize("cells", [None, likely((16, 16, 80, 80)), likely()])
def test_an_empty_map_has_none_and_a_full_one_has_one(rule, cells):
    assert find_objects(Evidence(np.zeros((SIDE, SIDE), np.uint8), foreground=cells), parse_rule(rule), 3) == []
    assert len(find_objects(Evidence(np.full((SIDE, SIDE), 255, np.uint8), foreground=cells), parse_rule(rule), 3)) == 1


def literal(levels, pixels):
    """The peaks' pixels: level by level from the top, pixel by pixel in raster order, sets of pixels as they grow."""
    sets = []
    for level in range(255, -1, -1):
        for y, x in zip(*np.nonzero((levels == level) & pixels)):
            around = {(v, u) for v in range(y - 1, y + 2) for u in range(x - 1, x + 2)}
            mine = None
            # In the order in which the neighbours are looked at.
            for near in sorted(around):
                for other in [s for s in sets if near in s["pixels"]]:
                    if mine is None or other is mine:
                        mine = other
                        continue
                    key = lambda s: (s["peak"], len(s["pixels"]))  # noqa: E731
                    high, low = (mine, other) if key(mine) >= key(other) else (other, mine)
                    if low["peak"] - level < 0.2 * low["peak"] or len(low["pixels"]) < 0.2 * len(high["pixels"]):
                        high["pixels"] |= low["pixels"]
                        sets.remove(low)
                    mine = high
            if mine is None:
                mine = {"peak": level, "pixels": set()}
                sets.append(mine)
            mine["pixels"].add((y, x))
    most = max(len(s["pixels"]) for s in sets)
    return sorted(sorted(s["pixels"]) for s in sets if len(s["pixels"]) >= 0.2 * most)


@settings(max_examples=40, deadline=None)
@given(arrays(np.uint8, (7, 8), elements=st.sampled_from([0, 30, 60, 100, 150, 200, 255])))
def test_it_is_the_literal_flood(levels):
    found = find_objects(Evidence(levels), FIXED, most=99)
    expected = literal(levels, levels > 26) if (levels > 26).any() else []
    if len(expected) > 1:
        assert sorted([tuple(p) for p in np.argwhere(one.mask).tolist()] for one in found) == expected
    else:
        assert len(found) == len(expected)


@pytest.mark.parametrize("seed", range(30))
def test_it_is_the_literal_flood_on_hills_too(seed):
    rng = np.random.default_rng(seed)
    places = rng.uniform((0, 0, 60, 2), (14, 14, 255, 7), (6, 4))
    levels = hills(*places, side=14)
    objects = find_objects(Evidence(levels), FIXED, most=99)
    found = [sorted(map(tuple, np.argwhere(one.mask).tolist())) for one in objects]
    expected = literal(levels, levels > 26)
    assert sorted(found) == expected if len(expected) > 1 else len(found) == 1
