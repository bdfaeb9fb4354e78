"""Test-time augmentation: an image is seen mirrored too, or at several sizes, and what a method makes of each view is
averaged.

Class maps are a linear function of what comes before the last 1x1 convolution, and so is resizing: the mean of that,
turned back and brought to one resolution, has the mean of the views' maps, whatever the target classes. Branches that
see a complement get that of their own view.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from hclnet.config import Inference
from hclnet.methods import ClassMaps, Output

_MULTIPLE = 32  # pixels: every stage of every backbone then has a whole number of features
_TINY = 1e-12


class View(NamedTuple):
    """One augmented view of an image: the side of the square that it is resized to, pixels, and whether it is
    mirrored."""

    size: int
    mirrored: bool = False


def views(settings: Inference, size: int) -> tuple[View, ...]:
    """The views that the settings ask for, of an image that a localizer was trained to see at side `size`."""
    sides = (size if s == 1 else max(1, round(size * s / _MULTIPLE)) * _MULTIPLE for s in settings.scales)
    return tuple(View(side, turned) for side in dict.fromkeys(sides) for turned in (False, True)[: 1 + settings.flip])


def mean_probabilities(outputs: Sequence[Output]) -> Float[Tensor, "b c"]:
    """Of the classes, over the views."""
    return torch.stack([output.logits.float().softmax(1) for output in outputs]).mean(0)


def merge(outputs: Sequence[Output], seen: Sequence[View]) -> Output:
    """What a method makes of several views of the same images, averaged: maps and probabilities.

    Maps have the resolution of the finest view.

    Args:
        outputs: of each view, all with the same target classes.
        seen: the views.
    """
    if len(outputs) == 1:
        return outputs[0]
    grid = _finest([output.branches[0].hidden for output in outputs])
    branches = []
    for maps in zip(*(output.branches for output in outputs)):
        weight, bias = maps[0].weight, maps[0].bias
        aligned = [_aligned(m.hidden.to(weight.dtype), view, grid) for m, view in zip(maps, seen)]
        branches.append(ClassMaps(torch.stack(aligned).mean(0), weight, bias))
    return Output(mean_probabilities(outputs).clamp_min(_TINY).log(), tuple(branches), outputs[0].classes)


def merge_features(features: Sequence[Float[Tensor, "b d _ _"]], seen: Sequence[View]) -> Float[Tensor, "b d h w"]:
    """The mean of the features of one stage over the views, in the resolution of the finest view.

    Args:
        features: of each view of the same images.
        seen: the views.
    """
    grid = _finest(features)
    return torch.stack([_aligned(of, view, grid) for of, view in zip(features, seen)]).mean(0)


def merge_maps(maps: Sequence[Float[Tensor, "_ _ _"]], seen: Sequence[View]) -> Float[Tensor, "b h w"]:
    """The same for one map per image and view."""
    return merge_features([m.unsqueeze(1) for m in maps], seen).squeeze(1)


def resized(maps: Float[Tensor, "b h w"], size: Sequence[int]) -> Float[Tensor, "b gh gw"]:
    """Maps at another feature resolution, bilinear."""
    if tuple(maps.shape[1:]) == tuple(size):
        return maps
    return F.interpolate(maps.unsqueeze(1), tuple(size), mode="bilinear", align_corners=False).squeeze(1)


def _finest(features: Sequence[Float[Tensor, "b d _ _"]]) -> tuple[int, ...]:
    return max((tuple(of.shape[2:]) for of in features), key=lambda side: side[0] * side[1])


def _aligned(hidden: Float[Tensor, "b d h w"], view: View, grid: tuple[int, ...]) -> Float[Tensor, "b d gh gw"]:
    hidden = hidden.flip(3) if view.mirrored else hidden
    if tuple(hidden.shape[2:]) == grid:
        return hidden
    return F.interpolate(hidden, grid, mode="bilinear", align_corners=False)
