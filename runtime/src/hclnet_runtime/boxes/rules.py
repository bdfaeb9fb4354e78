"""Box rules: from what is known of a map to the level t whose mask `levels > t` is the object's, and its box.

A new rule is a subclass of `Rule` and one line in `RULES`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, no_type_check

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8

from hclnet_runtime.boxes.auto import (
    UNSURE,
    Choice,
    choose_by_consensus,
    choose_by_foreground,
    choose_by_map,
    tightened,
)
from hclnet_runtime.boxes.evidence import NEEDS, Evidence
from hclnet_runtime.loops import compiled
from hclnet_runtime.text import as_clause


class Rule:
    """What picks level and box. `str(rule)` is the text that `parse_rule` reads back into an equal rule.

    A subclass implements `parse`, `choose` and `__str__`. Where it knows an object's pixels better than by a level, it
    implements `object_pixels` too, and `box_of` if their bounding box is not the object's.

    Attributes:
        example: a text of such a rule, for messages.
        needs: what it looks at, of `NEEDS`. Pixels and features are read and computed only for a rule that needs them,
            and are there when it does. The foreground score may be missing all the same.
    """

    __slots__ = ()

    example: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset({"levels", "boxes"})

    @classmethod
    def parse(cls, argument: str | None) -> Rule:
        """The rule with this argument, the text after the colon or None. ValueError if it is not valid."""
        raise NotImplementedError

    def choose(self, evidence: Evidence) -> Choice:
        """The level t, 0..255, and the box, in pixels of the level map; zeros where there is no object."""
        raise NotImplementedError

    def object_pixels(self, evidence: Evidence, choice: Choice) -> Bool[np.ndarray, "h w"]:
        """The pixels that belong to objects of the class, however many objects there are.

        Args:
            evidence: that `choose` looked at.
            choice: what it chose.
        """
        return evidence.levels > choice.level

    def mask_pixels(self, evidence: Evidence, choice: Choice) -> Bool[np.ndarray, "h w"]:
        """The pixels that an object's mask has in its box, as those that `levels > t` has.

        Args:
            evidence: that `choose` looked at.
            choice: what it chose.
        """
        return evidence.levels > choice.level

    def agreement(self, evidence: Evidence, box: Int32[np.ndarray, " 4"]) -> float | None:
        """How far the box of an object can be trusted, 0..1; None if the rule can't say.

        Args:
            evidence: that `choose` looked at.
            box: in pixels of the level map.
        """
        return None

    def box_of(self, pixels: Bool[np.ndarray, "h w"], evidence: Evidence) -> Int32[np.ndarray, " 4"]:
        """The box of one of several objects.

        Args:
            pixels: its own, at least one, of those that `object_pixels` gave.
            evidence: that `choose` looked at.
        """
        rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
        return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.int32)


class _Threshold(Rule):
    """A rule that picks a level by the level map alone, and takes the largest component there."""

    __slots__ = ()

    def level(self, levels: UInt8[np.ndarray, "h w"]) -> int:
        raise NotImplementedError

    def choose(self, evidence: Evidence) -> Choice:
        return Choice(t := self.level(evidence.levels), evidence.largest_box(t))


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
class Auto(Rule):
    """No threshold: the box that the map and the foreground score agree on; see `hclnet_runtime.boxes.auto`."""

    example: ClassVar[str] = "auto"
    needs: ClassVar[frozenset[str]] = frozenset({"levels", "boxes", "foreground"})

    @classmethod
    def parse(cls, argument: str | None) -> Auto:
        _no_argument(argument)
        return cls()

    def choose(self, evidence: Evidence) -> Choice:
        found = evidence.consensus
        if found is not None:
            return choose_by_consensus(evidence, found) if found.majority else choose_by_map(evidence, UNSURE)
        return choose_by_map(evidence) if evidence.foreground is None else choose_by_foreground(evidence)

    def object_pixels(self, evidence: Evidence, choice: Choice) -> Bool[np.ndarray, "h w"]:
        """Those of the consensus, or those that look like an object; where there are none, those above the level."""
        if evidence.consensus is not None:
            return self.mask_pixels(evidence, choice)
        likely = evidence.foreground_pixels if _has_foreground(evidence) else None
        return Rule.object_pixels(self, evidence, choice) if likely is None else likely

    def mask_pixels(self, evidence: Evidence, choice: Choice) -> Bool[np.ndarray, "h w"]:
        """Those of the consensus, if it decided: it has edges."""
        found = evidence.consensus
        return found.pixels if found is not None and found.majority else Rule.mask_pixels(self, evidence, choice)

    def box_of(self, pixels: Bool[np.ndarray, "h w"], evidence: Evidence) -> Int32[np.ndarray, " 4"]:
        """Half a cell inwards from theirs, where they are those of a foreground score that has no edges."""
        box = Rule.box_of(self, pixels, evidence)
        if evidence.foreground is None or evidence.consensus is not None or not _has_foreground(evidence):
            return box
        return tightened(box.astype(np.float64), evidence.levels.shape, evidence.foreground.shape)

    def agreement(self, evidence: Evidence, box: Int32[np.ndarray, " 4"]) -> float | None:
        return None if evidence.consensus is None else evidence.consensus.agreement(box)

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


def check_needs(rule: Rule, missing: Collection[str], where: str) -> None:
    """Whether a rule can be used where some of what rules may need is missing.

    Args:
        rule: the box rule.
        missing: of `NEEDS`, what is not there.
        where: what is done there, as the beginning of a sentence.

    Raises:
        ValueError: the rule needs what is missing.
    """
    if lacking := [NEEDS[need] for need in NEEDS if need in rule.needs and need in missing]:
        others = [kind.example for kind in RULES.values() if not kind.needs & set(missing)]
        raise ValueError(
            f"{where}, and the box rule {rule} needs {' and '.join(lacking)}. Take another one, such as "
            f"{', '.join(others)}."
        )


def box(
    levels: UInt8[np.ndarray, "h w"], rule: Rule, foreground: Float32[np.ndarray, "gh gw"] | None = None
) -> tuple[int, int, int, int]:
    """The box of a level map that the rule picks; half-open, map pixels; zeros if there is none.

    Args:
        levels: the level map.
        rule: the box rule.
        foreground: for each cell of the backbone's features, over the whole image, for rules that need it.

    Raises:
        ValueError: the rule needs the image's pixels or features.
    """
    check_needs(rule, ("pixels", "features"), "There is only a level map here")
    x0, y0, x1, y1 = rule.choose(Evidence(levels, foreground=foreground)).box.tolist()
    return x0, y0, x1, y1


def _has_foreground(evidence: Evidence) -> bool:
    """Whether there is a foreground score, and the map is above 0 where a pixel looks like an object."""
    likely = evidence.foreground_pixels
    return likely is not None and bool(evidence.levels[likely].any())


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
