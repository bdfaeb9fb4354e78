"""TS-CAM: token semantic coupled attention map (Gao et al., ICCV 2021)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from hclnet.backbones.backbone import ATTENTION, Backbone, Features
from hclnet.config import Strict
from hclnet.methods.base import Method, Output
from hclnet.methods.branch import ClassMaps, xavier

_SIDE = 3  # of the convolution, features


class TSCAMOptions(Strict):
    """It has none."""


def attention_map(attention: Float[Tensor, "b l h w"]) -> Float[Tensor, "b 1 h w"]:
    """A*: the class token's attention to each patch, the mean over the blocks (their section 3.3; the mean over the
    heads of each block is taken before)."""
    return attention.mean(1, keepdim=True)


def coupled(
    attention: Float[Tensor, "b 1 h w"], hidden: Float[Tensor, "b d h w"], weight: Float[Tensor, "c d"],
    bias: Float[Tensor, " c"],
) -> ClassMaps:  # fmt: skip
    """The maps A* times (weight x hidden + bias) of all classes (their section 3.3), as maps that are linear in what
    comes before: the bias becomes the weight of A* itself."""
    attention = attention.to(weight.dtype)
    return ClassMaps(
        torch.cat([attention * hidden.to(weight.dtype), attention], 1),
        torch.cat([weight, bias[:, None]], 1),
        torch.zeros_like(bias),
    )


class Semantic(nn.Module):
    """A 3x3 convolution of the patch tokens to C maps, whose global mean classifies (their section 3.2).

    It is a linear map of each patch's 3x3 neighbors, so that its class maps can be computed for one class alone.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(channels, classes, _SIDE, padding=_SIDE // 2).apply(xavier)

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b c h w"]:
        """All C maps."""
        maps: Tensor = self.classifier(x)
        return maps

    def class_maps(self, x: Float[Tensor, "b d h w"]) -> ClassMaps:
        """The same, one class at a time."""
        assert self.classifier.bias is not None
        neighbors = F.unfold(x, _SIDE, padding=_SIDE // 2).unflatten(2, x.shape[2:])
        return ClassMaps(neighbors, self.classifier.weight.flatten(1), self.classifier.bias)


class TSCAM(Method):
    """What a patch says of the class, times how much the class token attends to it.

    A 3x3 convolution makes C semantic maps S of the patch tokens after the last block; their global mean is classified,
    and its cross entropy is the loss. At test the map of class c is A* . S_c, where A* is the attention of the class
    token to the patches, the mean over heads and blocks: it says where there is any object, and S_c where the class is.
    The published code adds the blocks' attention up, which differs by a factor. Attention learns nothing from the loss
    itself, but with a backbone that is tuned.
    """

    name = "ts_cam"
    paper = (
        "Gao et al., TS-CAM: Token Semantic Coupled Attention Map for Weakly Supervised Object Localization, ICCV 2021"
    )
    Options = TSCAMOptions
    options: TSCAMOptions
    needs = (ATTENTION,)
    frozen_note = "the attention stays that of the backbone; only the semantic maps learn."

    def __init__(self, backbone: Backbone, classes: int, options: TSCAMOptions) -> None:
        super().__init__(backbone, classes, options)
        self.in_features = (backbone.last, ATTENTION)
        self.semantic = Semantic(backbone.info[backbone.last].channels, classes)

    def forward(self, features: Features, classes: Int64[Tensor, "b"] | None = None) -> Output:
        tokens, attention = (features[name] for name in self.in_features)
        semantic = self.semantic.class_maps(tokens)
        logits = semantic.logits()
        asked = logits.argmax(1) if classes is None else classes
        maps = coupled(attention_map(attention), semantic.hidden, semantic.weight, semantic.bias)
        return Output(logits, (maps,), asked, {"A": logits})


METHOD = TSCAM
