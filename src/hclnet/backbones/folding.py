"""Batch norms folded into the convolutions before them, as far as a model uses them in that way."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from hclnet.backbones.same_padding import pad_evenly

_Walked = TypeVar("_Walked", bound=nn.Module)
_OFF = 1e-3  # of the largest feature; rounding is a hundredth of it


def folded(backbone: _Walked, stages: Sequence[str], side: int) -> _Walked:
    """A copy in eval mode, without gradients, whose batch norms are folded where that changes nothing.

    A batch norm is folded if what it gets is what a convolution put out, and both run once. What was folded is compared
    with what was not, on a drawn image. Convolutions with TensorFlow's padding get one that takes less time
    (`hclnet.backbones.same_padding`).

    Args:
        backbone: called with images and names of stages.
        stages: all that have to stay as they are.
        side: of the drawn image, pixels.
    """
    copy = deepcopy(backbone).eval().requires_grad_(False)
    if not any(isinstance(module, nn.BatchNorm2d) for module in copy.modules()):
        return copy
    weights = next(copy.parameters())
    image = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(weights.device, weights.dtype)
    with torch.inference_mode(False), torch.no_grad():
        try:
            pairs, before = _pairs(copy, image, stages)
            for convolution, name in pairs:
                _fold(copy, convolution, name)
            pad_evenly(copy)
            after = copy(image, stages)
        except (AttributeError, RuntimeError):  # the image is too small, or a batch norm is read that is not there now
            before = after = {}
    same = bool(after) and all(_equal(after[stage], value) for stage, value in before.items())
    return copy if same else deepcopy(backbone).eval().requires_grad_(False)


def _equal(after: Tensor, before: Tensor) -> bool:
    return bool((after - before).abs().max() <= _OFF * before.abs().max())


def _pairs(
    model: nn.Module, image: Tensor, stages: Sequence[str]
) -> tuple[list[tuple[nn.Conv2d, str]], dict[str, Tensor]]:
    """Convolutions and the names of the batch norms that read them, and the features of the image."""
    calls: dict[nn.Module, int] = {}
    outputs: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # the tensor is kept, or another one could get its id
    read_by: dict[nn.Module, nn.Conv2d] = {}

    def see(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        calls[module] = calls.get(module, 0) + 1
        if isinstance(module, nn.Conv2d):
            outputs[id(output)] = (module, output)
        elif id(inputs[0]) in outputs:
            read_by[module] = outputs[id(inputs[0])][0]

    names = {module: name for name, module in model.named_modules()}
    watched = [module for module in names if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    handles = [module.register_forward_hook(see) for module in watched]
    try:
        features = model(image, stages)
    finally:
        for handle in handles:
            handle.remove()
    once = [
        (convolution, names[norm])
        for norm, convolution in read_by.items()
        if calls[norm] == calls[convolution] == 1 and list(read_by.values()).count(convolution) == 1
    ]
    return once, features


def _fold(model: nn.Module, convolution: nn.Conv2d, name: str) -> None:
    norm = model.get_submodule(name)
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None, name
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    parent, _, own = name.rpartition(".")
    # timm's batch norms carry the activation that follows them.
    setattr(model.get_submodule(parent), own, getattr(norm, "act", nn.Identity()))
