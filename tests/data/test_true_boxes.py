"""Ground-truth boxes of a wrong unit, shape or order are refused or doubted; those of every published set pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hclnet.data.ground_truth import box_fault, check_boxes, reaches_outside
from hclnet.types import GroundTruth, Sample

SIZE = (100, 80)


def ground_truth_of(*boxes: tuple[float, ...], **more: object) -> tuple[GroundTruth, list[Sample]]:
    samples = [Sample(f"{k}.png", Path(f"{k}.png"), 0, "test") for k in range(len(boxes))]
    return GroundTruth({s.id: np.array([box], dtype=float) for s, box in zip(samples, boxes)}, **more), samples


def spread(count: int = 40, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Boxes as objects have them, anywhere in images."""
    ends = np.sort(np.random.default_rng(3).uniform(0, 1, (count, 2, 2)), axis=2) * np.array(size)[:, None]
    return np.stack([ends[:, 0, 0], ends[:, 1, 0], ends[:, 0, 1] + 2, ends[:, 1, 1] + 2], axis=1)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (
            (0.2, 0.2, 0.6, 0.7),
            r"1 of 2 ground-truth boxes are within 0 and 1: 0\.png: 0\.2 0\.2 0\.6 0\.7.* fractions of the",
        ),
        ((0, 0, 1, 1), "are within 0 and 1"),
        (
            (np.nan, 1, 5, 5),
            r"1 of 2 ground-truth boxes are not finite: 0\.png: nan 1 5 5.*For an image without a box leave",
        ),
        ((1, 1, np.inf, 5), "are not finite"),
        ((7, 7, 7, 9), r"have no area: 0\.png: 7 7 7 9.*x0 < x1 and y0 < y1.*If these are x, y, width and height"),
        ((9, 3, 5, 9), "have no area"),
        ((5, 9, 9, 3), "have no area"),
        ((120, 10, 150, 30), r"are outside of their image: 0\.png: 120 10 150 30 in 100 x 80.*of another size"),
        ((-30, 10, -20, 30), "are outside of their image"),
    ],
)
def test_what_nothing_can_be_scored_by(box: tuple[float, ...], message: str):
    ground_truth, samples = ground_truth_of(box, (10, 20, 90, 70))
    with pytest.raises(ValueError, match=message):
        check_boxes(ground_truth, samples, dict.fromkeys(ground_truth.boxes, SIZE))
    assert box_fault(np.array(box, dtype=float), SIZE).startswith("box ")
    assert (
        check_boxes(ground_truth, samples[1:], dict.fromkeys(ground_truth.boxes, SIZE)) == ()
    )  # others are not looked at


def test_without_sizes_only_what_needs_none():
    ground_truth, samples = ground_truth_of((120, 10, 150, 30), (1, 2, 3, 4))
    assert check_boxes(ground_truth, samples) == () and box_fault(np.array([120.0, 10, 150, 30])) is None
    assert box_fault(np.array([0, 0, 0.5, 1])) == "box 0 0 0.5 1 is within 0 and 1: a fraction of the image?"
    # The size of the picture that boxes were drawn in comes with some ground_truths.
    ground_truth, samples = ground_truth_of((120, 10, 150, 30), sizes={"0.png": SIZE})
    with pytest.raises(ValueError, match="are outside"):
        check_boxes(ground_truth, samples)


def test_a_box_of_one_pixel_in_an_image_of_two():
    assert box_fault(np.array([0.0, 0, 1, 1]), (2, 2)) is None
    ground_truth, samples = ground_truth_of((0, 0, 1, 1))
    assert check_boxes(ground_truth, samples, {"0.png": (2, 1)}) == ()


def test_boxes_of_a_larger_picture_are_brought_to_the_image():
    ground_truth, samples = ground_truth_of((200, 100, 400, 300), sizes={"0.png": (400, 320)})
    assert check_boxes(ground_truth, samples, {"0.png": SIZE}) == ()


def test_first_three_are_named_and_all_are_counted():
    ground_truth, samples = ground_truth_of(*[(5, 5, 5, 6)] * 2000)
    with pytest.raises(
        ValueError, match=r"2,000 of 2,000 ground-truth boxes have no area: 0\.png.*; 2\.png: 5 5 5 6; and 1,997"
    ):
        check_boxes(ground_truth, samples)


def test_boxes_anywhere_raise_no_doubt():
    boxes = spread()
    ground_truth, samples = ground_truth_of(*boxes)
    assert check_boxes(ground_truth, samples, dict.fromkeys(ground_truth.boxes, (102, 82))) == ()
    whole, samples = ground_truth_of(*[(0, 0, *SIZE)] * 30)
    assert check_boxes(whole, samples, dict.fromkeys(whole.boxes, SIZE)) == ()


def test_over_the_edge():
    ground_truth, samples = ground_truth_of((0, 0, 101, 80), (-1, 5, 20, 81), (50, 50, 130, 70))
    (doubt,) = check_boxes(ground_truth, samples, dict.fromkeys(ground_truth.boxes, SIZE))
    assert doubt.startswith(
        "1 of 3 ground-truth boxes reaches outside of the image, such as 2.png: 50 50 130 70 in 100 x 80."
    )
    assert reaches_outside(np.array([50.0, 50, 130, 70]), SIZE)
    assert not reaches_outside(np.array([-1.0, 0, 101, 81]), SIZE)


def test_y_before_x():
    boxes = spread()
    ground_truth, samples = ground_truth_of(*boxes[:, [1, 0, 3, 2]])
    sizes = dict.fromkeys(ground_truth.boxes, (102, 82))
    with pytest.raises(ValueError, match="are x and y exchanged"):
        check_boxes(ground_truth, samples, sizes)


def doubted(boxes: np.ndarray, size: tuple[int, int]) -> tuple[str, ...]:
    ground_truth, samples = ground_truth_of(*boxes)
    return check_boxes(ground_truth, samples, dict.fromkeys(ground_truth.boxes, size))


def test_width_and_height_for_corners():
    boxes = spread(400)
    boxes[:, 2:] -= boxes[:, :2]
    with pytest.raises(ValueError, match="If these are x, y, width and height, x1 is x"):
        doubted(boxes, (102, 82))
    kept = boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]  # those that could be corners
    (doubt,) = doubted(kept, (102, 82))
    assert "Are they x, y, width, height?" in doubt


@pytest.mark.parametrize("size", [(1020, 820), (400, 400)])
def test_percent_or_pixels_of_small_pictures(size: tuple[int, int]):
    (doubt,) = doubted(spread(), size)
    assert doubt.startswith("none of 40 ground-truth boxes reaches the right or the lower half of its image.")


def test_of_a_few_boxes_nothing_is_doubted():
    assert doubted(spread(9) / 10 + 1, SIZE) == ()
