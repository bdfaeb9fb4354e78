"""A class map becomes a heatmap in 0..1, and the heatmap becomes 256 levels.

The normalizations are those compared in Kim et al., "Normalization Matters in Weakly Supervised Object Localization",
ICCV 2021. Which one is used moves the localization metrics by several points, so it is an option, never an assumption.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Float32, Float64, Real, UInt8

NORMALIZATIONS = ("minmax", "max", "pas", "ivr:P")
PAS_PERCENTILE = 90
_FAR = 1e300  # from here on a difference may overflow
_NOT_FINITE = (
    "a map has NaN or infinite values, so it has no heatmap; look for a diverged training or an overflow in half "
    "precision, and compute the maps in float32."
)


def normalize(map: Float[np.ndarray, "*batch h w"], how: str = "minmax") -> Float32[np.ndarray, "*batch h w"]:
    """Heatmaps in 0..1, each normalized by itself.

    A constant map says nothing about where, and gives zeros. So does an `ivr:P` map of which more than 100 - P percent
    share the maximum.

    Args:
        map: class maps, any finite values.
        how: `minmax`: subtract the minimum, divide by the maximum of the result. `max`: ReLU, divide by the maximum.
            `pas`: subtract the minimum, divide by the 90th percentile of the result, clip at 1. `ivr:P`: subtract the
            P-th percentile (0 <= P < 100), ReLU, divide by the maximum of the result.

    Raises:
        ValueError: `how` is unknown, or a map is empty or not finite.
    """
    kind, percentile = parse_normalization(how)
    if 0 in map.shape[-2:]:
        raise ValueError(f"cannot normalize maps of shape {map.shape}: each must have at least one pixel.")
    if kind == "minmax":
        return _minmax(_wide(map))
    if not np.isfinite(map).all():
        raise ValueError(_NOT_FINITE)
    # float64, so that neither a range near the float32 limits nor a tiny one over- or underflows.
    values = map.astype(np.float64)
    if np.abs(values).max() > _FAR:
        values /= 2
    low = values.min(axis=(-2, -1), keepdims=True)
    high = values.max(axis=(-2, -1), keepdims=True)
    if kind == "max":
        values = _divide(np.maximum(values, 0), high)
    elif kind == "ivr":
        floor = np.percentile(values, percentile, axis=(-2, -1), keepdims=True)
        values = _divide(np.maximum(values - floor, 0), high - floor)
    else:
        values -= low
        ceiling = np.percentile(values, PAS_PERCENTILE, axis=(-2, -1), keepdims=True)
        # A peak smaller than a tenth of the map leaves nothing to divide by: in the limit all of it is 1.
        values = np.where(ceiling > 0, np.minimum(_divide(values, ceiling), 1), values > 0)
    return np.where(high > low, values, 0).astype(np.float32)


def steady(map: Real[np.ndarray, "h w"], from_zero: bool = False, wide: bool = False) -> Float[np.ndarray, "h w"]:
    """A map in float32 (`wide`: in float64) that has lost nothing on the way, so that it can be resized and normalized.

    What that type holds as it is stays as it is, to the bit. A map of which it would lose the steps (a far offset, 64
    bits of an integer) or the range (1e300, 1e-46) is brought to 0..1 before it is cut: no normalization sees that.

    Args:
        map: numbers of any kind.
        from_zero: the normalization asks where zero is (`max`): the map is only divided, by its largest magnitude.

    Raises:
        ValueError: the map is empty or not finite.
    """
    if 0 in map.shape:
        raise ValueError(f"a map of shape {map.shape} has no pixel; each needs at least one.")
    low, high = map.min().item(), map.max().item()
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(_NOT_FINITE)
    kind, reach, steps = (np.float64, 1e290, 2.0**-30) if wide else (np.float32, 1e30, 2.0**-10)
    half, largest = high / 2 - low / 2, max(abs(low), abs(high))  # of the range, which itself may overflow
    if map.dtype.kind == "f":
        held = np.can_cast(map.dtype, kind) or (largest <= reach and bool((map.astype(kind) == map).all()))
    else:
        held = largest <= 2 ** (53 if wide else 24)
    if held and (low == high or (1 / reach < half < reach and half >= steps * largest / 2)):
        return map.astype(kind)
    if low == high:
        return np.full(map.shape, np.sign(low), dtype=kind)
    if map.dtype.kind != "f" and not from_zero:
        # What is taken off is taken off in whole numbers, modulo 2**64, and so exactly.
        above = map.astype(np.uint64) - np.uint64(low % 2**64)
        return (above.astype(np.float64) / float(high - low)).astype(kind)
    values = map.astype(np.float64) / (2 if largest > reach else 1)
    low, high = values.min(), values.max()
    values = values / max(abs(low), abs(high)) if from_zero else (values - low) / (high - low)
    return values.astype(kind)


def to_levels(heatmap: Float[np.ndarray, "*batch h w"]) -> UInt8[np.ndarray, "*batch h w"]:
    """Levels `floor(255 h)`, 0..255, of a heatmap.

    Raises:
        ValueError: the heatmap has a value outside 0..1, or NaN.
    """
    if heatmap.size and not (heatmap.min() >= 0 and heatmap.max() <= 1):  # NaN is the least and the greatest value
        raise ValueError(
            f"a heatmap must lie in 0..1, and this one spans {heatmap.min()} to {heatmap.max()}: normalize it first."
        )
    # In float64 the product is exact; in single precision it could round up to the next level.
    return (_wide(heatmap) * np.full((), 255, dtype=np.float64)).astype(np.uint8)


def parse_normalization(how: str) -> tuple[str, float]:
    """The kind of a normalization and its percentile: `("ivr", 35.0)`, `("minmax", 0.0)`.

    Raises:
        ValueError: there is no such normalization.
    """
    kind, colon, argument = how.partition(":")
    if kind in ("minmax", "max", "pas") and not colon:
        return kind, 0.0
    if kind == "ivr":
        try:
            percentile = float(argument)
        except ValueError:
            percentile = -1.0
        if 0 <= percentile < 100:
            return kind, percentile
    raise ValueError(
        f"there is no map normalization {how!r}; choose one of {', '.join(NORMALIZATIONS)} with 0 <= P < 100, "
        "such as ivr:35."
    )


def _wide(map: Float[np.ndarray, "*batch h w"]) -> Float[np.ndarray, "*batch h w"]:
    """In single or double precision, without loss: half precision becomes single, what is wider than double double."""
    return map.astype(np.float32 if map.dtype in (np.float16, np.float32) else np.float64, copy=False)


def _minmax(maps: Float[np.ndarray, "*batch h w"]) -> Float32[np.ndarray, "*batch h w"]:
    """ValueError if a value is not finite."""
    flat = maps.reshape(*maps.shape[:-2], 1, -1)  # of which numpy finds the least value faster than over two axes
    low, high = (of(axis=-1, keepdims=True).astype(np.float64) for of in (flat.min, flat.max))
    if not (np.isfinite(low).all() and np.isfinite(high).all()):  # NaN is the least and the greatest value
        raise ValueError(_NOT_FINITE)
    with np.errstate(over="ignore"):
        span = high - low
    if np.isinf(span).any():
        maps, low, high = maps / 2, low / 2, high / 2
        span = high - low
    span[span == 0] = 1  # of a constant map, all of whose values are 0 by now
    values = maps - low
    values /= span  # in place: a second array of this size costs twenty times as much as the division
    return values.astype(np.float32)


def _divide(
    values: Float64[np.ndarray, "*batch h w"], by: Float64[np.ndarray, "*batch 1 1"]
) -> Float64[np.ndarray, "*batch h w"]:
    return np.divide(values, by, out=np.zeros_like(values), where=by > 0)
