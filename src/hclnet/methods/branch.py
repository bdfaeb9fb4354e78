"""The classifier branch that most methods share, and the maps that come out of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from hclnet.device import full_precision
from hclnet.methods.convolution import Conv3x3


@dataclass(frozen=True, slots=True)
class ClassMaps:
    """The maps of one branch, computed for the target classes only.

    Maps and logits are in float32, whatever autocast says: in bfloat16 they would have 8 bits (reading 3). A 1x1
    convolution and global average pooling commute, so the logits need no map at all, and the map of one class
    costs one channel instead of C.

    Attributes:
        hidden: the features before the 1x1 convolution.
        weight: of the 1x1 convolution, one row a class.
        bias: of the same.
    """

    hidden: Float[Tensor, "b d h w"]
    weight: Float[Tensor, "c d"]
    bias: Float[Tensor, "c"]

    def logits(self) -> Float[Tensor, "b c"]:
        """Global average pooling of the C maps (paper, section 3.1), in the weights' precision."""
        with full_precision(self.hidden.device):
            return F.linear(self.hidden.to(self.weight.dtype).mean((2, 3)), self.weight, self.bias)

    def of(self, classes: Int64[Tensor, "b"]) -> Float[Tensor, "b h w"]:
        """The map of one class for each image."""
        with full_precision(self.hidden.device):
            maps = torch.einsum("bdhw,bd->bhw", self.hidden.to(self.weight.dtype), self.weight[classes])
            return maps + self.bias[classes, None, None]

    def all(self) -> Float[Tensor, "b c h w"]:
        """The maps of all C classes."""
        with full_precision(self.hidden.device):
            return F.conv2d(self.hidden.to(self.weight.dtype), self.weight[:, :, None, None], self.bias)


class Branch(nn.Module):
    """3x3 convolutions with ReLU, then a 1x1 convolution to C maps (paper, sections 3.1 and 4).

    Args:
        channels: of the incoming features.
        classes: C.
        width: channels of the 3x3 convolutions; 1024 in the paper, on VGG-16.
        convs: how many 3x3 convolutions; 2 in ACoL and HCLNet, 1 in CAM, 0 for a plain linear classifier.
    """

    def __init__(self, channels: int, classes: int, width: int, convs: int = 2) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for k in range(convs):
            layers += [Conv3x3(width if k else channels, width), nn.ReLU()]
        self.convs = nn.Sequential(*layers)
        self.classifier = nn.Conv2d(width if convs else channels, classes, 1)
        self.apply(xavier)  # and no dropout: reading 6

    def forward(self, features: Float[Tensor, "b d h w"]) -> ClassMaps:
        assert self.classifier.bias is not None
        return ClassMaps(self.convs(features), self.classifier.weight.flatten(1), self.classifier.bias)


def xavier(module: nn.Module) -> None:
    """Start a convolution as ACoL's and SPG's branches do; for `Module.apply`."""
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
