import pytest
import torch
import torchvision

from hclnet.backbones import build_trunk


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    model = torchvision.models.resnet50(weights=None).eval()
    return model.requires_grad_(False)


def trunk_with(model, output_stride):
    trunk = build_trunk("resnet50", output_stride, weights="none")
    state = model.state_dict()
    trunk.load_state_dict({own: state[name] for name, own in trunk.names.items()})
    return trunk


@torch.inference_mode()
def test_at_stride_32_the_stages_are_torchvisions(theirs):
    images = torch.randn(1, 3, 64, 64)
    found = trunk_with(theirs, 32)(images, [f"stage{k}" for k in range(1, 6)])
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
    dense = trunk_with(theirs, output_stride)(images, ["stage5"])["stage5"]
    sparse = trunk_with(theirs, 32)(images, ["stage5"])["stage5"]
    assert dense.shape == (1, 2048, 96 // output_stride, 96 // output_stride)
    torch.testing.assert_close(dense[..., ::step, ::step], sparse, rtol=1e-4, atol=1e-4 * float(sparse.max()))


@pytest.mark.parametrize(
    "output_stride, strides", [(8, (2, 4, 8, 8, 8)), (16, (2, 4, 8, 16, 16)), (32, (2, 4, 8, 16, 32))]
)
@torch.inference_mode()
def test_the_stages_say_their_channels_and_strides(output_stride, strides):
    trunk = build_trunk("resnet50", output_stride, weights="none")
    features = trunk(torch.zeros(1, 3, 64, 64), list(trunk.info))
    assert tuple(info.stride for info in trunk.info.values()) == strides
    for name, info in trunk.info.items():
        assert features[name].shape == (1, info.channels, 64 // info.stride, 64 // info.stride)
