"""Looking at an image more than once, mirrored or at several sizes, and averaging what a method makes of each look.

Class maps are a linear function of what comes before the last 1x1 convolution, and so is resizing: the mean of that,
turned back and brought to one resolution, has the mean of the looks' maps, whichever classes are asked for. Branches
that see a complement get that of their own look.
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
    """One look at an image: the side of the square that it is resized to, pixels, and whether it is mirrored."""

    size: int
    mirrored: bool = False


def views(settings: Inference, size: int) -> tuple[View, ...]:
    """The looks that the settings ask for, at an image that a localizer was trained to see at side `size`."""
    sides = (size if s == 1 else max(1, round(size * s / _MULTIPLE)) * _MULTIPLE for s in settings.scales)
    return tuple(View(side, turned) for side in dict.fromkeys(sides) for turned in (False, True)[: 1 + settings.flip])


def mean_probabilities(outputs: Sequence[Output]) -> Float[Tensor, "b c"]:
    """Of the classes, over the looks."""
    return torch.stack([output.logits.float().softmax(1) for output in outputs]).mean(0)


def merge(outputs: Sequence[Output], seen: Sequence[View]) -> Output:
    """What a method makes of several looks at the same images, averaged: maps and probabilities.

    Maps have the resolution of the finest look.

    Args:
        outputs: of each look, all asked for the same classes.
        seen: the looks.
    """
    if len(outputs) == 1:
        return outputs[0]
    grid = max((tuple(o.branches[0].hidden.shape[2:]) for o in outputs), key=lambda side: side[0] * side[1])
    branches = []
    for maps in zip(*(output.branches for output in outputs)):
        weight, bias = maps[0].weight, maps[0].bias
        aligned = [_aligned(m.hidden.to(weight.dtype), view, grid) for m, view in zip(maps, seen)]
        branches.append(ClassMaps(torch.stack(aligned).mean(0), weight, bias))
    return Output(mean_probabilities(outputs).clamp_min(_TINY).log(), tuple(branches), outputs[0].classes)


def merge_maps(maps: Sequence[Float[Tensor, "_ _ _"]], seen: Sequence[View]) -> Float[Tensor, "b h w"]:
    """The mean of one map per image and look, in the resolution of the finest look.

    Args:
        maps: of each look at the same images.
        seen: the looks.
    """
    grid = max((tuple(m.shape[1:]) for m in maps), key=lambda side: side[0] * side[1])
    return torch.stack([_aligned(m.unsqueeze(1), view, grid) for m, view in zip(maps, seen)]).mean(0).squeeze(1)


def _aligned(hidden: Float[Tensor, "b d h w"], view: View, grid: tuple[int, ...]) -> Float[Tensor, "b d gh gw"]:
    hidden = hidden.flip(3) if view.mirrored else hidden
    if hidden.shape[2:] == grid:
        return hidden
    return F.interpolate(hidden, grid, mode="bilinear", align_corners=False)
