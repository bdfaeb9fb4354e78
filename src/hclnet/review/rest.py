"""How good the boxes are that nobody has looked at, from the images that were drawn at random.

An image that was drawn stands for the rest as long as the order has not passed its place: what the order shows is no
longer among the rest, and an image like it must not speak for them. So the images that count were drawn from among them
and what is left now, each equally likely. How many of the rest are right then follows a hypergeometric distribution,
and its exact 95 % interval holds for the boxes that are left, not for boxes in general, however few they are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from hclnet.metrics.intervals import CONFIDENCE
from hclnet.review.decisions import Decision
from hclnet.review.folder import Listed
from hclnet.review.order import Order, Ranking
from hclnet_runtime.boxes.geometry import iou

FEWEST = 20
"""Drawn images, below which nothing is said."""

IOU = 0.5
_TAIL = (1 - CONFIDENCE) / 2


@dataclass(frozen=True, slots=True)
class Rest:
    """What is known of the images that nobody has looked at.

    Attributes:
        images: how many there are with a box.
        drawn: images with a box that were drawn at random.
        counted: those of them that stand for the rest: the order has not come to their places since.
        right: those of the counted ones whose boxes are all right.
        interval: of the share of right ones among the rest, 95 %; None where it can't be said yet.
        several: whether an image may have several boxes.
    """

    images: int
    drawn: int
    counted: int
    right: int
    interval: tuple[float, float] | None
    several: bool


def is_right(one: Listed, decision: Decision) -> bool:
    """Whether each box of the model overlaps one of the person's by an IoU of at least 0.5."""
    if decision.verdict != "accepted" or not decision.objects:
        return False
    theirs = np.array([f.box for f in one.found], dtype=np.float64)
    ours = np.array([o.box for o in decision.objects], dtype=np.float64)
    return bool((iou(theirs, ours).max(1) >= IOU).all())


def how_good(images: Sequence[Listed], ranking: Ranking, decisions: Mapping[int, Decision]) -> Rest:
    """What the drawn images say of the rest.

    Args:
        images: of the folder.
        ranking: of them.
        decisions: what is decided, by the number of the image; without what is still open.
    """
    passed = _passed(ranking, decisions)
    drawn = [k for k, one in decisions.items() if one.shown == "random" and images[k].found]
    counted = [k for k in drawn if k not in passed]
    left = sum(bool(one.found) and k not in decisions and k not in passed for k, one in enumerate(images))
    right = sum(is_right(images[k], decisions[k]) for k in counted)
    enough = len(drawn) >= FEWEST and counted and left > 0
    interval = share_of_rest(right, len(counted), left) if enough else None
    return Rest(left, len(drawn), len(counted), right, interval, any(len(one.found) > 1 for one in images))


def share_of_rest(right: int, drawn: int, left: int) -> tuple[float, float]:
    """The exact 95 % interval of the share of right ones among those that were not drawn.

    Args:
        right: of the drawn ones.
        drawn: how many were drawn, each equally likely, without replacement.
        left: how many were not drawn.
    """
    total = drawn + left
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])

    def log_choose(n: int, k: Int64[np.ndarray, " x"]) -> Float64[np.ndarray, " x"]:
        logs: Float64[np.ndarray, " x"] = log_factorial[n] - log_factorial[k] - log_factorial[n - k]
        return logs

    def chance(others: int, at_least: bool) -> float:
        """Of at least or at most so many right ones among the drawn, if there are `others` right ones in the rest."""
        good = right + others
        x = np.arange(max(0, drawn - (total - good)), min(drawn, good) + 1)
        x = x[x >= right] if at_least else x[x <= right]
        every = log_choose(total, np.array([drawn]))
        return float(np.exp(log_choose(good, x) + log_choose(total - good, drawn - x) - every).sum())

    candidates = range(left + 1)
    low = bisect_left(candidates, True, key=lambda others: chance(others, at_least=True) > _TAIL)
    high = bisect_left(candidates, True, key=lambda others: chance(others, at_least=False) <= _TAIL) - 1
    return low / left, high / left


def _passed(ranking: Ranking, decisions: Mapping[int, Decision]) -> set[int]:
    """The images that the orders in use have shown, or would have shown had they not been drawn before."""
    shown: dict[Order, set[int]] = {}
    for image, decision in decisions.items():
        if isinstance(decision.shown, dict):
            shown.setdefault(Order(**decision.shown), set()).add(image)
    passed: set[int] = set()
    for order, images in shown.items():
        ranked = ranking.ranked(order)
        last = max((place for place, k in enumerate(ranked) if k in images), default=-1)
        passed.update(ranked[: last + 1])
    return passed
