"""Maps small enough to be carried by the thousand, of which a browser makes the very levels that were boxed.

What is carried is the map at feature resolution (some 200 values in place of 50,000) and where the levels of its
upsampling, computed in float64 by the steps that the page repeats, differ from the levels that were boxed: a few pixels
that lie on the edge of a level in float32. So the page's masks and boxes are those of `hclnet_runtime.boxes`, pixel for
pixel, whatever processor computed the heatmap.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32, Float64, Integer, UInt8, UInt16

from hclnet_runtime.boxes.levels import PAS_PERCENTILE, parse_normalization

_FLAT = 1e-6  # of hclnet.maps.fusion.minmax: a smaller range, relative to the values, is rounding


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """Interpolation along one axis: output i is the sum over k of `weight[i, k] * input[index[i, k]]`.

    Attributes:
        index: which inputs.
        weight: with what weight.
    """

    index: Integer[np.ndarray, "n k"]
    weight: Float64[np.ndarray, "n k"]


@dataclass(frozen=True, slots=True, eq=False)
class ImageMaps:
    """The maps of one image's true class.

    Attributes:
        grid: the fused map at feature resolution.
        corrections: see `corrections`.
        branches: the branches' normalized maps at feature resolution, 0..1 as 0..65535.
        level: the level t at which the box rule cut.
        span: which values of the upsampled, min-max normalized grid are 0 and 1 in the heatmap; None: 0 and 1.
    """

    grid: Float32[np.ndarray, "h w"]
    corrections: bytes
    branches: UInt16[np.ndarray, "k h w"]
    level: int
    span: tuple[float, float] | None = None


@lru_cache
def taps(length: int, side: int, upsampling: str) -> Taps:
    """Upsampling from `length` to `side`, as OpenCV's `resize` and so every protocol does it.

    Args:
        length: inputs along the axis.
        side: outputs along the axis.
        upsampling: `bilinear` or `bicubic` (Keys' kernel with a = -0.75).
    """
    at = (np.arange(side) + 0.5) * (length / side) - 0.5
    if upsampling == "bilinear":
        at = np.maximum(at, 0)
        first = np.floor(at).astype(np.int64)
        index = np.stack([first, first + 1], axis=1)
        weight = np.stack([1 - (at - first), at - first], axis=1)
    else:
        first = np.floor(at).astype(np.int64)
        index = first[:, None] + np.arange(-1, 3)
        weight = _cubic(np.abs(at[:, None] - index))
    return Taps(np.clip(index, 0, length - 1), weight)


def upsampled_levels(
    grid: Float[np.ndarray, "h w"], rows: Taps, columns: Taps, span: tuple[float, float] | None = None
) -> UInt8[np.ndarray, "sh sw"]:
    """Levels of the upsampled, min-max normalized grid, in float64, one operation after the other.

    The page's `levels` does the same in the same order, so that both round alike.
    """
    values = _upsampled(grid, rows, columns)
    low, high = values.min(), values.max()
    if high - low <= _FLAT * max(abs(low), abs(high)):
        return np.zeros(values.shape, dtype=np.uint8)
    values = (values - low) / (high - low)
    if span:
        values = np.minimum(np.maximum((values - span[0]) / (span[1] - span[0]), 0), 1)
    return np.floor(values * 255).astype(np.uint8)


def span_of(grid: Float[np.ndarray, "h w"], rows: Taps, columns: Taps, how: str) -> tuple[float, float] | None:
    """The `span` of a normalization: all of them stretch the map between two of its values.

    Args:
        grid: the fused map.
        rows, columns: its upsampling.
        how: see `hclnet_runtime.boxes.normalize`.
    """
    kind, percentile = parse_normalization(how)
    values = _upsampled(grid, rows, columns)
    low, range_ = values.min(), np.ptp(values)
    if kind == "minmax" or not range_:
        return None
    bottom, top = 0.0, 1.0
    if kind == "max":
        bottom = -low / range_
    elif kind == "pas":
        top = (np.percentile(values, PAS_PERCENTILE) - low) / range_
    else:
        bottom = (np.percentile(values, percentile) - low) / range_
    return (float(bottom), float(top)) if bottom < top else None


def corrections(predicted: UInt8[np.ndarray, "h w"], levels: UInt8[np.ndarray, "h w"]) -> bytes:
    """Where and by how much `levels` differs from `predicted`: a list of pairs (pixels since the last one, difference).

    Numbers are in base 128, low digits first, 128 added to every digit but the last; differences d as 2d or -2d - 1.
    """
    difference = levels.astype(np.int64).ravel() - predicted.astype(np.int64).ravel()
    places = np.flatnonzero(difference)
    gaps = np.diff(places, prepend=0)
    signed = difference[places]
    zigzag = np.where(signed >= 0, 2 * signed, -2 * signed - 1)
    encoded = bytearray()
    for number in np.stack([gaps, zigzag], axis=1).ravel().tolist():
        while number > 127:
            encoded.append(number & 127 | 128)
            number >>= 7
        encoded.append(number)
    return bytes(encoded)


def image_maps(
    grid: Float32[np.ndarray, "h w"],
    branches: Float[np.ndarray, "k h w"],
    levels: UInt8[np.ndarray, "s s"],
    upsampling: str,
    level: int = 0,
    how: str = "minmax",
) -> ImageMaps:
    """What a report carries of one image.

    Args:
        grid: the fused map at feature resolution.
        branches: the normalized maps of the branches, 0..1.
        levels: the level map that was boxed.
        upsampling: how the grid became the levels.
        level: at which the box rule cut.
        how: the heatmap was normalized.
    """
    (height, width), side = grid.shape, len(levels)
    rows, columns = taps(height, side, upsampling), taps(width, side, upsampling)
    span = span_of(grid, rows, columns, how) if how != "minmax" else None
    predicted = upsampled_levels(grid, rows, columns, span)
    quantized = np.round(branches * 65535).astype(np.uint16)
    return ImageMaps(grid, corrections(predicted, levels), quantized, level, span)


def _upsampled(grid: Float[np.ndarray, "h w"], rows: Taps, columns: Taps) -> Float64[np.ndarray, "sh sw"]:
    return _along(_along(grid.astype(np.float64), rows).T, columns).T


def _along(values: Float64[np.ndarray, "h w"], taps: Taps) -> Float64[np.ndarray, "s w"]:
    total = taps.weight[:, :1] * values[taps.index[:, 0]]
    for k in range(1, taps.index.shape[1]):
        total = total + taps.weight[:, k : k + 1] * values[taps.index[:, k]]
    return total


def _cubic(distance: Float64[np.ndarray, "n k"], a: float = -0.75) -> Float64[np.ndarray, "n k"]:
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, near, far)
