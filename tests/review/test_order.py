"""Orders, and the draws among them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from hclnet.review.folder import Found, Listed
from hclnet.review.order import Order, Ranking

LABELS = ("fox", "badger")


def image(k: int, agreement: float | None = 0.5, score: float = 0.5, side: float = 10, label: str = "fox") -> Listed:
    found = () if agreement is None else (Found(label, (0.0, 0.0, side, side), score, agreement, None),)
    return Listed(f"{k:03}.jpg", f"{k:03}.jpg", Path("x"), (100, 100), label, found, None)


IMAGES = [
    image(0, 0.9, 0.3, 40),
    image(1, 0.1, 0.9, 30, "badger"),
    image(2, None),
    image(3, 0.5, 0.6, 10, "badger"),
    image(4, 0.2, 0.8, 20),
]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Order(), [1, 4, 3, 0, 2]),
        (Order("class"), [1, 3, 4, 0, 2]),
        (Order("size"), [3, 4, 1, 0, 2]),
        (Order("name"), [0, 1, 2, 3, 4]),
        (Order(label="badger"), [1, 3]),
        (Order(score=0.6), [1, 4, 3]),
        (Order("name", "fox", 0.31), [4]),
    ],
)
def test_orders_and_choices(order: Order, expected: list[int]):
    assert Ranking(IMAGES, "s").ranked(order) == expected


def test_without_an_agreement_the_score_says_how_certain_a_box_is():
    images = [Listed(str(k), str(k), Path("x"), (9, 9), "a", (Found("a", (0, 0, 9, 9), s, None, None),), None)
              for k, s in enumerate((0.7, 0.2, 0.4))]  # fmt: skip
    assert Ranking(images, "s").ranked(Order()) == [1, 2, 0]


def test_every_fifth_image_is_drawn_and_each_comes_once():
    images = [image(k, k / 100) for k in range(40)]
    ranking = Ranking(images, "s")
    came: list[int] = []
    for k in range(40):
        (one, *_) = ranking.coming(Order(), came, [], 3)
        assert one.drawn == (k % 5 == 4)
        came.append(one.image)
    assert sorted(came) == list(range(40)) and ranking.coming(Order(), came, [], 3) == []
    # What is asked for ahead is what comes.
    ahead = [one.image for one in ranking.coming(Order(), [], [], 40)]
    assert ahead == came


def test_draws_are_uniform_and_stay_when_images_are_added():
    images = [image(k) for k in range(10)]
    first = Counter(Ranking(images, str(seed)).lot[0] for seed in range(3000))
    assert all(230 < first[k] < 370 for k in range(10))
    before = Ranking(images, "s").lot
    after = Ranking([*images, *(image(k) for k in range(10, 20))], "s").lot
    assert [k for k in after if k < 10] == before


def test_a_drawn_image_that_was_passed_over_comes_again_and_others_do_not():
    images = [image(k, k / 100) for k in range(100)]
    ranking = Ranking(images, "s")
    first = ranking.coming(Order(), [], [], 5)
    passed = [one.image for one in first]
    later = ranking.coming(Order(), [], passed, 5)
    assert later[4] == first[4] and not {one.image for one in later[:4]} & {*passed}
    # What is on the screen does not come up anew; with few left it would be drawn.
    (one,) = Ranking(images[:2], "s").coming(Order(), [], [0, 1], 1, current=0) or [None]
    assert one is None
    left = Ranking(images[:6], "s").coming(Order(), [0, 1, 2], [4], 5, current=4)
    assert sorted(k.image for k in left) == [3, 5]
    # Draws are from all images, whatever the choice is.
    chosen = Ranking([image(k, 0.5, label=LABELS[k % 2]) for k in range(100)], "s")
    coming = chosen.coming(Order(label="badger"), [], [], 50)
    assert {one.image % 2 for one in coming if not one.drawn} == {1}
    assert {one.image % 2 for one in coming if one.drawn} == {0, 1}
