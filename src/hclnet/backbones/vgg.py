"""VGG-16 (Simonyan & Zisserman 2015) up to conv5_3, as timm builds it: the backbone of the paper."""

from __future__ import annotations

import timm
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from hclnet.backbones.backbone import Backbone, StageInfo
from hclnet.backbones.weights import hub_tensors

TIMM_NAME = "vgg16.tv_in1k"
OUTPUT_STRIDES = (8, 16)
_ENDS = (4, 9, 16, 23, 29)  # the last layer of each stage: pool1 to pool4, and the ReLU after conv5_3


def vgg16(output_stride: int = 8) -> Backbone:
    """The backbone: stages 1-5 with 64, 128, 256, 512 and 512 channels, each a block of convolutions and its pool.

    Nothing comes after conv5_3, and there is no batch norm. Reading 5: at output stride 8, the default, pool4 is
    3x3 with stride 1, so that an image of 224 px has maps of 28x28; at 16 pool4 is as it was, for 14x14.
    """
    # No classifier, and next to nothing of its hidden layers, which would be nine tenths of the weights.
    model = timm.create_model(TIMM_NAME, pretrained=False, num_classes=0, mlp_ratio=1 / 4096)
    layers = model.features
    assert isinstance(layers, nn.Sequential)
    if output_stride == 8:
        layers[_ENDS[3]] = nn.MaxPool2d(3, stride=1, padding=1)
    starts = (0, *(end + 1 for end in _ENDS))
    stages: dict[str, nn.Module] = {
        f"stage{k}": layers[start : end + 1] for k, (start, end) in enumerate(zip(starts, _ENDS), 1)
    }
    strides = (2, 4, 8, output_stride, output_stride)
    info = {name: StageInfo(c, s) for name, c, s in zip(stages, (64, 128, 256, 512, 512), strides)}
    return Backbone("vgg16", stages, info, "stage5", 1024, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, model)


def imagenet(backbone: Backbone) -> dict[str, Tensor]:
    """The ImageNet weights, which are torchvision's."""
    return hub_tensors(backbone, TIMM_NAME, "vgg16")
