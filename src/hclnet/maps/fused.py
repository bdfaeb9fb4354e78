"""Step 4 of the flow, put together: a method's output and the inference settings -> the map that becomes a heatmap.

A protocol makes the heatmap of it (`hclnet.metrics.protocols`): upsampling, normalization, levels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from hclnet.config import Inference
from hclnet.maps import fusion
from hclnet.methods.base import Output
from hclnet.methods.minmax import EPSILON


class FusedMaps(NamedTuple):
    """Maps of the target classes.

    Attributes:
        maps: fused over the branches: what a protocol makes heatmaps of. At feature resolution, or with
            `upsample_first` at `map_size`. Where the range is no more than rounding, the map is zero: constant.
        grid: the same at feature resolution. With `upsample_first` the branches fused there, which is nearest to it.
        branches: each branch's own map, min-max normalized, at feature resolution.
    """

    maps: Float[Tensor, "b h w"]
    grid: Float[Tensor, "b fh fw"]
    branches: Float[Tensor, "b k fh fw"]


def fuse_branches(output: Output, settings: Inference, default_fusion: str | None) -> FusedMaps:
    """The maps of the target classes, fused as the settings say.

    Args:
        output: of a method.
        settings: how to fuse, and whether after upsampling.
        default_fusion: the method's own, for `settings.fusion` None.

    Raises:
        ValueError: there are several maps and no fusion.
    """
    f = branch_maps(output, settings.branch_normalization)
    branches = f if settings.branch_normalization == "minmax" else branch_maps(output)
    if len(f) == 1:
        grid = maps = _constant_where_flat(f[0])
    else:
        activities = _activities(output, f, settings, default_fusion)
        grid = maps = _constant_where_flat(_fuse(f, activities, settings, default_fusion))
        if settings.upsample_first:
            f = torch.stack([_upsample(each, settings) for each in f])
            activities = None if activities is None else torch.stack([_upsample(each, settings) for each in activities])
            maps = _constant_where_flat(_fuse(f, activities, settings, default_fusion))
    return FusedMaps(maps, grid, branches.transpose(0, 1))


def branch_maps(output: Output, how: str = "minmax") -> Float[Tensor, "k b h w"]:
    """The normalized map of the target class, by branch, at feature resolution."""
    return torch.stack([fusion.normalize(branch.of(output.classes), how) for branch in output.branches])


def _constant_where_flat(maps: Float[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    """Maps, and zeros in place of one that varies only by rounding, so that nothing stretches that."""
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    span = high - low
    flat = span.isfinite() & (span <= EPSILON * torch.maximum(low.abs(), high.abs()))
    return torch.where(flat, torch.zeros_like(maps), maps)


def _activities(
    output: Output, f: Float[Tensor, "k b h w"], settings: Inference, default_fusion: str | None
) -> Float[Tensor, "k b h w"] | None:
    if (settings.fusion or default_fusion) != "l1":
        return None
    if settings.l1_over == "class":
        return f.abs()
    return torch.stack([fusion.activity(branch.all(), settings.branch_normalization) for branch in output.branches])


def _fuse(
    f: Float[Tensor, "k b h w"],
    activities: Float[Tensor, "k b h w"] | None,
    settings: Inference,
    default_fusion: str | None,
) -> Float[Tensor, "b h w"]:
    if activities is not None:
        return fusion.fuse_l1(f, activities, settings.l1_radius, settings.l1_weights)
    match settings.fusion or default_fusion:
        case "max":
            return fusion.fuse_max(f)
        case "addition":
            return fusion.fuse_addition(f)
    raise ValueError(f"The method has {len(f)} branches and no fusion of its own: choose one with --fusion addition.")


def _upsample(maps: Float[Tensor, "b h w"], settings: Inference) -> Float[Tensor, "b s s"]:
    size = (settings.map_size, settings.map_size)
    return F.interpolate(maps.unsqueeze(1), size, mode=settings.upsampling, align_corners=False).squeeze(1)
