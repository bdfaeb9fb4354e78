"""Step 2 of the flow: a batch of images -> features of named stages.

A backbone is a function `output_stride -> Backbone` in `BACKBONES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hclnet.backbones import efficientnet, resnet, vgg
from hclnet.backbones.backbone import Backbone, Features, StageInfo
from hclnet.backbones.weights import Misfit, fit, read_tensors

__all__ = ["BACKBONES", "Architecture", "Backbone", "Features", "StageInfo", "build_backbone", "choose_stride"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """How to build a backbone, the output strides it can have, its own one, and where its ImageNet weights come
    from."""

    build: Callable[[int], Backbone]
    output_strides: tuple[int, ...]
    default_stride: int
    imagenet: Callable[[Backbone], dict[str, Tensor]]


BACKBONES: dict[str, Architecture] = {
    **{
        name: Architecture(build, efficientnet.OUTPUT_STRIDES, 16, efficientnet.imagenet)
        for name, build in efficientnet.ARCHITECTURES.items()
    },
    "vgg16": Architecture(vgg.vgg16, vgg.OUTPUT_STRIDES, 8, vgg.imagenet),
    "resnet50": Architecture(resnet.resnet50, resnet.OUTPUT_STRIDES, 16, resnet.imagenet),
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


def build_backbone(name: str, output_stride: int | None = None, weights: str = "auto", stages: int = 1) -> Backbone:
    """A backbone in eval mode with weights loaded.

    Args:
        name: a key of `BACKBONES`.
        output_stride: pixels of the image per feature of the last stage; None: the backbone's own.
        weights: `auto` for the ImageNet weights, `none` for random ones, or a file: safetensors, or torch's format
            without pickled objects; with the names of timm, torchvision or the backbone itself.
        stages: how many of the last stages make up the last one's features; see `Backbone.combine_levels`.

    Raises:
        ValueError: unknown name, impossible stride, or weights that are missing or do not fit. Random weights come
            only where they were asked for.
    """
    stride = choose_stride(name, output_stride)
    backbone = BACKBONES[name].build(stride)
    if weights == "auto":
        backbone.load_state_dict(fit(backbone, BACKBONES[name].imagenet(backbone)))
    elif weights != "none":
        _load_file(backbone, Path(weights).expanduser())
    return backbone.combine_levels(stages).eval()


def _load_file(backbone: Backbone, path: Path) -> None:
    tensors = read_tensors(path)
    try:
        backbone.load_state_dict(fit(backbone, tensors))
    except Misfit as misfit:
        if other := _recognize(tensors):
            raise ValueError(
                f"{path} holds the weights of {other}, not of {backbone.name}. Name another file, or --backbone "
                f"{other}."
            ) from None
        raise ValueError(f"{path} does not hold the weights of {backbone.name}: {misfit}.") from None


def _recognize(tensors: dict[str, Tensor]) -> str | None:
    """The backbone that tensors fit, if there is one."""
    for name, architecture in BACKBONES.items():
        with torch.device("meta"):  # names and shapes, without memory for them
            backbone = architecture.build(architecture.default_stride)
        try:
            fit(backbone, tensors)
            return name
        except Misfit:
            pass
    return None
