"""Step 2 of the flow: a batch of images -> features of named stages.

A backbone is a function `output_stride -> Trunk` in `BACKBONES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hclnet.backbones import efficientnet, resnet, vgg
from hclnet.backbones.backbone import Features, StageInfo, Trunk
from hclnet.backbones.weights import Misfit, fit, read_tensors

__all__ = ["BACKBONES", "Backbone", "Features", "StageInfo", "Trunk", "build_trunk", "choose_stride"]


@dataclass(frozen=True, slots=True)
class Backbone:
    """How to build a trunk, the output strides it can have, its own one, and where its ImageNet weights come from."""

    build: Callable[[int], Trunk]
    output_strides: tuple[int, ...]
    default_stride: int
    imagenet: Callable[[Trunk], dict[str, Tensor]]


BACKBONES: dict[str, Backbone] = {
    **{
        name: Backbone(build, efficientnet.OUTPUT_STRIDES, 16, efficientnet.imagenet)
        for name, build in efficientnet.TRUNKS.items()
    },
    "vgg16": Backbone(vgg.vgg16, vgg.OUTPUT_STRIDES, 8, vgg.imagenet),
    "resnet50": Backbone(resnet.resnet50, resnet.OUTPUT_STRIDES, 16, resnet.imagenet),
}


def choose_stride(name: str, output_stride: int | None = None) -> int:
    """The output stride asked for, or the backbone's own for None.

    Raises:
        ValueError: there is no such backbone, or it can't have this output stride.
    """
    if name not in BACKBONES:
        raise ValueError(f"There is no backbone {name!r}; there are {', '.join(BACKBONES)}.")
    backbone = BACKBONES[name]
    if output_stride is None:
        return backbone.default_stride
    if output_stride not in backbone.output_strides:
        possible = ", ".join(map(str, backbone.output_strides))
        raise ValueError(f"{name} can't have output stride {output_stride}; it can have {possible}.")
    return output_stride


def build_trunk(name: str, output_stride: int | None = None, weights: str = "auto", stages: int = 1) -> Trunk:
    """A trunk in eval mode with weights loaded.

    Args:
        name: a key of `BACKBONES`.
        output_stride: pixels of the image per feature of the last stage; None: the backbone's own.
        weights: `auto` for the ImageNet weights, `none` for random ones, or a file: safetensors, or torch's format
            without pickled objects; with the names of timm, torchvision or the trunk itself.
        stages: how many of the last stages make up the last one's features; see `Trunk.join`.

    Raises:
        ValueError: unknown name, impossible stride, or weights that are missing or do not fit. Random weights come
            only where they were asked for.
    """
    stride = choose_stride(name, output_stride)
    trunk = BACKBONES[name].build(stride)
    if weights == "auto":
        trunk.load_state_dict(fit(trunk, BACKBONES[name].imagenet(trunk)))
    elif weights != "none":
        _load_file(trunk, Path(weights).expanduser())
    return trunk.join(stages).eval()


def _load_file(trunk: Trunk, path: Path) -> None:
    tensors = read_tensors(path)
    try:
        trunk.load_state_dict(fit(trunk, tensors))
    except Misfit as misfit:
        if other := _recognise(tensors):
            raise ValueError(
                f"{path} holds the weights of {other}, not of {trunk.name}. Name another file, or --backbone {other}."
            ) from None
        raise ValueError(f"{path} does not hold the weights of {trunk.name}: {misfit}.") from None


def _recognise(tensors: dict[str, Tensor]) -> str | None:
    """The backbone that tensors fit, if there is one."""
    for name, backbone in BACKBONES.items():
        with torch.device("meta"):  # names and shapes, without memory for them
            trunk = backbone.build(backbone.default_stride)
        try:
            fit(trunk, tensors)
            return name
        except Misfit:
            pass
    return None
