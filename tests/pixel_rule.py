"""A box rule that looks at the image's pixels."""

from __future__ import annotations

from dataclasses import dataclass

from hclnet_runtime.boxes import Choice, Rule


@dataclass(frozen=True, slots=True)
class Bright(Rule):
    """The box of the image's bright pixels, which it calls the object's."""

    example = "bright"
    needs = frozenset({"pixels"})

    @classmethod
    def parse(cls, argument):
        return cls()

    def choose(self, evidence):
        return Choice(50, self.box_of(self.object_pixels(evidence, None), evidence))

    def object_pixels(self, evidence, choice):
        return evidence.pixels.max(2) > 100

    def __str__(self):
        return "bright"
