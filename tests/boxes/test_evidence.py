import numpy as np
import pytest

from hclnet_runtime.boxes import (
    NEEDS,
    RULES,
    Evidence,
    box,
    check_needs,
    component_tree,
    find_objects,
    parse_rule,
)
from pixel_rule import Bright


def two_squares():
    levels = np.zeros((20, 30), dtype=np.uint8)
    levels[2:8, 3:9] = 200
    levels[10:18, 14:26] = 120
    return levels


def test_a_rule_boxes_by_the_images_pixels_and_says_which_are_the_objects():
    pixels = np.zeros((20, 30, 3), dtype=np.uint8)
    pixels[3:7, 4:8] = 255
    pixels[12:16, 15:25] = 255
    evidence = Evidence(two_squares(), pixels=pixels)
    (alone,) = find_objects(evidence, Bright())
    assert alone.box.tolist() == [4, 3, 25, 16]
    first, second = find_objects(evidence, Bright(), most=3)
    assert (first.box.tolist(), second.box.tolist()) == ([4, 3, 8, 7], [15, 12, 25, 16])


def test_pixels_are_read_once_and_only_when_they_are_looked_at():
    reads = []

    def read():
        reads.append(1)
        return np.full((20, 30, 3), 200, dtype=np.uint8)

    evidence = Evidence(two_squares(), pixels=read)
    for rule in ("auto", "fixed:0.2", "otsu3"):
        assert find_objects(evidence, parse_rule(rule), most=2)
    assert not reads
    assert Bright().choose(evidence).box.tolist() == [0, 0, 30, 20] and evidence.pixels.shape == (20, 30, 3)
    assert Bright().choose(evidence.with_boxes(evidence.boxes)).box.tolist() == [0, 0, 30, 20]
    assert len(reads) == 1


def test_boxes_are_those_of_the_tree_unless_a_protocol_has_its_own():
    evidence, own = Evidence(two_squares()), np.ones((256, 4), dtype=np.int32)
    np.testing.assert_array_equal(evidence.boxes, component_tree(two_squares()).largest_boxes())
    assert evidence.boxes is evidence.boxes and evidence.tree is evidence.tree
    assert evidence.with_boxes(own).boxes is own
    assert Evidence(two_squares(), boxes=lambda: own).boxes is own
    assert parse_rule("fixed:0.2").choose(evidence.with_boxes(own)).box.tolist() == [1, 1, 1, 1]


def test_every_rule_needs_what_there_is():
    for kind in RULES.values():
        assert kind.needs <= set(NEEDS)


def test_a_rule_that_needs_what_is_missing_is_refused_with_a_way_out():
    with pytest.raises(ValueError, match=r"only a level map here, and the box rule bright needs the image's pixels"):
        box(two_squares(), Bright())
    with pytest.raises(ValueError, match=r"such as auto, fixed:0\.2, otsu3\.$"):
        check_needs(Bright(), ("pixels",), "Somewhere")
    check_needs(Bright(), ("features",), "Somewhere")
    check_needs(parse_rule("auto"), ("pixels", "features"), "Somewhere")
