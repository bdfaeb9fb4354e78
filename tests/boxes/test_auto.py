import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hclnet_runtime.boxes import Evidence, box, find_objects, parse_rule, to_levels
from hclnet_runtime.boxes.auto import tightened
from reference import labelling
from reference.auto import agreement as literal_agreement
from reference.auto import by_consensus, by_foreground, by_map

AUTO = parse_rule("auto")
CELLS, SIDE = 14, 112


def choose(levels, foreground=None):
    return AUTO.choose(Evidence(levels, foreground=foreground))


def scene(x0, y0, x1, y1, peak=0.15, blur=1.0):
    """A map with a peak inside of an object, in pixels, on a noisy ground; and the foreground score of its cells.

    A cell answers as far as `blur` / 2 cells beyond the object.
    """
    center = (np.arange(SIDE) + 0.5) / SIDE
    cx, cy = (x0 + x1) / 2 / SIDE, (y0 + y1) / 2 / SIDE
    far = np.hypot((center[None] - cx) / ((x1 - x0) / SIDE), (center[:, None] - cy) / ((y1 - y0) / SIDE))
    heat = np.exp(-((far / (2 * peak + 0.3)) ** 2)) + 0.02 * np.sin(40 * center)[None] * np.sin(31 * center)[:, None]
    cell = (np.arange(CELLS) + 0.5) * SIDE / CELLS
    reach = blur / 2 * SIDE / CELLS
    inside = [(low - reach <= cell) & (cell < high + reach) for low, high in ((y0, y1), (x0, x1))]
    foreground = np.where(inside[0][:, None] & inside[1][None], 1.0, -1.0).astype(np.float32)
    return (heat - heat.min()) / (heat.max() - heat.min()), foreground


@pytest.mark.parametrize("ground_truth", [(24, 32, 72, 80), (40, 16, 104, 48), (8, 64, 40, 104), (16, 16, 96, 96)])
@pytest.mark.parametrize("peak", [0.05, 0.15, 0.4])
@pytest.mark.parametrize("power", [0.4, 1, 3])
def test_an_object_of_known_size_is_found_however_narrow_the_peak(ground_truth, peak, power):
    heat, foreground = scene(*ground_truth, peak)
    found = choose(to_levels(heat**power), foreground)
    assert labelling.iou(found.box.tolist(), ground_truth) > 0.7


@pytest.mark.parametrize("ground_truth", [(24, 32, 72, 80), (40, 16, 104, 48), (8, 64, 40, 104)])
@pytest.mark.parametrize("peak", [0.05, 0.15])
def test_without_foreground_an_object_on_a_quiet_ground_is_found(ground_truth, peak):
    heat, _ = scene(*ground_truth, peak)
    assert labelling.iou(choose(to_levels(heat)).box.tolist(), ground_truth) > 0.4


def test_a_foreground_score_from_outlines_gives_the_box_and_the_mask_of_its_component():
    heat, _ = scene(24, 32, 72, 80)
    foreground = np.full((28, 28), -1, dtype=np.float32)
    foreground[8:20, 6:18] = 1  # the object, to which the map points
    foreground[0:4, 20:28] = 3  # another thing, which looks more like an object
    evidence = Evidence(to_levels(heat), foreground=foreground, outlined=True)
    choice = AUTO.choose(evidence)
    assert labelling.iou(choice.box.tolist(), (24, 32, 72, 80)) > 0.8  # and no side moves inwards by half a cell
    (one,) = find_objects(evidence, AUTO)
    x0, y0, x1, y1 = choice.box
    np.testing.assert_array_equal(one.mask[y0:y1, x0:x1], evidence.consensus.pixels[y0:y1, x0:x1])
    assert one.mask.sum() >= 0.8 * 48**2


def test_a_box_on_which_map_and_foreground_agree_is_trusted_more():
    heat, _ = scene(24, 32, 72, 80)
    foreground = np.full((28, 28), -2, dtype=np.float32)
    foreground[8:20, 6:18] = 2
    noise = np.random.default_rng(0).normal(0, 2, (28, 28)).astype(np.float32)
    trusted = [
        find_objects(Evidence(to_levels(heat), foreground=score, outlined=True), AUTO)[0].agreement
        for score in (foreground, noise)
    ]
    assert trusted[0] > 0.9 and trusted[1] < 0.7
    for rule in (AUTO, parse_rule("fixed:0.2")):  # which have no thresholds to compare
        assert find_objects(Evidence(to_levels(heat), foreground=foreground), rule)[0].agreement is None


def test_a_foreground_score_from_outlines_has_no_object_where_the_map_is_flat():
    foreground = np.ones((28, 28), dtype=np.float32)
    evidence = Evidence(np.zeros((SIDE, SIDE), np.uint8), foreground=foreground, outlined=True)
    assert AUTO.choose(evidence).box.tolist() == [0, 0, 0, 0] and find_objects(evidence, AUTO) == []


def test_where_the_map_is_zero_on_what_looks_like_an_object_the_map_alone_decides():
    levels = np.zeros((64, 64), dtype=np.uint8)
    levels[5:20, 5:20] = 200
    foreground = np.full((64, 64), -1, dtype=np.float32)
    foreground[40:50, 40:50] = foreground[40:50, 5:15] = 1
    evidence = Evidence(levels, foreground=foreground, outlined=True)
    for most in (1, 3):
        (one,) = find_objects(evidence, AUTO, most)
        assert one.box.tolist() == [5, 5, 20, 20] and one.mask.sum() == 15**2 and one.peak == 200


def test_a_component_without_heat_is_no_object_beside_a_small_hot_one():
    levels = np.zeros((64, 64), dtype=np.uint8)
    levels[5:8, 5:8] = 200
    foreground = np.full((64, 64), -1, dtype=np.float32)
    foreground[5:8, 5:8] = foreground[30:60, 30:60] = 1
    found = find_objects(Evidence(levels, foreground=foreground, outlined=True), AUTO, 4)
    assert [one.peak for one in found] == [200]


def test_several_objects_have_the_boxes_of_their_components():
    heat = scene(16, 16, 48, 48)[0] + scene(64, 64, 104, 96)[0]
    foreground = np.full((28, 28), -1, dtype=np.float32)
    foreground[4:12, 4:12] = foreground[16:24, 16:26] = 1
    evidence = Evidence(to_levels(heat / heat.max()), foreground=foreground, outlined=True)
    boxes = sorted(one.box.tolist() for one in find_objects(evidence, AUTO, 5))
    assert len(boxes) == 2
    assert all(labelling.iou(b, e) > 0.7 for b, e in zip(boxes, ([16, 16, 48, 48], [64, 64, 104, 96])))


def test_the_choice_of_level_does_not_depend_on_how_the_values_are_spread():
    heat, foreground = scene(24, 32, 72, 80)
    levels = to_levels(heat)
    masks = []
    for change in (lambda v: v, lambda v: v // 2, lambda v: 60 + v // 3):
        changed = change(levels.astype(np.int64)).astype(np.uint8)
        masks.append(changed > choose(changed, foreground).level)
    for mask in masks[1:]:
        assert (mask ^ masks[0]).sum() <= 0.05 * masks[0].sum()


def test_the_scale_of_foreground_does_not_matter():
    heat, foreground = scene(24, 32, 72, 80)
    levels = to_levels(heat)
    noise = np.random.default_rng(0).normal(size=foreground.shape).astype(np.float32)
    one, other = choose(levels, foreground + noise), choose(levels, (foreground + noise) * np.float32(1e-3))
    assert one.level == other.level and one.box.tolist() == other.box.tolist()


def test_mirror_images_have_mirrored_boxes():
    heat, foreground = scene(24, 32, 72, 80)
    for levels, cells in ((to_levels(heat), foreground), (to_levels(heat), None)):
        x0, y0, x1, y1 = box(levels, AUTO, cells)
        mirrored = box(levels[:, ::-1].copy(), AUTO, None if cells is None else cells[:, ::-1].copy())
        assert np.abs(np.array(mirrored) - [SIDE - x1, y0, SIDE - x0, y1]).max() <= 1


def test_a_side_on_the_edge_of_the_image_stays_there():
    _, foreground = scene(0, 0, 56, SIDE)
    levels = np.zeros((SIDE, SIDE), dtype=np.uint8)
    levels[:, :60] = 200
    # Between 60 of the map and 56 of the foreground score, less half a cell.
    assert box(levels, AUTO, foreground) == (0, 0, 54, SIDE)


def test_of_two_objects_the_one_that_the_map_points_at_is_boxed():
    heat, here = scene(8, 8, 48, 48)
    _, there = scene(64, 64, 104, 104)
    assert labelling.iou(box(to_levels(heat), AUTO, np.maximum(here, there)), (8, 8, 48, 48)) > 0.5


@pytest.mark.parametrize("value", [0, 1, 255])
@pytest.mark.parametrize("sign", [None, -1, 0, 1])
def test_constant_maps(value, sign):
    levels = np.full((9, 7), value, dtype=np.uint8)
    foreground = None if sign is None else np.full((3, 2), sign, dtype=np.float32)
    found = choose(levels, foreground)
    assert 0 <= found.level < 256
    # All of it or nothing: a constant map that is not zero is all foreground for every rule.
    assert found.box.tolist() == ([0, 0, 7, 9] if value else [0, 0, 0, 0])


def test_nothing_like_an_object_leaves_the_map():
    heat, foreground = scene(24, 32, 72, 80)
    levels = to_levels(heat)
    alone, none = choose(levels), choose(levels, np.full_like(foreground, -1))
    assert alone.level == none.level and alone.box.tolist() == none.box.tolist()


def rounded(box, expected):
    """To whole pixels; what would be empty has one."""
    off = np.abs(box - np.array(expected, dtype=float))
    return (off[:2] <= 0.5 + 1e-6).all() and ((off[2:] <= 0.5 + 1e-6) | (box[2:] - box[:2] == 1)).all()


maps = arrays(np.uint8, (9, 11), elements=st.sampled_from([0, 1, 20, 40, 41, 90, 200, 255]))


@settings(max_examples=25, deadline=None)
@given(maps, arrays(np.int8, (3, 4), elements=st.integers(-3, 3)))
def test_it_is_the_literal_rule(levels, cells):
    foreground = cells.astype(np.float32) + np.float32(0.25)
    found = choose(levels, foreground)
    level, expected = by_foreground(levels, foreground)
    assert found.level == level
    assert rounded(found.box, expected)


@settings(max_examples=25, deadline=None)
@given(
    maps,
    arrays(np.int8, (3, 4), elements=st.integers(-3, 3)),
    st.none() | arrays(np.int8, (3, 4), elements=st.integers(0, 7)),
)
def test_with_outlines_it_is_the_literal_consensus(levels, cells, first):
    foreground = cells.astype(np.float32) + np.float32(0.25)
    first = None if first is None else first.astype(np.float32) / np.float32(7)
    evidence = Evidence(levels, foreground=foreground, outlined=True, first=first)
    level, expected, pixels, nearest = by_consensus(levels, foreground, first)
    assume(nearest > 1e-6)  # nearer ones are matters of rounding
    found = AUTO.choose(evidence)
    assert found.level == level and rounded(found.box, expected)
    if pixels is not None:
        np.testing.assert_array_equal(evidence.consensus.pixels, pixels)
        shares = {box: evidence.consensus.agreement(np.array(box)) for box in ((2, 1, 8, 6), (0, 0, 11, 9))}
        assert shares == {box: pytest.approx(literal_agreement(levels, foreground, first, box)) for box in shares}


def contradiction(seed):
    """A peak of the map in one corner, and a foreground score that falls without an edge from the opposite one: each
    cut is another box."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:24, 0:24] / 23
    heat = np.exp(-4 * (x + y) * rng.uniform(0.8, 1.2))
    foreground = (-2 * np.hypot(1 - x, 1 - y) * rng.uniform(0.9, 1.1)).astype(np.float32)
    return to_levels((heat - heat.min()) / np.ptp(heat)), foreground


@pytest.mark.parametrize("seed", range(6))
def test_where_most_cuts_disagree_the_map_decides_alone(seed):
    levels, foreground = contradiction(seed)
    evidence = Evidence(levels, foreground=foreground, outlined=True)
    choice, found = AUTO.choose(evidence), evidence.consensus
    assert not found.majority and found.agreement(found.box) < 0.5
    level, expected = by_map(levels, 0.5)
    assert choice.level == level and rounded(choice.box, expected)
    assert by_consensus(levels, foreground, None)[:2] == (level, expected)
    (one,) = find_objects(evidence, AUTO)
    x0, y0, x1, y1 = choice.box
    np.testing.assert_array_equal(one.mask[y0:y1, x0:x1], levels[y0:y1, x0:x1] > level)
    assert one.agreement == found.agreement(choice.box)  # of the box that was chosen


@settings(max_examples=25, deadline=None)
@given(maps)
def test_without_foreground_it_is_the_literal_rule(levels):
    found = choose(levels)
    level, expected = by_map(levels)
    assert found.level == level
    assert rounded(found.box, expected)


def blobs(seed):
    """A map as methods draw them, small: a few smooth peaks on a quiet ground. Noise has few boxes to choose from."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:12, 0:15]
    peaks = zip(rng.uniform(0, 12, 4), rng.uniform(0, 15, 4), rng.uniform(1, 12, 4), rng.uniform(0.3, 1, 4))
    return to_levels(sum(h * np.exp(-((y - a) ** 2 + (x - b) ** 2) / s) for a, b, s, h in peaks) / 4)


@pytest.mark.parametrize("seed", range(12))
def test_on_smooth_maps_too(seed):
    levels = blobs(seed)
    foreground = np.random.default_rng(seed).normal(-0.5, 1, (4, 5)).astype(np.float32)
    for found, (level, expected) in (
        (choose(levels), by_map(levels)),
        (choose(levels, foreground), by_foreground(levels, foreground)),
    ):
        assert found.level == level and rounded(found.box, expected)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((20, 20, 60, 60), (24, 24, 56, 56)),  # half a cell, 4 pixels of 8
        ((20, 20, 30, 60), (23, 24, 27, 56)),  # of a side of 10 no more than 30 %
        ((0, 20, 60, 112), (0, 24, 56, 112)),  # not on the edges
    ],
)
def test_half_a_cell_is_taken_off_every_side(box, expected):
    assert tightened(np.array(box, dtype=np.float64), (112, 112), (14, 14)).tolist() == list(expected)
