import pytest
import torch
import torchvision

from hclnet.backbones import build_backbone


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    model = torchvision.models.resnet50(weights=None).eval()
    return model.requires_grad_(False)


def backbone_with(model, output_stride):
    backbone = build_backbone("resnet50", output_stride, weights="none")
    state = model.state_dict()
    backbone.load_state_dict({own: state[name] for name, own in backbone.names.items()})
    return backbone


@torch.inference_mode()
def test_at_stride_32_the_stages_are_torchvisions(theirs):
    images = torch.randn(1, 3, 64, 64)
    found = backbone_with(theirs, 32)(images, [f"stage{k}" for k in range(1, 6)])
    x = theirs.relu(theirs.bn1(theirs.conv1(images)))
    expected = [x.clone()]
    x = theirs.maxpool(x)
    for group in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
        x = group(x)
        expected.append(x.clone())
    for k, value in enumerate(expected, 1):
        assert torch.equal(found[f"stage{k}"], value)


@pytest.mark.parametrize("output_stride", [8, 16])
@torch.inference_mode()
def test_a_smaller_stride_adds_positions_and_changes_none(theirs, output_stride):
    images = torch.randn(1, 3, 96, 96)
    step = 32 // output_stride
    dense = backbone_with(theirs, output_stride)(images, ["stage5"])["stage5"]
    sparse = backbone_with(theirs, 32)(images, ["stage5"])["stage5"]
    assert dense.shape == (1, 2048, 96 // output_stride, 96 // output_stride)
    torch.testing.assert_close(dense[..., ::step, ::step], sparse, rtol=1e-4, atol=1e-4 * float(sparse.max()))


@pytest.mark.parametrize(
    "output_stride, strides", [(8, (2, 4, 8, 8, 8)), (16, (2, 4, 8, 16, 16)), (32, (2, 4, 8, 16, 32))]
)
@torch.inference_mode()
def test_the_stages_say_their_channels_and_strides(output_stride, strides):
    backbone = build_backbone("resnet50", output_stride, weights="none")
    features = backbone(torch.zeros(1, 3, 64, 64), list(backbone.info))
    assert tuple(info.stride for info in backbone.info.values()) == strides
    for name, info in backbone.info.items():
        assert features[name].shape == (1, info.channels, 64 // info.stride, 64 // info.stride)
