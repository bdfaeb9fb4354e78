"""How good the rest is: the images that count, and the interval, against scipy's hypergeometric distribution."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from scipy.stats import hypergeom

from hclnet.review.decisions import Decision, Marked
from hclnet.review.folder import Found, Listed
from hclnet.review.order import Order, Ranking
from hclnet.review.rest import FEWEST, how_good, is_right, share_of_rest

SIZE = (100, 100)
BOX = (10.0, 10.0, 50.0, 50.0)


def image(k: int, agreement: float, found: bool = True) -> Listed:
    boxes = (Found("fox", BOX, 0.9, agreement, None),) if found else ()
    return Listed(f"{k}.jpg", f"{k}.jpg", Path(f"{k}.jpg"), SIZE, "fox", boxes, None)


def decision(right: bool, shown: object) -> Decision:
    return Decision("accepted", (Marked("fox", BOX if right else (60.0, 60.0, 90.0, 90.0)),), 1, shown)


@pytest.mark.parametrize(
    ("right", "drawn", "left"), [(20, 20, 5000), (0, 20, 30), (17, 20, 900), (40, 61, 7), (1, 25, 1), (150, 200, 4700)]
)
def test_the_interval_is_that_of_the_exact_test(right: int, drawn: int, left: int):
    total = drawn + left
    possible = [
        others
        for others in range(left + 1)
        if hypergeom.sf(right - 1, total, right + others, drawn) > 0.025
        and hypergeom.cdf(right, total, right + others, drawn) > 0.025
    ]
    assert share_of_rest(right, drawn, left) == (possible[0] / left, possible[-1] / left)


def test_it_holds_in_95_of_100_folders():
    lot, held, times = random.Random(0), 0, 200
    for _ in range(times):
        total, drawn = lot.randint(60, 300), lot.randint(20, 50)
        boxes = [lot.random() < 0.8 for _ in range(total)]
        lot.shuffle(boxes)
        low, high = share_of_rest(sum(boxes[:drawn]), drawn, total - drawn)
        held += low <= sum(boxes[drawn:]) / (total - drawn) <= high
    assert held / times >= 0.95


def test_a_box_is_right_if_it_overlaps_one_of_the_persons_by_half():
    one = image(0, 1.0)
    assert is_right(one, decision(True, "random")) and not is_right(one, decision(False, "random"))
    half = Decision("accepted", (Marked("hare", (10.0, 10.0, 50.0, 90.0)),))  # IoU 0.5
    assert is_right(one, half)
    assert not is_right(one, Decision("accepted", (Marked("fox", (10.0, 10.0, 50.0, 90.5)),)))
    assert not is_right(one, Decision("empty", ())) and not is_right(one, Decision("rejected", ()))


def test_only_drawn_images_that_the_order_has_not_passed_count():
    images = [image(k, k / 200) for k in range(200)]  # the least certain come first
    ranking, order = Ranking(images, "seed"), Order().as_json()
    drawn = range(5, 200, 8)  # 25 of them
    decisions = {k: decision(k >= 40, "random") for k in drawn}
    found = how_good(images, ranking, decisions)
    assert (found.drawn, found.counted, found.right, found.images) == (25, 25, 20, 175)
    assert found.interval == share_of_rest(20, 25, 175)
    # The order has come to number 50: the drawn ones up to there speak of images that are not among the rest any more.
    decisions |= {k: decision(False, order) for k in range(51) if k not in decisions}
    found = how_good(images, ranking, decisions)
    assert (found.drawn, found.counted, found.right) == (25, 19, 19) and found.images == 200 - 51 - 19
    assert found.interval == share_of_rest(19, 19, 200 - 51 - 19)
    del decisions[5], decisions[13], decisions[21], decisions[29], decisions[37], decisions[45]  # with them the order's
    found = how_good(images, ranking, decisions)
    assert found.drawn == 19 < FEWEST and found.interval is None


def test_images_that_were_chosen_and_those_without_a_box_do_not_speak_for_the_rest():
    images = [image(k, k / 100, found=k % 2 == 0) for k in range(100)]
    ranking = Ranking(images, "seed")
    decisions = {k: decision(True, "chosen" if k < 50 else "random") for k in range(90)}
    found = how_good(images, ranking, decisions)
    assert found.drawn == 20 and found.images == 5 and found.interval is not None
    assert how_good(images, ranking, {k: decision(True, "random") for k in range(100)}).interval is None  # nothing left
