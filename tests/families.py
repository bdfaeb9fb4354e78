"""The families of timm's models that the tests run, each at its smallest, with random weights.

A new family is a line in `FAMILIES`: the backbone's tests and the contract of the methods then run on it.
"""

from functools import cache

import pytest
import torch

from hclnet.backbones import build_backbone
from hclnet.methods import get_method, method_names

FAMILIES = {
    "resnet": "test_resnet",
    "regnet": "regnetx_002",
    "efficientnet": "test_efficientnet",
    "mobilenetv4": "mobilenetv4_conv_small_035",
    "convnext": "test_convnext",
    "vgg": "vgg11",
    "densenet": "densenet121",
    "vit": "test_vit",
    "dinov2": "vit_small_patch14_reg4_dinov2",
    "deit": "deit_tiny_distilled_patch16_224",
    "swin": "swin_tiny_patch4_window7_224",
    "eva02": "eva02_tiny_patch14_224",
}
PLAIN = {"vit", "dinov2", "deit", "eva02"}  # of one resolution, with a class token
_NEED_RESOLUTIONS = {"adl", "spg"}
USUAL = {"resnet", "vit"}  # what costs much is quick on these two
_HEAVY = {"densenet", "dinov2", "regnet", "swin", "vgg"}  # seconds each, so that they are slow tests


def _marked(names, slow):
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in slow)) for name in names]


every_family = pytest.mark.parametrize("family", _marked(FAMILIES, _HEAVY))
every_family_at_length = pytest.mark.parametrize("family", _marked(FAMILIES, FAMILIES.keys() - USUAL))


def timms(family):
    """The name of its backbone."""
    return f"timm:{FAMILIES[family]}"


@cache
def built(family):
    """Its backbone, not to be changed."""
    torch.manual_seed(0)
    with torch.inference_mode(False):
        return build_backbone(timms(family), weights="none")


def fits(family, method):
    if family in PLAIN:
        return method not in _NEED_RESOLUTIONS
    return not get_method(method).needs


FITTING = [(family, method) for family in FAMILIES for method in method_names() if fits(family, method)]
"""Each family with each method that fits."""
