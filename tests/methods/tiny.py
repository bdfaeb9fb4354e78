"""Methods small enough to be followed place by place."""

import torch

from hclnet.backbones import StageInfo, build_backbone
from hclnet.methods import build_method

DEPTH, WIDTH, CLASSES, BATCH, SIDES = 3, 4, 3, 2, (4, 5)


def build(name, **options):
    """A method in float64 on features of a few channels; the biases are drawn too, so that each is seen to be used."""
    backbone = build_backbone("efficientnet_lite0", weights="none")
    backbone.last, backbone.info, backbone.branch_width = "stage1", {"stage1": StageInfo(DEPTH, 16)}, WIDTH
    torch.manual_seed(5)
    method = build_method(name, backbone, CLASSES, options).double()
    for key, parameter in method.named_parameters():
        if key.endswith("bias"):
            torch.nn.init.normal_(parameter)
    return method


def features(seed=0, batch=BATCH):
    g = torch.Generator().manual_seed(seed)
    return {"stage1": torch.randn(batch, DEPTH, *SIDES, dtype=torch.float64, generator=g).relu()}


def layers(branch):
    """Weight and bias of a branch's convolutions, as the reference takes them."""
    found = [m for m in branch.modules() if isinstance(m, torch.nn.Conv2d)]
    return [(m.weight.detach().numpy(), m.bias.detach().numpy()) for m in found]
