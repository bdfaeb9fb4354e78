"""What OpenCV's `findContours` finds in every mask `levels > t`, without looking at any mask.

A contour is the outer border of an 8-connected component, or the border of a hole: of a 4-connected part of the rest
that does not reach the edge of the map (Suzuki & Abe, "Topological structural analysis of digitized binary images by
border following", 1985). Components are nodes of the max-tree, holes are nodes of the tree of the inverted map, so all
contours of all masks are in two trees. The one with the largest area needs a third, of the map with its holes filled:
a hole's border lies within its component's outer border, and so does all that lies in the hole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float64, Int32, UInt8

from hclnet_runtime.boxes.flood import EIGHT, FOUR, LEVELS, best_nodes, build
from hclnet_runtime.boxes.tree import ComponentTree
from hclnet_runtime.loops import compiled


@dataclass(frozen=True, slots=True, eq=False)
class Contours:
    """Every contour of every mask `levels > t`, t = 0..255, of one level map.

    Attributes:
        components: the 8-connected ones; a node's box is that of its outer border.
        filled: the components of the map with its holes filled: at each t those that lie in no other one's hole.
        areas: `cv2.contourArea` of the outer border of each node of `filled`.
        background: the 4-connected components of the inverted map, `255 - levels`.
        is_hole: which of its nodes do not reach the edge of the map.
    """

    components: ComponentTree
    filled: ComponentTree
    areas: Float64[np.ndarray, " f"]
    background: ComponentTree
    is_hole: Bool[np.ndarray, " b"]

    def largest_boxes(self) -> Int32[np.ndarray, "256 4"]:
        """For each t, the half-open box of the contour with the largest area; zeros where the mask is empty.

        Of equal ones it is the one that `findContours` lists first, which is the one it came upon last: its first pixel
        comes last in raster order.
        """
        tree = self.filled
        best = best_nodes(tree.level, tree.parent, -tree.first, self.areas)
        return np.where(best[:, None] >= 0, tree.box[best], np.int32(0))

    def best(
        self, score: Callable[[Int32[np.ndarray, "n 4"]], Float64[np.ndarray, " n"]], nothing: float
    ) -> Float64[np.ndarray, " 256"]:
        """For each t, the best score of any contour.

        Args:
            score: of half-open boxes, not negative.
            nothing: where the mask is empty.
        """
        tree = self.components
        scores = score(tree.box)
        best = best_nodes(tree.level, tree.parent, tree.first, scores)
        result = np.where(best >= 0, scores[best], nothing)
        if not self.is_hole.any():
            return result
        tree = self.background
        # The border of a hole runs over the pixels round it.
        scores = np.where(self.is_hole, score(tree.box + np.array([-1, -1, 1, 1], dtype=np.int32)), -1.0)
        best = best_nodes(tree.level, tree.parent, tree.first, scores)
        of_holes = np.where(best >= 0, scores[best], -1.0)
        # levels <= t is 255 - levels > 254 - t; the mask at t = 255 is empty.
        result[: LEVELS - 1] = np.maximum(result[: LEVELS - 1], of_holes[LEVELS - 2 :: -1])
        return result


def contours(levels: UInt8[np.ndarray, "h w"]) -> Contours:
    """The contours of all masks of a level map. Releases the GIL, so maps can be done in threads.

    Raises:
        ValueError: the map has no pixel.
    """
    if levels.size == 0:
        raise ValueError(f"a level map of shape {levels.shape} has no pixel, so no contours; pass at least 1 x 1.")
    levels = np.ascontiguousarray(levels)
    *nodes, outline, _ = build(levels, EIGHT, True)
    components = ComponentTree(*nodes)
    *nodes, _, node_of = build(255 - levels, FOUR, True)
    background = ComponentTree(*nodes)
    is_hole = ~_at_edge(background.box, levels.shape)
    if not is_hole.any():
        return Contours(components, components, outline / 2, background, is_hole)
    # A hole is filled with the lowest level at which it is none any more: that of the nearest node to reach the edge.
    level = _fill_levels(background.level, background.parent, is_hole)
    *nodes, outline, _ = build(level[node_of], EIGHT, True)
    return Contours(components, ComponentTree(*nodes), outline / 2, background, is_hole)


def _at_edge(boxes: Int32[np.ndarray, "n 4"], shape: tuple[int, int]) -> Bool[np.ndarray, " n"]:
    height, width = shape
    return (boxes[:, 0] == 0) | (boxes[:, 1] == 0) | (boxes[:, 2] == width) | (boxes[:, 3] == height)


# `no_type_check` keeps run-time checkers of annotations out of what numba compiles.
@compiled(nogil=True)
@no_type_check
def _fill_levels(level, parent, is_hole):
    """For every node of the background's tree, the level that its pixels have once all holes are filled."""
    filled = np.empty(len(level), dtype=np.uint8)
    for n in range(len(level)):  # a parent comes before its children
        filled[n] = filled[parent[n]] if is_hole[n] else 255 - level[n]
    return filled
