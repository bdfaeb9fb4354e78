"""Step 2 of the flow: a batch of images -> features of named stages.

A backbone is a function `output_stride -> Trunk` in `BACKBONES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from hclnet.backbones import efficientnet
from hclnet.backbones.trunk import Features, StageInfo, Trunk

__all__ = ["BACKBONES", "Features", "StageInfo", "Trunk", "build_trunk"]


@dataclass(frozen=True, slots=True)
class Backbone:
    """How to build a trunk, the output strides it can have, and how to load weights that install with pip."""

    build: Callable[[int], Trunk]
    output_strides: tuple[int, ...]
    load_packaged: Callable[[Trunk], object] | None


BACKBONES: dict[str, Backbone] = {
    "efficientnet_lite0": Backbone(
        efficientnet.efficientnet_lite0, efficientnet.OUTPUT_STRIDES, efficientnet.load_packaged
    ),
}


def build_trunk(name: str, output_stride: int = 16, weights: str = "auto") -> Trunk:
    """A trunk in eval mode with weights loaded.

    Args:
        name: a key of `BACKBONES`.
        output_stride: pixels of the image per feature of the last stage.
        weights: `auto` for the ImageNet weights, `none` for random ones, or a file of a trunk's state dict
            (safetensors, or torch's format without pickled objects).

    Raises:
        ValueError: unknown name, impossible stride, or weights that are missing or do not fit. Random weights come
            only where they were asked for.
    """
    if name not in BACKBONES:
        raise ValueError(f"There is no backbone {name!r}; there are {', '.join(BACKBONES)}.")
    backbone = BACKBONES[name]
    if output_stride not in backbone.output_strides:
        raise ValueError(f"{name} can't have output stride {output_stride}; possible: {backbone.output_strides}.")
    trunk = backbone.build(output_stride)
    if weights == "auto":
        if backbone.load_packaged is None:
            raise ValueError(f"No package brings weights of {name}. Give a file, or --weights none for random ones.")
        backbone.load_packaged(trunk)
    elif weights != "none":
        _load_file(trunk, Path(weights))
    return trunk.eval()


def _load_file(trunk: Trunk, path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"There is no weights file {path}. --weights takes auto, none or a file.")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        trunk.load_state_dict(state)
    except (SafetensorError, RuntimeError, OSError, ValueError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path} does not hold the weights of {trunk.name}: {reason}") from None
