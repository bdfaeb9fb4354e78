import numpy as np
import pytest
import timm
import torch

from hclnet.backbones import build_backbone
from hclnet.backbones.packaged import packaged_weights
from hclnet.device import autocast
from hclnet.localizer.features import as_input
from hclnet.localizer.localizer import Localizer


@pytest.fixture(scope="module")
def photograph():
    """Large blots: something to see, other than noise."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (2, 7, 7, 3)).repeat(32, 1).repeat(32, 2).astype(np.uint8)


@pytest.fixture(scope="module")
def theirs():
    """timm's whole model with the packaged weights, by the order of its tensors."""
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    weights = torch.load(packaged_weights(), map_location="cpu", weights_only=True)
    model.load_state_dict(dict(zip(model.state_dict(), weights.values(), strict=True)))
    return model.eval()


def test_without_a_training_it_is_timms_imagenet_classifier(theirs, photograph):
    """At output stride 32 the backbone, the head and the classifier are timm's; a global mean commutes with the
    last."""
    backbone = build_backbone("efficientnet_lite0", 32)
    ours = Localizer.imagenet("cpu")
    x = as_input(photograph, backbone, torch.device("cpu"))
    with torch.inference_mode():
        expected = theirs(x)
        logits = ours.method(backbone(x, ours.method.in_features)).logits
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    assert expected.std() > 0.1  # not what a network with random weights says


def test_a_smaller_output_stride_is_the_dilated_network(theirs, photograph):
    """In float32 to the sixth digit. In bfloat16 it is off by the backbone's rounding, as timm's own network is."""
    dilated = timm.create_model("tf_efficientnet_lite0", pretrained=False, output_stride=16)
    dilated.load_state_dict(theirs.state_dict())
    dilated.eval()
    ours = Localizer.imagenet("cpu")
    x, off = as_input(photograph, ours.backbone, ours.device), {}
    with torch.inference_mode():
        expected = dilated(x)
        for dtype in (torch.float32, torch.bfloat16):
            ours.dtype = dtype
            features = ours.network.features(photograph)
            assert features["head"].shape[2:] == (14, 14) and features["head"].dtype == dtype
            off[dtype] = ours.network.output(features).logits - expected
        with autocast(ours.device, torch.bfloat16):
            rounding = dilated(x).float() - expected
    assert off[torch.float32].abs().max() < 1e-4
    # Measured: 0.043 in the root of the mean square where timm's is 0.038, with logits of a standard deviation of 0.87.
    assert 0 < off[torch.bfloat16].square().mean() < 1.5**2 * rounding.square().mean()


def test_imagenet_has_a_thousand_classes_of_a_thousand_names():
    names = Localizer.imagenet().classes
    assert len(names) == len(set(names)) == 1000
    assert names[0] == "tench" and names[16] == "bulbul" and names[999] == "toilet tissue"


ARCHITECTURES = [("efficientnet_lite0", s) for s in (8, 16, 32)] + [(f"efficientnet_lite{k}", 16) for k in (1, 2)]


@pytest.mark.parametrize("name, stride", ARCHITECTURES)
def test_the_stages_say_their_channels_and_strides(name, stride):
    backbone = build_backbone(name, stride, weights="none")
    assert backbone.info[backbone.last].stride == stride
    features = backbone(torch.zeros(1, 3, 64, 96), list(backbone.info))
    assert list(features) == list(backbone.info)
    for name, info in backbone.info.items():
        assert features[name].shape == (1, info.channels, 64 // info.stride, 96 // info.stride), name


def test_walking_stops_at_the_last_stage_that_is_wanted():
    backbone, walked = build_backbone("efficientnet_lite0", weights="none"), []

    def watch(name, x):
        walked.append(name)
        return x

    features = backbone(torch.zeros(1, 3, 32, 32), ["stage2", "stage3"], watch)
    assert list(features) == ["stage2", "stage3"] and walked == ["stage1", "stage2", "stage3"]


def test_a_folded_backbone_has_no_batch_norm_and_leaves_the_backbone_alone():
    backbone = build_backbone("efficientnet_lite0")
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    folded = backbone.folded()
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    assert not any(p.requires_grad for p in folded.parameters()) and all(p.requires_grad for p in backbone.parameters())
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours, expected = folded(x, list(backbone.info)), backbone(x, list(backbone.info))
    for name in expected:
        torch.testing.assert_close(ours[name], expected[name], atol=1e-4, rtol=1e-3)
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
