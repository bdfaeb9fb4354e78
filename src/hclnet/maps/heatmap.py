"""Step 4 of the flow, put together: a method's output and the inference settings -> one heatmap per image."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from hclnet.boxes import normalize
from hclnet.config import Inference
from hclnet.maps import fusion
from hclnet.methods.base import Output


def branch_maps(output: Output, how: str = "minmax") -> Float[Tensor, "k b h w"]:
    """The normalized map of the class asked for, by branch, at feature resolution."""
    return torch.stack([fusion.normalize(branch.of(output.classes), how) for branch in output.branches])


def fused_maps(output: Output, settings: Inference, default_fusion: str | None) -> Float[Tensor, "b h w"]:
    """The map of the class asked for, fused over the branches at feature resolution: what `heatmaps` upsamples.

    With `upsample_first` the heatmap is not this map's, since it is fused later; this is then the nearest to it.
    """
    f = branch_maps(output, settings.branch_normalization)
    return f[0] if len(f) == 1 else _fuse(f, _activities(output, f, settings, default_fusion), settings, default_fusion)


def heatmaps(output: Output, settings: Inference, default_fusion: str | None) -> Float[Tensor, "b s s"]:
    """Fused and upsampled maps of the classes asked for, side `map_size`, brought to 0..1 as `cam_normalization` says.

    Args:
        output: of a method.
        settings: how to fuse and upsample.
        default_fusion: the method's own, for `settings.fusion` None.

    Raises:
        ValueError: a map is not finite, or there are several and no fusion.
    """
    if not settings.upsample_first or len(output.branches) == 1:
        large = _upsample(fused_maps(output, settings, default_fusion), settings)
    else:
        f = branch_maps(output, settings.branch_normalization)
        activities = _activities(output, f, settings, default_fusion)
        f = torch.stack([_upsample(maps, settings) for maps in f])
        activities = None if activities is None else torch.stack([_upsample(maps, settings) for maps in activities])
        large = _fuse(f, activities, settings, default_fusion)
    maps = fusion.minmax(large)
    if not torch.isfinite(maps).all():
        raise ValueError(
            "The maps have NaN or infinite values. Most often the training has diverged: train again with a lower "
            "learning rate, such as --set lr=1e-4, or with --set precision=float32."
        )
    if settings.cam_normalization == "minmax":
        return maps
    ranged = torch.from_numpy(normalize(large.cpu().numpy(), settings.cam_normalization)).to(maps.device)
    # Where the range is no more than rounding, the map is constant, and nothing may stretch it.
    return torch.where((maps > 0).any(-1, keepdim=True).any(-2, keepdim=True), ranged, 0)


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
    raise ValueError(f"The method has {len(f)} branches and says of no fusion: choose one, such as --fusion addition.")


def _upsample(maps: Float[Tensor, "b h w"], settings: Inference) -> Float[Tensor, "b s s"]:
    size = (settings.map_size, settings.map_size)
    return F.interpolate(maps.unsqueeze(1), size, mode=settings.upsampling, align_corners=False).squeeze(1)
