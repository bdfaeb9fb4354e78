import numpy as np
import pytest
import torch

from hclnet.backbones import build_backbone
from hclnet.methods import build_method
from methods import tiny
from reference import network


@pytest.mark.parametrize("convs", [0, 1, 2])
def test_it_is_the_papers(convs):
    method, features = tiny.build("cam", convs=convs), tiny.features()
    output = method(features)
    for i in range(tiny.BATCH):
        maps = network.branch(features["stage1"][i].numpy(), tiny.layers(method.branch))
        np.testing.assert_allclose(output.branches[0].all()[i].detach(), maps, atol=1e-10)
        np.testing.assert_allclose(output.logits[i].detach(), network.pooled(maps), atol=1e-10)
    assert torch.equal(output.classes, output.logits.argmax(1))


def test_it_reads_the_stage_it_is_told():
    backbone = build_backbone("efficientnet_lite0", weights="none")
    method = build_method("cam", backbone, 3, {"stage": "stage4", "convs": 0})
    assert method.in_features == ("stage4",) and method.branch.classifier.in_channels == 112
    with pytest.raises(ValueError, match=r"stage=stage9: efficientnet_lite0 has no such stage; it has stage1, .*head"):
        build_method("cam", backbone, 3, {"stage": "stage9"})
