"""All 256 masks of a level map at once: its component tree (max-tree).

A component of the mask `levels > t` stays the same set of pixels over a run of thresholds t, then grows or merges. Each
such set is one node, found in one union-find pass over the pixels from the highest level down (Najman & Couprie,
"Building the component tree in quasi-linear time", IEEE TIP 2006; on pixels as in Berger et al., ICIP 2007).
Components are 8-connected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int32, Integer, Real, UInt8

from hclnet_runtime.boxes.flood import EIGHT, best_nodes, build
from hclnet_runtime.boxes.geometry import best_iou


@dataclass(frozen=True, slots=True, eq=False)
class ComponentTree:
    """Every component of every mask `levels > t`, t = 0..255, of one level map.

    Node i is a component of the masks with t from `level[parent[i]]` (0 for the root) to `level[i] - 1`. The root is
    the whole map, at index 0, and is in no mask if the lowest level is 0. A parent comes before its children.

    Attributes:
        level: lowest level of a pixel in the component.
        parent: index of the next larger component, which encloses this one; -1 for the root.
        area: pixels.
        box: half-open `x0, y0, x1, y1`, map pixels.
        first: smallest raster index `y * width + x` of a pixel; tells components of equal area apart.
    """

    level: UInt8[np.ndarray, " n"]
    parent: Int32[np.ndarray, " n"]
    area: Int32[np.ndarray, " n"]
    box: Int32[np.ndarray, "n 4"]
    first: Int32[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.level)

    def largest_boxes(self) -> Int32[np.ndarray, "256 4"]:
        """For each t, the box of the component of `levels > t` with the most pixels; zeros where the mask is empty.

        Of components with equally many pixels it is the one whose first pixel comes first in raster order.
        """
        best = best_nodes(self.level, self.parent, self.first, self.area.astype(np.float64))
        return np.where(best[:, None] >= 0, self.box[best], np.int32(0))

    def best_iou(self, gt_boxes: Real[np.ndarray, "m 4"]) -> Float64[np.ndarray, " 256"]:
        """For each t, the best IoU of any component of `levels > t` with any ground-truth box; 0 where either is
        missing.

        Args:
            gt_boxes: half-open, map pixels, not necessarily whole.
        """
        overlap = best_iou(self.box, gt_boxes)
        best = best_nodes(self.level, self.parent, self.first, overlap)
        return np.where(best >= 0, overlap[best], 0.0)

    def components(self, t: int) -> Integer[np.ndarray, " k"]:
        """Indices of the components of the mask `levels > t`, largest first; ties by first pixel, in raster order."""
        alive = np.flatnonzero(self._alive(t))
        return alive[np.lexsort((self.first[alive], -self.area[alive]))]

    def _alive(self, t: int) -> Bool[np.ndarray, " n"]:
        begins = np.where(self.parent >= 0, self.level[self.parent], np.uint8(0))
        return (begins <= t) & (t < self.level)


def component_tree(levels: UInt8[np.ndarray, "h w"]) -> ComponentTree:
    """The component tree of a level map. Releases the GIL, so maps can be done in threads.

    Raises:
        ValueError: the map has no pixel.
    """
    if levels.size == 0:
        raise ValueError(f"a level map of shape {levels.shape} has no pixel, so no components; pass at least 1 x 1.")
    return ComponentTree(*build(np.ascontiguousarray(levels), EIGHT, False)[:5])
