"""Box rules: from a level map to the level t whose mask `levels > t` is the object's, and its box.

A new rule is one class with `parse`, `choose`, `__str__` and `example`, and one line in `RULES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, no_type_check, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from hclnet.boxes.auto import Choice, choose_by_foreground, choose_by_map
from hclnet.boxes.tree import component_tree
from hclnet.caches import compiled
from hclnet.text import as_clause


@runtime_checkable
class Rule(Protocol):
    """What picks level and box. `str(rule)` is the text that `parse_rule` reads back into an equal rule."""

    example: ClassVar[str]

    @classmethod
    def parse(cls, argument: str | None) -> Rule:
        """The rule with this argument, the text after the colon or None. ValueError if it is not valid."""
        ...

    def choose(
        self,
        levels: UInt8[np.ndarray, "h w"],
        boxes: Int32[np.ndarray, "256 4"],
        foreground: Float32[np.ndarray, "gh gw"] | None = None,
    ) -> Choice:
        """The level t, 0..255, and the box.

        Args:
            levels: the level map.
            boxes: for each t the box of the largest component of `levels > t`, zeros where there is none.
            foreground: for each cell of the backbone's features, over the whole image; see `hclnet.boxes.auto`.
        """
        ...

    def __str__(self) -> str: ...


class _Threshold:
    """A rule that picks a level by the level map alone, and takes the largest component there."""

    __slots__ = ()

    def level(self, levels: UInt8[np.ndarray, "h w"]) -> int:
        raise NotImplementedError

    def choose(
        self,
        levels: UInt8[np.ndarray, "h w"],
        boxes: Int32[np.ndarray, "256 4"],
        foreground: Float32[np.ndarray, "gh gw"] | None = None,
    ) -> Choice:
        return Choice(t := self.level(levels), boxes[t])


@dataclass(frozen=True, slots=True)
class Fixed(_Threshold):
    """A fixed share of the maximum: a heatmap's maximum is 1, so `fixed:0.2` is 20 % of it, as in Zhou et al. 2016."""

    example: ClassVar[str] = "fixed:0.2"

    fraction: float

    def __post_init__(self) -> None:
        if not 0 <= self.fraction < 1:
            raise ValueError(
                f"a fixed box rule needs a share of the maximum from 0 up to, not including, 1; {self.fraction} is not."
            )

    @classmethod
    def parse(cls, argument: str | None) -> Fixed:
        return cls(float(argument or ""))

    def level(self, levels: UInt8[np.ndarray, "h w"]) -> int:
        # No pixel is above 255: up to there even 0.999 of the maximum must leave the maximum itself.
        return min(round(255 * self.fraction), 254)

    def __str__(self) -> str:
        return f"fixed:{self.fraction!r}"


@dataclass(frozen=True, slots=True)
class Otsu3(_Threshold):
    """The upper of the two thresholds that split the levels into three classes with the most variance between them.

    Otsu, "A threshold selection method from gray-level histograms", 1979, section III-B, on the 256-bin histogram of
    the map. With two distinct levels it is the lower one; a constant map is all foreground, unless it is zero.
    """

    example: ClassVar[str] = "otsu3"

    @classmethod
    def parse(cls, argument: str | None) -> Otsu3:
        _no_argument(argument)
        return cls()

    def level(self, levels: UInt8[np.ndarray, "h w"]) -> int:
        return int(_otsu3(_histogram(np.ascontiguousarray(levels).reshape(-1))))

    def __str__(self) -> str:
        return "otsu3"


@dataclass(frozen=True, slots=True)
class Auto:
    """No threshold: the box that the map and the backbone's foreground score agree on; see `hclnet.boxes.auto`."""

    example: ClassVar[str] = "auto"

    @classmethod
    def parse(cls, argument: str | None) -> Auto:
        _no_argument(argument)
        return cls()

    def choose(
        self,
        levels: UInt8[np.ndarray, "h w"],
        boxes: Int32[np.ndarray, "256 4"],
        foreground: Float32[np.ndarray, "gh gw"] | None = None,
    ) -> Choice:
        return choose_by_map(levels, boxes) if foreground is None else choose_by_foreground(levels, boxes, foreground)

    def __str__(self) -> str:
        return "auto"


RULES: dict[str, type[Rule]] = {"auto": Auto, "fixed": Fixed, "otsu3": Otsu3}


def parse_rule(text: str) -> Rule:
    """The box rule that a text names, such as `auto` or `fixed:0.2`.

    Raises:
        ValueError: there is no such rule, or its argument is not valid; the message has an example of each rule.
    """
    name, colon, argument = text.partition(":")
    examples = ", ".join(kind.example for kind in RULES.values())
    if name not in RULES:
        raise ValueError(f"there is no box rule {text!r}; the rules are {', '.join(RULES)}. Write one like {examples}.")
    try:
        return RULES[name].parse(argument if colon else None)
    except ValueError as error:
        raise ValueError(
            f"the box rule {text!r} is not valid: {as_clause(error)}. Write one like {examples}."
        ) from error


def box(
    levels: UInt8[np.ndarray, "h w"], rule: Rule, foreground: Float32[np.ndarray, "gh gw"] | None = None
) -> tuple[int, int, int, int]:
    """The box of a level map that the rule picks; half-open, map pixels; zeros if there is none.

    Args:
        levels: the level map.
        rule: the box rule.
        foreground: for each cell of the backbone's features, over the whole image, for rules that ask for it.
    """
    x0, y0, x1, y1 = rule.choose(levels, component_tree(levels).largest_boxes(), foreground).box.tolist()
    return x0, y0, x1, y1


def _no_argument(argument: str | None) -> None:
    if argument is not None:
        raise ValueError("it takes no argument")


@compiled(nogil=True)
@no_type_check
def _histogram(levels):
    """How many pixels each of the 256 levels has."""
    histogram = np.zeros(256, dtype=np.int64)
    for value in levels:
        histogram[value] += 1
    return histogram


@compiled(nogil=True)
@no_type_check
def _otsu3(histogram):
    """The upper threshold, from a histogram of counts over the levels. Of equal ones, the lowest."""
    # Over the levels that occur only: no class is ever empty, so nothing is divided by zero. With three or more of them
    # an empty class cannot be best, since splitting a class adds variance between classes.
    present = np.flatnonzero(histogram)
    if len(present) == 1:
        return max(present[0] - 1, 0)
    if len(present) == 2:
        return present[0]
    count = np.cumsum(histogram[present].astype(np.float64))
    total = np.cumsum(histogram[present].astype(np.float64) * present)
    last = len(present) - 1
    best, upper = -1.0, 0
    for j in range(1, last):
        high = (total[last] - total[j]) ** 2 / (count[last] - count[j])
        for i in range(j):
            # Variance between classes = sum of (class total)^2 / (class count), less what no threshold changes.
            between = total[i] ** 2 / count[i] + (total[j] - total[i]) ** 2 / (count[j] - count[i]) + high
            if between > best:
                best, upper = between, j
    return present[upper]
