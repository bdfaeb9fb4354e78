import pytest
import torch

from hclnet.backbones import BACKBONES, build_backbone, choose_stride
from hclnet.config import RunConfig
from hclnet.localizer.localizer import Localizer
from hclnet.workflows.settings import make_config


@pytest.mark.parametrize(
    "name, stride", [("efficientnet_lite0", 16), ("efficientnet_lite2", 16), ("vgg16", 8), ("resnet50", 16)]
)
def test_each_backbone_has_its_own_output_stride(name, stride):
    assert choose_stride(name) == build_backbone(name, weights="none").output_stride == stride
    assert make_config("x", "cam", backbone=name).output_stride == stride


@pytest.mark.parametrize("name", BACKBONES)
def test_the_strides_it_lists_are_those_it_has(name):
    for stride in BACKBONES[name].output_strides:
        assert build_backbone(name, stride, weights="none").output_stride == stride


def test_naming_the_own_stride_is_the_same_training():
    named, unnamed = (
        make_config("x", "cam", backbone="vgg16", output_stride=8),
        make_config("x", "cam", backbone="vgg16"),
    )
    assert named.training_key() == unnamed.training_key()
    assert named.training_key() != make_config("x", "cam", backbone="vgg16", output_stride=16).training_key()


def test_what_does_not_exist_is_named_before_anything_runs():
    with pytest.raises(ValueError, match=r"no backbone 'vgg17'; there are efficientnet_lite0, .*, vgg16, resnet50"):
        make_config("x", "cam", backbone="vgg17")
    with pytest.raises(ValueError, match="vgg16 can't have output stride 32"):
        make_config("x", "cam", backbone="vgg16", output_stride=32)
    with pytest.raises(ValueError, match="efficientnet_lite0 can't have output stride 12; it can have 8, 16, 32"):
        make_config("x", "cam", output_stride=12)
    with pytest.raises(ValueError, match="output_stride"):
        make_config("x", "cam", output_stride=0)


@pytest.mark.precision
@pytest.mark.parametrize("name, stride", [("vgg16", 16), ("resnet50", None)])
def test_a_localizer_keeps_its_stride(tmp_path, name, stride):
    config = RunConfig(
        data="x", method="cam", backbone=name, output_stride=stride, weights="none", size=64, device="cpu"
    )
    localizer = Localizer.from_config(config, ("a", "b"))
    localizer.save(tmp_path)
    again = Localizer.load(tmp_path, "cpu")
    assert again.backbone.output_stride == localizer.backbone.output_stride == choose_stride(name, stride)
    images = torch.randint(
        0, 256, (1, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    ).numpy()
    features = localizer.network.features(images)
    assert features["stage5"].shape[2] == 64 // localizer.backbone.output_stride
    with torch.inference_mode():
        assert torch.equal(localizer.method(features).logits, again.method(again.network.features(images)).logits)
