"""ADL: attention-based dropout layer (Choe & Shim, CVPR 2019)."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from hclnet.backbones.backbone import Backbone
from hclnet.methods import cam


class ADLOptions(cam.CAMOptions):
    gamma: float = Field(0.8, ge=0, le=1, description="places with at least gamma of the most attention are dropped")
    drop: float = Field(0.75, ge=0, le=1, description="probability of a batch to be dropped from, not weighted")


def drop_mask(attention: Float[Tensor, "b 1 h w"], gamma: float) -> Float[Tensor, "b 1 h w"]:
    """0 where the attention is `gamma` of the image's largest or more, 1 elsewhere (their section 3.1)."""
    return (attention < gamma * attention.amax((2, 3), keepdim=True)).to(attention.dtype)


def attend(features: Float[Tensor, "b d h w"], gamma: float, dropping: bool) -> Float[Tensor, "b d h w"]:
    """Features without the place that most of them respond to, or weighted towards it.

    Attention is the mean over channels; its importance map is the sigmoid of it.
    """
    dtype = features.dtype if features.dtype == torch.float64 else torch.float32
    attention = features.mean(1, keepdim=True, dtype=dtype)
    chosen = drop_mask(attention, gamma) if dropping else attention.sigmoid()
    return features * chosen.to(features.dtype)


class ADL(cam.CAM):
    """CAM's network with a block that has no parameters inside of the backbone, so that no place is relied on alone.

    Training only: a block after the stride-8 stage, the stride-16 stage and the one that is classified: for VGG-16
    after pool3, pool4 and conv5_3. At each block one coin a batch decides between the drop mask (probability `drop`)
    and the importance map. gamma 0.8 is the paper's for VGG-16 on CUB. Where a stage does not end in a ReLU, as in
    EfficientNet-Lite0, attention can be negative everywhere; then nothing is dropped from that image.
    """

    name = "adl"
    paper = "Choe & Shim, Attention-based Dropout Layer for Weakly Supervised Object Localization, CVPR 2019"
    Options = ADLOptions
    options: ADLOptions
    hooks_features = True
    frozen_note = (
        "only the block before the head acts. Between those after stage3 and stage4 and the head nothing learns, and "
        "their features come from the cache."
    )

    def __init__(self, backbone: Backbone, classes: int, options: ADLOptions) -> None:
        super().__init__(backbone, classes, options)
        if not backbone.changeable or not {"stage3", "stage4"} <= set(backbone.info):
            raise ValueError(
                f"adl changes the features of the stages of stride 8 and 16 while they are computed, which "
                f"{backbone.name} does not have as maps. Take another method, or a backbone such as resnet50."
            )
        self.blocks = frozenset({"stage3", "stage4", *self.in_features})

    def feature_hook(
        self, stage: str, features: Float[Tensor, "b d h w"], random: np.random.Generator
    ) -> Float[Tensor, "b d h w"]:
        if stage not in self.blocks:
            return features
        return attend(features, self.options.gamma, dropping=bool(random.random() < self.options.drop))


METHOD = ADL
