"""Step 4 of the flow, put together: a method's output and the inference settings -> one heatmap per image."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from hclnet import fusion
from hclnet.config import Inference
from hclnet.methods.base import Output


def branch_maps(output: Output, how: str = "minmax") -> Float[Tensor, "k b h w"]:
    """The normalised map of the class asked for, by branch, at feature resolution."""
    return torch.stack([fusion.normalise(branch.of(output.classes), how) for branch in output.branches])


def heatmaps(output: Output, settings: Inference, default_fusion: str) -> Float[Tensor, "b s s"]:
    """Fused, upsampled, min-max normalised maps of the classes asked for, side `map_size`, 0..1.

    Args:
        output: of a method.
        settings: how to fuse and upsample.
        default_fusion: the method's own, for `settings.fusion` None.
    """
    how = settings.fusion or default_fusion
    f = branch_maps(output, settings.normalise)
    if len(f) == 1:
        return _finish(f[0], settings)
    activities = None
    if how == "l1":
        activities = (
            torch.stack([fusion.activity(branch.all(), settings.normalise) for branch in output.branches])
            if settings.l1_over == "all"
            else f.abs()
        )
    if settings.upsample_first:
        f = torch.stack([_upsample(maps, settings) for maps in f])
        activities = None if activities is None else torch.stack([_upsample(maps, settings) for maps in activities])
    if how == "l1":
        fused = fusion.fuse_l1(f, activities, settings.l1_radius, settings.l1_weights)
    else:
        fused = fusion.fuse_max(f) if how == "max" else fusion.fuse_addition(f)
    return fusion.minmax(fused) if settings.upsample_first else _finish(fused, settings)


def _finish(fused: Float[Tensor, "b h w"], settings: Inference) -> Float[Tensor, "b s s"]:
    return fusion.minmax(_upsample(fused, settings))


def _upsample(maps: Float[Tensor, "b h w"], settings: Inference) -> Float[Tensor, "b s s"]:
    size = (settings.map_size, settings.map_size)
    return F.interpolate(maps.unsqueeze(1), size, mode=settings.upsampling, align_corners=False).squeeze(1)
