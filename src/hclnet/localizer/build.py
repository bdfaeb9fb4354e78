"""A localizer anew: of a configuration, before it is trained, or of the packaged ImageNet classifier."""

from __future__ import annotations

import torch

from hclnet.backbones import build_backbone
from hclnet.backbones.packaged import classifier
from hclnet.config import Inference, RunConfig
from hclnet.device import resolve_device
from hclnet.localizer.localizer import Localizer
from hclnet.methods import build_method
from hclnet.methods.cam import CAM


def from_config(config: RunConfig, classes: tuple[str, ...]) -> Localizer:
    """An untrained one, initialized from the configuration's seed.

    Raises:
        ValueError: the configuration asks for what does not exist.
    """
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are the caller's
        torch.manual_seed(config.seed)
        backbone = build_backbone(config.backbone, config.output_stride, config.weights, config.stages)
        torch.manual_seed(config.seed)  # the heads' start does not depend on how the backbone was made
        method = build_method(config.method, backbone, len(classes), config.options)
    settings = (config.size, config.inference, config.precision)
    return Localizer(backbone, method, classes, *settings).to(config.device)


def imagenet(device: str | torch.device) -> Localizer:
    """The packaged EfficientNet-Lite0 ImageNet classifier with CAM: 1000 classes, no training.

    Raises:
        ValueError: the package with the weights is missing, or the device can't be used.
    """
    found = resolve_device(device)
    backbone = build_backbone("efficientnet_lite0")
    method = build_method("cam", backbone, 1000, {"convs": 0, "stage": "head"})
    weight, bias = classifier()
    assert isinstance(method, CAM)
    layer = method.branch.classifier
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight.copy_(weight[:, :, None, None])
        layer.bias.copy_(bias)
    return Localizer(backbone, method, imagenet_names(), 224, Inference()).to(found)


def imagenet_names() -> tuple[str, ...]:
    """The names of ImageNet's 1000 classes, each of its own."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    names = [info.index_to_description(k).split(",")[0] for k in range(1000)]
    synsets = [info.index_to_label_name(k) for k in range(1000)]
    # Two classes are called crane, two maillot: their WordNet ids tell them apart.
    return tuple(n if names.count(n) == 1 else f"{n} ({s})" for n, s in zip(names, synsets))
