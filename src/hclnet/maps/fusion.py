"""Step 4 of the flow: the maps of the branches -> one map. Pure functions, equations (1)-(5) of the HCLNet paper.

Everything is computed in float32 or better; a constant map never gives NaN.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from hclnet.methods.minmax import minmax

Maps = Float[Tensor, "k b h w"]
Map = Float[Tensor, "b h w"]


def normalize(maps: Float[Tensor, "*n h w"], how: str) -> Float[Tensor, "*n h w"]:
    """What f_i of eqs. (1)-(5) is (reading 7): `minmax`, `raw` or `relu`."""
    if how == "minmax":
        return minmax(maps)
    maps = maps if maps.dtype == torch.float64 else maps.float()
    return maps.relu() if how == "relu" else maps


def activity(all_maps: Float[Tensor, "b c h w"], how: str) -> Map:
    """Eq. (2): the l1-norm over classes of one branch's normalized maps."""
    return normalize(all_maps, how).abs().sum(1)


def block_mean(maps: Maps, radius: int) -> Maps:
    """Eq. (3): mean over a block of side 2r + 1, zeros outside of the map (reading 10)."""
    return F.avg_pool2d(maps, 2 * radius + 1, stride=1, padding=radius) if radius else maps


def fuse_max(f: Maps) -> Map:
    """ACoL's fusion: the larger of the branches' values at each place."""
    return f.amax(0)


def fuse_addition(f: Maps) -> Map:
    """Eq. (1): F = sum over i of f_i."""
    return f.sum(0)


def fuse_l1(f: Maps, activities: Maps, radius: int = 1, weights: str = "ratio") -> Map:
    """Eqs. (3)-(5): F = sum over i of w_i f_i, with w_i from the block mean of each branch's activity.

    Args:
        f: normalized maps of one class, by branch.
        activities: M_i of eq. (2), by branch.
        radius: r of eq. (3).
        weights: `ratio` as eq. (5) is written, with 0/0 -> 1/K, or `softmax` as the text calls it (reading 9).
    """
    mean = block_mean(activities, radius)
    if weights == "softmax":
        w = mean.softmax(0)
    else:
        total = mean.sum(0)
        empty = total <= 0
        w = torch.where(empty, 1.0 / len(f), mean / torch.where(empty, torch.ones_like(total), total))
    return (w * f).sum(0)
