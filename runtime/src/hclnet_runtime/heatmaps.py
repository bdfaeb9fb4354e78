"""A fused map becomes a heatmap and levels: the one place where these are made."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float, Float32, Real, UInt8

from hclnet_runtime.boxes import Evidence, normalize, steady


@runtime_checkable
class Drawing(Protocol):
    """How maps are drawn.

    Attributes:
        map_size: side of heatmaps, pixels.
    """

    @property
    def map_size(self) -> int: ...

    def heatmap(self, map: Real[np.ndarray, "h w"]) -> Float[np.ndarray, "s s"]:
        """A map of any size at `map_size`, in 0..1. ValueError if it is empty or not finite."""
        ...

    def levels(self, heatmap: Float[np.ndarray, "s s"]) -> UInt8[np.ndarray, "s s"]:
        """The heatmap in 256 levels."""
        ...


def to_heatmap(
    map: Real[np.ndarray, "h w"], map_size: int, upsampling: str, normalization: str
) -> Float[np.ndarray, "s s"]:
    """A map as our own protocol draws it, 0..1.

    Args:
        map: of one class.
        map_size: side of the heatmap, pixels.
        upsampling: of smaller maps, `bilinear` or `bicubic`; larger ones are averaged down.
        normalization: see `hclnet_runtime.boxes.normalize`.

    Raises:
        ValueError: the map is empty or not finite.
    """
    enlarged = cv2.INTER_LINEAR if upsampling == "bilinear" else cv2.INTER_CUBIC
    how = cv2.INTER_AREA if max(map.shape) > map_size else enlarged
    values = steady(map, from_zero=normalization == "max")
    if map.shape != (map_size, map_size) and (values == values[0, 0]).all():
        return np.zeros((map_size, map_size), dtype=np.float32)  # else rounding errors would be stretched
    return normalize(resized(values, map_size, how), normalization)


class Drawn(NamedTuple):
    """A heatmap, and what is known of it.

    Attributes:
        heatmap: 0..1, at the protocol's map size.
        evidence: its levels, and what box rules need besides.
    """

    heatmap: Float[np.ndarray, "s s"]
    evidence: Evidence


def draw(
    map: Real[np.ndarray, "h w"],
    drawing: Drawing,
    square: Callable[[int], UInt8[np.ndarray, "s s 3"]] | None = None,
    foreground: Float32[np.ndarray, "gh gw"] | None = None,
    features: Float32[np.ndarray, "d fgh fgw"] | None = None,
    grid: Real[np.ndarray, "fh fw"] | None = None,
    outlined: bool = False,
    branches: Real[np.ndarray, "k fh fw"] | None = None,
) -> Drawn:
    """A map as a heatmap and as levels: the one place where these are made, for `locate`, `evaluate` and `score`.

    Args:
        map: of one class.
        drawing: the protocol.
        square: reads the image squashed to a side, for box rules that need it.
        foreground, features, outlined: for box rules that need them, see `hclnet_runtime.boxes.Evidence`.
        grid: the map at feature resolution, where `map` is not.
        branches: that it was fused from, 0 to 1, at feature resolution.

    Raises:
        ValueError: the map is not finite.
    """
    heatmap = drawing.heatmap(map)
    evidence = Evidence(
        drawing.levels(heatmap),
        grid=map if grid is None else grid,
        foreground=foreground,
        outlined=outlined,
        first=branches[0] if branches is not None and len(branches) > 1 else None,
        features=features,
        pixels=partial(square, drawing.map_size) if square else None,
    )
    return Drawn(heatmap, evidence)


def resized(map: Float[np.ndarray, "h w"], side: int, how: int) -> Float[np.ndarray, "s s"]:
    """A map at a side, by an interpolation of OpenCV's."""
    return map if map.shape == (side, side) else cv2.resize(map, (side, side), interpolation=how)
