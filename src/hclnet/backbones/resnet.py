"""ResNet-50 (He et al. 2016) as timm builds it, with torchvision's ImageNet weights."""

from __future__ import annotations

import timm
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from hclnet.backbones.backbone import Backbone, StageInfo
from hclnet.backbones.weights import hub_tensors

TIMM_NAME = "resnet50.tv_in1k"
OUTPUT_STRIDES = (8, 16, 32)


def resnet50(output_stride: int = 16) -> Backbone:
    """The backbone: the stem, then its four groups of blocks, with 64, 256, 512, 1024 and 2048 channels.

    Below output stride 32 the last groups are dilated, so that weights trained at 32 mean the same. A branch has 512
    channels: with the 1024 of VGG-16, two branches on 2048 channels would outweigh the backbone twice.
    """
    model = timm.create_model(TIMM_NAME, pretrained=False, num_classes=0, output_stride=output_stride)
    part = model.get_submodule
    stages = {
        "stage1": nn.Sequential(part("conv1"), part("bn1"), part("act1")),
        "stage2": nn.Sequential(part("maxpool"), part("layer1")),
        "stage3": part("layer2"),
        "stage4": part("layer3"),
        "stage5": part("layer4"),
    }
    channels, strides = (64, 256, 512, 1024, 2048), (2, 4, 8, 16, 32)
    info = {name: StageInfo(c, min(s, output_stride)) for name, c, s in zip(stages, channels, strides)}
    return Backbone("resnet50", stages, info, "stage5", 512, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, model)


def imagenet(backbone: Backbone) -> dict[str, Tensor]:
    """The ImageNet weights: torchvision's first, which the field measures with."""
    return hub_tensors(backbone, TIMM_NAME, "resnet50")
