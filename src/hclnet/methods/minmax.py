"""Min-max normalization of maps, which methods and fusion share."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

EPSILON = 1e-6


def minmax(maps: Float[Tensor, "*n h w"]) -> Float[Tensor, "*n h w"]:
    """Min-max normalization of each map to [0, 1]; a constant map gives zeros (reading 3)."""
    maps = maps if maps.dtype == torch.float64 else maps.float()
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    # The epsilon is relative to the map's own size, so that small maps are not squeezed by it. Where the range is no
    # more than rounding, the map is constant.
    span = high - low
    flat = span <= EPSILON * torch.maximum(low.abs(), high.abs())
    return torch.where(flat, torch.zeros_like(maps), (maps - low) / torch.where(flat, torch.ones_like(span), span))
