import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from hclnet.backbones import build_backbone
from hclnet.backbones.same_padding import EvenlyPadded, pad_evenly


@pytest.mark.parametrize("sides", [(16, 16), (15, 16), (16, 13), (17, 11)])
@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 2), (3, 1), (4, 3), ((3, 5), (2, 1))])
@torch.inference_mode()
def test_it_computes_what_timms_own_does(sides, groups, kernel, stride):
    torch.manual_seed(0)
    same = Conv2dSame(8, 16, kernel, stride, groups=groups)
    x = torch.randn(2, 8, *sides).contiguous(memory_format=torch.channels_last)
    evenly = EvenlyPadded(same)
    torch.testing.assert_close(evenly(x), same(x), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(evenly(x), evenly(x), rtol=0, atol=0)


def test_it_takes_the_place_of_those_that_are_not_dilated():
    model = nn.Sequential(Conv2dSame(3, 4, 3, 2), nn.Sequential(Conv2dSame(4, 4, 3, dilation=2), nn.Conv2d(4, 4, 3)))
    names = list(model.state_dict())
    pad_evenly(model)
    assert [type(m).__name__ for m in (model[0], *model[1])] == ["EvenlyPadded", "Conv2dSame", "Conv2d"]
    assert list(model.state_dict()) == names


def test_a_graph_that_is_exported_has_timms_own():
    evenly = EvenlyPadded(Conv2dSame(3, 4, 3, 2))
    graph = torch.export.export(evenly, (torch.rand(1, 3, 8, 8),)).graph
    assert any("pad" in str(node.target) for node in graph.nodes)


def test_lite0_is_used_with_it():
    folded = build_backbone("efficientnet_lite0", weights="none").folded()
    assert sum(isinstance(module, EvenlyPadded) for module in folded.modules()) == 4
    assert not any(isinstance(module, Conv2dSame) for module in folded.modules())
