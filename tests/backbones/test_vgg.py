import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.vgg import cfgs, make_layers

from hclnet.backbones import build_backbone
from hclnet.methods import build_method


@pytest.fixture(scope="module")
def torchvision_features():
    torch.manual_seed(0)
    return make_layers(cfgs["D"], batch_norm=False).eval()


def backbone_with(features, output_stride):
    backbone = build_backbone("vgg16", output_stride, weights="none")
    theirs = {f"features.{key}": value for key, value in features.state_dict().items()}
    backbone.load_state_dict({own: theirs[name] for name, own in backbone.names.items()})
    return backbone


@pytest.mark.parametrize("output_stride, side", [(16, 6), (8, 12)])
@torch.inference_mode()
def test_the_stages_are_torchvisions_blocks_with_their_pools(torchvision_features, output_stride, side):
    images = torch.randn(2, 3, 96, 96)
    found = backbone_with(torchvision_features, output_stride)(images, [f"stage{k}" for k in range(1, 6)])
    x, blocks = images, {}
    for k, layer in enumerate(torchvision_features):
        if k == 23 and output_stride == 8:
            x = F.max_pool2d(x, 3, stride=1, padding=1)  # reading 5
        elif k < 30:  # pool5, the last layer, is left out
            x = layer(x)
        if k in (4, 9, 16, 23, 29):
            blocks[f"stage{len(blocks) + 1}"] = x.clone()
    assert found["stage5"].shape == (2, 512, side, side)
    for name, expected in blocks.items():
        assert torch.equal(found[name], expected)


@pytest.mark.parametrize("output_stride, side", [(None, 28), (8, 28), (16, 14)])
@torch.inference_mode()
def test_the_map_sizes_of_the_paper(output_stride, side):
    backbone = build_backbone("vgg16", output_stride, weights="none")
    features = backbone(torch.zeros(1, 3, 224, 224), list(backbone.info))
    for name, info in backbone.info.items():
        assert features[name].shape == (1, info.channels, 224 // info.stride, 224 // info.stride)
    assert features["stage5"].shape == (1, 512, side, side)
    assert backbone.output_stride == 224 // side


def test_it_is_the_papers_backbone():
    backbone = build_backbone("vgg16", weights="none")
    assert not any(isinstance(m, nn.BatchNorm2d) for m in backbone.modules())
    convolutions = [m for m in backbone.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    branch = build_method("hclnet", backbone, 7).branches[1]
    assert [tuple(p.shape) for p in branch.parameters() if p.dim() == 4] == [
        (1024, 512, 3, 3), (1024, 1024, 3, 3), (7, 1024, 1, 1),
    ]  # fmt: skip


def test_other_output_strides_are_refused():
    with pytest.raises(ValueError, match=r"vgg16 can't have output stride 32; it can have 8, 16\."):
        build_backbone("vgg16", 32, weights="none")
