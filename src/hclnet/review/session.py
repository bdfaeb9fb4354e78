"""A review: the images of a folder, what is decided of them, and what a page asks and says about both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from hclnet.review.decisions import Decision, Decisions, Marked, Verdict
from hclnet.review.folder import Folder, Listed
from hclnet.review.maps import Heat, read_heat
from hclnet.review.order import Next, Order, Ranking, certainty
from hclnet.review.rest import FEWEST, Rest, how_good
from hclnet.review.rule import Comparison, compare_rules
from hclnet.types import Box

LONGEST_LABEL = 200


def _label(value: Any) -> str:
    if isinstance(value, str) and 0 < len(value) <= LONGEST_LABEL:
        return value
    raise ValueError(f"a class has a name of 1 to {LONGEST_LABEL} signs")


Label = Annotated[str, PlainValidator(_label)]
"""The name of a class, of whatever signs: pydantic's own check refuses a name whose bytes are not UTF-8."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class BoxSent(_Strict):
    """A box as the page sends it."""

    label: Label
    box: tuple[float, float, float, float]
    of: int | None = Field(None, ge=0)


class OrderSent(_Strict):
    """An order as the page sends it."""

    by: str = Field("certainty", pattern="^(certainty|class|size|name)$")
    label: Label | None = None
    score: float = Field(0.0, ge=0, le=1)

    def order(self) -> Order:
        """The same as a value."""
        return Order(self.by, self.label, self.score)


class Change(_Strict):
    """A decision as the page sends it.

    Attributes:
        revision: of the image that the person has seen.
        shown: how the image came up.
    """

    window: str = Field(min_length=1, max_length=64)
    revision: int = Field(ge=0)
    verdict: Verdict
    objects: list[BoxSent] = Field(max_length=1000)
    shown: OrderSent | Literal["random", "chosen"] = "chosen"


class Coming(_Strict):
    """What the page asks for next."""

    order: OrderSent = OrderSent()
    passed_over: list[int] = []
    current: int | None = None
    count: int = Field(5, ge=1, le=50)


class Undo(_Strict):
    """What the page sends to take back what a window did last."""

    window: str = Field(min_length=1, max_length=64)


class Review:
    """A folder that is reviewed. Its methods may be called from several threads.

    Args:
        folder: with results.

    Raises:
        ValueError: its journal of decisions can't be read or written.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.images = folder.images
        self.decisions = Decisions(folder.path)
        self.ranking = Ranking(folder.images, self.decisions.seed)
        self.side = int((folder.header.get("settings") or {}).get("map_size") or 224)

    def close(self) -> None:
        """Close the journal."""
        self.decisions.close()

    def made(self) -> dict[int, Decision]:
        """What is decided, by the number of the image."""
        found = ((k, self.decisions[one.path]) for k, one in enumerate(self.images))
        return {k: decision for k, decision in found if decision is not None and decision.made}

    def overview(self) -> dict[str, Any]:
        """All images in short, as columns."""
        return {
            "folder": str(self.folder.path),
            "classes": list(self.folder.classes),
            "labels": self.labels(),
            "model": str((self.folder.header.get("model") or {}).get("name", "")),
            "name": [one.name for one in self.images],
            "label": [one.label for one in self.images],
            "score": [max((f.score for f in one.found), default=None) for one in self.images],
            "certainty": [certainty(one) if one.found else None for one in self.images],
            "verdict": [self._verdict(one) for one in self.images],
            "current": [next((o.label for o in self._objects(one)), "") for one in self.images],
            "boxes": [self._shares(one) for one in self.images],
            "box": str((self.folder.header.get("settings") or {}).get("box", "")),
            "reviewed": str(self.folder.path / "reviewed.json"),
            "heatmaps": sum(one.heatmap is not None for one in self.images),
            "rest": self.rest(),
        }

    def labels(self) -> list[str]:
        """The classes of the model that are met here, then the others of it, then those that a person has added."""
        met = {f.label for one in self.images for f in one.found} | {one.label for one in self.images}
        classes = self.folder.classes
        added = {o.label for d in self.made().values() for o in d.objects} - {*classes}
        return [*(c for c in classes if c in met), *(c for c in classes if c not in met), *sorted(added)]

    def image(self, k: int) -> dict[str, Any]:
        """All that the page has to know of an image."""
        one = self.images[k]
        return {
            "image": k,
            "name": one.name,
            "size": list(one.size),
            "label": one.label,
            "found": [
                {"label": f.label, "box": list(f.box), "score": f.score, "agreement": f.agreement} for f in one.found
            ],
            "objects": [{"label": o.label, "box": list(o.box), "of": o.of} for o in self._objects(one)],
            "verdict": self._verdict(one),
            "revision": self.decisions.revision(one.path),
            "heatmap": one.heatmap is not None,
        }

    def heat(self, k: int) -> Heat | None:
        """The heatmap of an image, if there is one."""
        return read_heat(self.images[k], self.side)

    def heat_boxes(self, k: int) -> list[list[list[float]]]:
        """For each box of the model the box at each of the 256 levels; of an image without one, for the image."""
        one, heat = self.images[k], self.heat(k)
        if heat is None:
            return []
        several = [f for f in one.found if f.label == one.label and f.peak is not None]
        if len(several) < 2:
            return [heat.boxes().tolist()]
        return [heat.boxes_at(f.peak).tolist() for f in several if f.peak is not None]

    def decide(self, k: int, change: Change) -> dict[str, Any]:
        """Write a decision; the image as it is now.

        Raises:
            Conflict: the image was changed by another window since.
            ValueError: a box is none, or does not go with the verdict.
        """
        one = self.images[k]
        objects = tuple(Marked(o.label, _inside(o.box, one), _of(o.of, one)) for o in change.objects)
        if (change.verdict == "accepted") != bool(objects) and change.verdict != "open":
            raise ValueError("An image that is accepted has a box, and one that is rejected or empty has none.")
        decision = Decision(change.verdict, objects, change.revision, self._shown(one, change), self.folder.fingerprint)
        self.decisions.add(one.path, decision, change.window)
        return self.image(k)

    def undo(self, window: str) -> int | None:
        """Take back what a window did last; the number of the image, None if there is nothing.

        Raises:
            Conflict: the image was changed by another window since.
        """
        path = self.decisions.undo(window)
        return next((k for k, one in enumerate(self.images) if one.path == path), None)

    def coming(self, asked: Coming) -> list[dict[str, Any]]:
        """The images that come up next."""
        passed = {k for k in asked.passed_over if 0 <= k < len(self.images)}
        found: list[Next] = self.ranking.coming(
            asked.order.order(), self.made().keys(), passed, asked.count, asked.current
        )
        return [{"image": one.image, "shown": "random" if one.drawn else asked.order.model_dump()} for one in found]

    def ranked(self, order: Order) -> list[int]:
        """The images of an order, first to last."""
        return self.ranking.ranked(order)

    def rest(self) -> dict[str, Any]:
        """How good the boxes are that nobody has looked at."""
        found: Rest = how_good(self.images, self.ranking, self.made())
        return {**asdict(found), "fewest": FEWEST}

    def rule(self) -> Comparison:
        """Which box rule would have been better."""
        return compare_rules(self.images, self.made(), self.side)

    def _shown(self, one: Listed, change: Change) -> Any:
        """How an image came up first; one that was drawn at random stays so, however it comes up again."""
        before = [decision.shown for decision in self.decisions.history(one.path)]
        sent = change.shown if isinstance(change.shown, str) else change.shown.order().as_json()
        known = [*before, sent]
        return "random" if "random" in known else known[0]

    def _shares(self, one: Listed) -> list[list[float]]:
        """The boxes of an image as they are now, in shares of its sides."""
        width, height = one.size
        return [[round(v / side, 4) for v, side in zip(o.box, (width, height) * 2)] for o in self._objects(one)]

    def _objects(self, one: Listed) -> Sequence[Marked]:
        decision = self.decisions[one.path]
        found = (Marked(f.label, f.box, k) for k, f in enumerate(one.found))
        return tuple(found) if decision is None else decision.objects

    def _verdict(self, one: Listed) -> str:
        decision = self.decisions[one.path]
        return "" if decision is None else decision.verdict


def sent(kind: type[BaseModel], content: Any) -> Any:
    """What a page sent, checked.

    Raises:
        ValueError: it is not what the page sends; the message says what.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where or 'the request'}: {first['msg']}.") from None


def _of(number: int | None, one: Listed) -> int | None:
    return number if number is not None and number < len(one.found) else None


def _inside(box: Box, one: Listed) -> Box:
    """A box cut at the edges of its image.

    Raises:
        ValueError: nothing is left of it.
    """
    width, height = one.size
    x0, y0, x1, y1 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], width), min(box[3], height)
    if x1 - x0 < 0.5 or y1 - y0 < 0.5:
        raise ValueError("A box needs a width and a height of at least half a pixel inside the image.")
    return x0, y0, x1, y1
