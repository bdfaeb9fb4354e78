"""Which image comes next: an order that saves time, and every fifth image drawn at random from all that is left.

The images that are drawn tell how good the rest is (`hclnet.review.rest`); the order alone, the least certain first,
would show the worst of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from hclnet.review.folder import Listed

DRAWN_EACH = 5
"""One of so many images is drawn at random."""

ORDERS = ("certainty", "class", "size", "name")


@dataclass(frozen=True, slots=True)
class Order:
    """An order, and which images are in it.

    Attributes:
        by: one of `ORDERS`.
        label: only images in which the model found this class; None: all.
        score: only images whose class is at least that probable.
    """

    by: str = "certainty"
    label: str | None = None
    score: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """As the journal has it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Next:
    """An image that comes up, by its number, and whether it was drawn at random."""

    image: int
    drawn: bool


class Ranking:
    """The images of a folder in any order.

    Args:
        images: of the folder.
        seed: of the draws. An image's place among them does not change when others are added.
    """

    def __init__(self, images: Sequence[Listed], seed: str) -> None:
        self._images = images
        self._seed = seed
        self._sorted: dict[Order, list[int]] = {}

    @cached_property
    def lot(self) -> list[int]:
        """All images in the order in which they are drawn."""
        digests = [hashlib.sha256(f"{self._seed} {one.path}".encode(errors="surrogatepass")) for one in self._images]
        return sorted(range(len(self._images)), key=lambda k: digests[k].digest())

    def ranked(self, order: Order) -> list[int]:
        """The images of an order, first to last."""
        if order not in self._sorted:
            inside = (k for k, one in enumerate(self._images) if _is_in(one, order))
            self._sorted[order] = sorted(inside, key=lambda k: self._key(k, order.by))
        return self._sorted[order]

    def coming(
        self,
        order: Order,
        decided: Collection[int],
        passed_over: Collection[int],
        count: int,
        current: int | None = None,
    ) -> list[Next]:
        """The next images; none where all of the order are decided or were passed over.

        Args:
            order: of those that are not drawn.
            decided: numbers of images.
            passed_over: numbers of images that were on the screen and are not decided. One that was drawn comes again.
            count: how many are wanted.
            current: the image that is on the screen, which does not come up anew.
        """
        seen, number = {*decided, *passed_over}, len({*decided, *passed_over})
        came = {*decided} if current is None else {*decided, current}
        walk = (k for k in self.ranked(order) if k not in seen)
        lot = iter(self.lot)
        result: list[Next] = []
        while len(result) < count:
            drawn = (number + len(result)) % DRAWN_EACH == DRAWN_EACH - 1
            image = _first(lot if drawn else walk, came)
            if image is None:
                break
            came.add(image)
            result.append(Next(image, drawn))
        return result

    def _key(self, image: int, by: str) -> tuple[Any, ...]:
        one = self._images[image]
        if by == "name":
            return (one.name,)
        doubt = (not one.found, certainty(one), image)
        if by == "class":
            return (one.label, *doubt)
        return (not one.found, smallest(one), image) if by == "size" else doubt


def certainty(one: Listed) -> float:
    """How far the worst box of an image can be trusted, 0..1: its agreement or, without one, its score."""
    return min((f.score if f.agreement is None else f.agreement for f in one.found), default=0.0)


def smallest(one: Listed) -> float:
    """The share of the image that its smallest box covers."""
    sides = [(max(f.box[2] - f.box[0], 0), max(f.box[3] - f.box[1], 0)) for f in one.found]
    return min((w * h for w, h in sides), default=0.0) / max(one.size[0] * one.size[1], 1)


def _is_in(one: Listed, order: Order) -> bool:
    if order.label is not None and order.label not in {one.label, *(f.label for f in one.found)}:
        return False
    return not order.score or max((f.score for f in one.found), default=0.0) >= order.score


def _first(images: Iterator[int], came: Collection[int]) -> int | None:
    return next((k for k in images if k not in came), None)
