"""The backbones that have a name of their own: models of timm, cut into stages that run one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import timm
from torch import nn

from hclnet.backbones.backbone import Backbone, StageInfo
from hclnet.backbones.timm_models import of_timm


@dataclass(frozen=True, slots=True)
class Cut:
    """A model of timm as stages that run one after the other.

    Attributes:
        model: timm's name of it, with the tag of its weights.
        stages: the modules of each stage, in the order in which they run; `name.2:5` are those of a sequence from the
            third to the fifth.
        channels: of each stage.
        strides: of each stage, where the output stride does not say a smaller one.
        last: the stage that class maps are computed from.
        output_strides: that it can have.
        stride: its own output stride.
        pool: the module that has stride 1 below the largest output stride; empty: timm dilates the model.
        width: channels of a branch; None: by the rule for models of timm.
        options: for `timm.create_model`.
        address: of its weights outside of timm's hub, where timm tells none.
    """

    model: str
    stages: dict[str, tuple[str, ...]]
    channels: tuple[int, ...]
    strides: tuple[int, ...] = (2, 4, 8, 16, 32)
    last: str = "stage5"
    output_strides: tuple[int, ...] = (8, 16, 32)
    stride: int = 16
    pool: str = ""
    width: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    address: str = ""

    def build(self, name: str, output_stride: int) -> Backbone:
        """The backbone under a name, with random weights."""
        dilated = {} if self.pool else {"output_stride": output_stride}
        model = timm.create_model(self.model, pretrained=False, **{"num_classes": 0, **self.options, **dilated})
        if self.pool and output_stride < max(self.output_strides):
            model.set_submodule(self.pool, nn.MaxPool2d(3, stride=1, padding=1))
        stages = {stage: _joined(_part(model, part) for part in parts) for stage, parts in self.stages.items()}
        strides = (min(stride, output_stride) for stride in self.strides)
        info = dict(zip(stages, map(StageInfo, self.channels, strides), strict=True))
        return of_timm(name, model, stages, info, self.last, self.width, reentrant=True)


def _part(model: nn.Module, name: str) -> nn.Module:
    before, _, own = name.rpartition(".")
    if ":" not in own:
        return model.get_submodule(name)
    sequence = model.get_submodule(before)
    assert isinstance(sequence, nn.Sequential), before
    return sequence[slice(*map(int, own.split(":")))]


def _joined(parts: Iterable[nn.Module]) -> nn.Module:
    first, *others = parts
    return nn.Sequential(first, *others) if others else first


def _lite(k: int, channels: tuple[int, ...]) -> Cut:
    """EfficientNet-Lite (Liu & Tan 2020). `head` has the 1280 channels that ImageNet's classes see. The model has its
    classifier, which is not used, so that a seed gives the weights that it always gave."""
    stages = {
        "stage1": ("conv_stem", "bn1", "blocks.0"),
        "stage2": ("blocks.1",),
        "stage3": ("blocks.2",),
        "stage4": ("blocks.3", "blocks.4"),
        "stage5": ("blocks.5", "blocks.6"),
        "head": ("conv_head", "bn2"),
    }
    strides = (2, 4, 8, 16, 32, 32)
    return Cut(f"tf_efficientnet_lite{k}.in1k", stages, channels, strides, options={"num_classes": 1000})


NAMED: dict[str, Cut] = {
    "efficientnet_lite0": _lite(0, (16, 24, 40, 112, 320, 1280)),
    "efficientnet_lite1": _lite(1, (16, 24, 40, 112, 320, 1280)),
    "efficientnet_lite2": _lite(2, (16, 24, 48, 120, 352, 1280)),
    # VGG-16 (Simonyan & Zisserman 2015) up to the ReLU after conv5_3, without batch norms: the backbone of the paper. A
    # pool ends the stage before it. Reading 5: at output stride 8, the default, pool4 is 3x3 with stride 1, so that an
    # image of 224 px has maps of 28x28; at 16 pool4 is as it was, for 14x14. Next to nothing is made of the
    # classifier's hidden layers, which would be nine tenths of the weights. A branch has the paper's 1024 channels.
    "vgg16": Cut(
        "vgg16.tv_in1k",
        {
            "stage1": ("features.0:5",),
            "stage2": ("features.5:10",),
            "stage3": ("features.10:17",),
            "stage4": ("features.17:24",),
            "stage5": ("features.24:30",),
        },
        channels=(64, 128, 256, 512, 512),
        output_strides=(8, 16),
        stride=8,
        pool="features.23",
        width=1024,
        options={"mlp_ratio": 1 / 4096},
        address="https://download.pytorch.org/models/vgg16-397923af.pth",  # torchvision's
    ),
    # ResNet-50 (He et al. 2016): the stem, then its four groups of blocks. Its weights are torchvision's first, with
    # which the field measures. Below output stride 32 the last groups are dilated, so that weights trained at 32 mean
    # the same. A branch has 512 channels: with the 1024 of VGG-16, two branches would outweigh the backbone twice.
    "resnet50": Cut(
        "resnet50.tv_in1k",
        {
            "stage1": ("conv1", "bn1", "act1"),
            "stage2": ("maxpool", "layer1"),
            "stage3": ("layer2",),
            "stage4": ("layer3",),
            "stage5": ("layer4",),
        },
        channels=(64, 256, 512, 1024, 2048),
    ),
}
