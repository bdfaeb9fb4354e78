"""What a box rule may look at in one image. What costs something is computed or read at its first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int32, Real, UInt8

from hclnet_runtime.boxes.consensus import Consensus, consensus
from hclnet_runtime.boxes.cuts import largest_box, largest_boxes
from hclnet_runtime.boxes.tree import ComponentTree, component_tree
from hclnet_runtime.loops import COMPILED

Pixels = UInt8[np.ndarray, "h w 3"]
Boxes = Int32[np.ndarray, "256 4"]

NEEDS = {
    "levels": "the level map",
    "boxes": "the box of the largest component at each level",
    "foreground": "the foreground score",
    "pixels": "the image's pixels",
    "features": "the backbone's features",
}
"""What a rule may need, and how messages call it."""


class Evidence:
    """What is known of one map of one image.

    The level map is always there. Whoever has no pixels or no features refuses a rule that needs them, before any work
    (`hclnet_runtime.boxes.check_needs`): a rule can rely on what it needs. Only the foreground score may be missing
    where a rule needs it, since not every localizer has learned one.

    Args:
        levels: the level map, h x w.
        grid: the map that it was made of, at feature resolution.
        foreground: the foreground score of each cell of the features, over the whole image; above 0 on objects.
        outlined: whether it was learned from outlines: then its edges are those of objects.
        first: the map of the first of several branches, at feature resolution, 0 to 1; None if there is only one.
        pixels: the image, squashed to the size of the level map; or a function that reads it.
        features: of the stage that the foreground score reads, d x gh x gw, over the whole image.
        boxes: as of the attribute, for a protocol with components of its own; or a function that computes them.

    Attributes:
        levels, grid, foreground, outlined, first, features: as given.
    """

    def __init__(
        self,
        levels: UInt8[np.ndarray, "h w"],
        *,
        grid: Real[np.ndarray, "fh fw"] | None = None,
        foreground: Float32[np.ndarray, "gh gw"] | None = None,
        outlined: bool = False,
        first: Real[np.ndarray, "fh fw"] | None = None,
        pixels: Pixels | Callable[[], Pixels] | None = None,
        features: Float32[np.ndarray, "d fgh fgw"] | None = None,
        boxes: Boxes | Callable[[], Boxes] | None = None,
    ) -> None:
        self.levels, self.grid, self.features = levels, grid, features
        self.foreground, self.outlined, self.first = foreground, outlined, first
        self._pixels, self._boxes = pixels, boxes

    @cached_property
    def tree(self) -> ComponentTree:
        """Every component at every level."""
        return component_tree(self.levels)

    @cached_property
    def boxes(self) -> Boxes:
        """For each level t the box of the largest component of `levels > t`; zeros where there is none."""
        if self._boxes is None:
            return self.tree.largest_boxes() if COMPILED else largest_boxes(self.levels)
        return self._boxes() if callable(self._boxes) else self._boxes

    def largest_box(self, t: int) -> Int32[np.ndarray, " 4"]:
        """That of one level, without those of all where they cost much."""
        if COMPILED or self._boxes is not None or "boxes" in self.__dict__:
            return self.boxes[t]
        return largest_box(self.levels > t)

    @cached_property
    def pixels(self) -> Pixels | None:
        """The image, squashed to the size of the level map, RGB.

        Raises:
            ValueError: the image can't be read.
        """
        return self._pixels() if callable(self._pixels) else self._pixels

    @cached_property
    def foreground_pixels(self) -> Bool[np.ndarray, "h w"] | None:
        """Where the foreground score, interpolated to the level map, is above 0; None without a foreground score."""
        return None if self._foreground_map is None else self._foreground_map > 0

    @cached_property
    def consensus(self) -> Consensus | None:
        """What the map and a foreground score learned from outlines agree on; None without one, or if the map is
        zero."""
        if self._foreground_map is None or not self.outlined:
            return None
        return consensus(self.levels, self._foreground_map, self._enlarged(self.first))

    @cached_property
    def _foreground_map(self) -> Float32[np.ndarray, "h w"] | None:
        """The foreground score, interpolated to the level map."""
        return self._enlarged(self.foreground)

    def _enlarged(self, map: Real[np.ndarray, "_ _"] | None) -> Float32[np.ndarray, "h w"] | None:
        """A map over the whole image, interpolated to the level map."""
        if map is None:
            return None
        return cv2.resize(map.astype(np.float32), self.levels.shape[::-1], interpolation=cv2.INTER_LINEAR)

    def with_boxes(self, boxes: Boxes) -> Evidence:
        """The same, with other boxes of the largest components."""
        pixels = self.__dict__.get("pixels", self._pixels)  # not read twice
        return Evidence(
            self.levels,
            grid=self.grid,
            foreground=self.foreground,
            outlined=self.outlined,
            first=self.first,
            pixels=pixels,
            features=self.features,
            boxes=boxes,
        )
