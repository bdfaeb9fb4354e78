"""What every family of timm's models keeps to, on its smallest ones, with random weights.

The families are in `tests/families.py`. What all methods keep to on them is in `tests/methods/test_contract.py`.
"""

from copy import deepcopy

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from families import (
    FITTING,
    PLAIN,
    USUAL,
    built,
    every_family,
    every_family_at_length,
    fits,
    timms,
)
from hclnet.backbones import ATTENTION, CLASS_TOKEN, build_backbone, choose_stride
from hclnet.config import RunConfig
from hclnet.localizer.cache import cached_features
from hclnet.localizer.localizer import Localizer
from hclnet.methods import get_method, method_names
from hclnet.types import Sample
from hclnet.workflows.settings import make_config

USUAL_METHODS = {"hclnet", "trilite"}


@every_family
@torch.inference_mode()
def test_the_stages_say_their_channels_and_strides(family):
    backbone = built(family)
    steps = max(info.stride for info in backbone.info.values())
    for height, width in ((2 * steps, 3 * steps), (3 * steps, 2 * steps)):
        features = backbone(torch.zeros(2, 3, height, width), [*backbone.info, *backbone.extras])
        assert list(backbone.info) == [name for name in features if name in backbone.info]
        for name, info in backbone.info.items():
            assert features[name].shape == (2, info.channels, height // info.stride, width // info.stride), name
    strides = [info.stride for info in backbone.info.values()]
    assert strides == sorted(strides) and (len(set(strides)) == 1) == (family in PLAIN)
    if family in PLAIN:
        channels, stride = backbone.info[backbone.last].channels, backbone.output_stride
        assert features[CLASS_TOKEN].shape == (2, channels, 1, 1)
        attention = features[ATTENTION]
        assert attention.shape == (2, backbone.extras[ATTENTION].channels, height // stride, width // stride)
        # What is left of the attention is that to the prefix tokens.
        assert (attention > 0).all() and (attention.sum((2, 3)) < 1).all() and (attention.sum((2, 3)) > 0.5).all()
    else:
        assert not backbone.extras


@every_family
@torch.inference_mode()
def test_images_of_any_size_are_seen_whole(family):
    """A side that patches do not tile is brought to the nearest one that they do; others are rounded up or down."""
    backbone = built(family)
    (features,) = backbone(torch.zeros(1, 3, 97, 75), [backbone.last]).values()
    for side, there in zip((97, 75), features.shape[2:]):
        assert abs(there - side / backbone.output_stride) < 1


@every_family
@torch.inference_mode()
def test_a_patch_that_changes_changes_the_map_most_at_its_place(family):
    backbone, g = built(family), torch.Generator().manual_seed(1)
    largest = max(info.stride for info in backbone.info.values())
    side = -(-192 // largest) * largest
    image = torch.randn(1, 3, side, side, generator=g)
    before = backbone(image, list(backbone.info))
    for stage, info in backbone.info.items():
        cells, off = side // info.stride, []
        for row, column in ((cells // 4, cells // 2), (cells // 2, 3 * cells // 4), (3 * cells // 4, cells // 4)):
            changed, s = image.clone(), info.stride
            changed[:, :, row * s : (row + 1) * s, column * s : (column + 1) * s] = torch.randn(1, 3, s, s, generator=g)
            change = (backbone(changed, [stage])[stage] - before[stage]).abs().sum(1)[0]
            top, left = divmod(int(change.argmax()), change.shape[1])
            off.append(max(abs(top - row), abs(left - column)))
        # A convolution with random weights need not have its largest one in the middle.
        assert np.mean(off) <= (0 if family in {*PLAIN, "swin"} else 1.4), (stage, off)


@every_family
@torch.inference_mode()
def test_no_later_stage_is_run_than_is_wanted(family):
    backbone, seen = built(family), []
    names = list(backbone.info)
    stages = backbone.stages
    later = stages.model.get_submodule(stages.found.modules[names[-1]])
    handle = later.register_forward_hook(lambda *_: seen.append(1))
    try:
        early = backbone(torch.zeros(1, 3, 64, 64), [names[0]])
        assert list(early) == [names[0]] and not seen
        backbone(torch.zeros(1, 3, 64, 64), [names[-1]])
        assert seen
    finally:
        handle.remove()


@every_family
@torch.inference_mode()
def test_a_change_is_seen_by_the_stage_and_all_after_it(family):
    backbone, seen = built(family), []
    if family in PLAIN:
        assert not backbone.changeable
        return
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    stages = list(backbone.info)

    def halve(stage, features):
        seen.append((stage, tuple(features.shape)))
        return features * 0.5 if stage == "stage3" else features

    plain, changed = backbone(images, stages), backbone(images, stages, halve)
    assert seen == [(stage, tuple(value.shape)) for stage, value in plain.items()]
    for stage in stages:
        before = stages.index(stage) < stages.index("stage3")
        assert torch.equal(changed[stage], plain[stage]) == before, stage
    torch.testing.assert_close(changed["stage3"], plain["stage3"] * 0.5)
    again = backbone(images, stages)
    assert all(torch.equal(again[stage], plain[stage]) for stage in stages)


@every_family
@torch.inference_mode()
def test_the_features_of_several_stages_side_by_side(family):
    torch.manual_seed(0)
    apart, own = built(family), dict(built(family).info)
    together = build_backbone(timms(family), weights="none", stages=2)
    together.load_state_dict(apart.state_dict())
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    early, late = list(own)[-2:]
    of = apart(image, [early, late])
    found = together(image, [late])[late]
    assert found.shape[1] == together.info[late].channels == own[early].channels + own[late].channels
    assert torch.equal(found[:, own[early].channels :], of[late])
    pooled = F.adaptive_avg_pool2d(of[early], of[late].shape[2:])
    torch.testing.assert_close(found[:, : own[early].channels], pooled)


@every_family
@torch.inference_mode()
def test_folded_it_computes_the_same(family):
    backbone = built(family)
    g = torch.Generator().manual_seed(0)
    for module in backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1, generator=g)
            module.running_var.uniform_(0.8, 1.2, generator=g)
    image, names = torch.randn(1, 3, 96, 96, generator=g), [*backbone.info, *backbone.extras]
    folded = backbone.folded()
    count = [sum(isinstance(m, torch.nn.BatchNorm2d) for m in of.modules()) for of in (backbone, folded)]
    assert count[1] == (62 if family == "densenet" else 0)  # a DenseNet normalizes before it convolves
    for name, value in backbone(image, names).items():
        torch.testing.assert_close(folded(image, names)[name], value, rtol=1e-3, atol=1e-4 * float(value.abs().max()))


def configured(family, method, **more):
    narrow = {"width": 8} if "width" in get_method(method).Options.model_fields else {}
    tune = "all" if get_method(method).augments_batches else "heads"
    settings = {"backbone": timms(family), "weights": "none", "size": 64, "tune": tune, "device": "cpu"}
    return make_config("x", method, **{**settings, **narrow, **more})


@every_family_at_length
def test_a_method_is_refused_if_it_does_not_fit(family):
    for method in method_names():
        if fits(family, method):
            configured(family, method)
        else:
            with pytest.raises(ValueError, match=f"^{method} .*{timms(family)}.*[Tt]ake another method"):
                configured(family, method)


@pytest.mark.precision
@pytest.mark.parametrize(
    "family, method",
    [
        pytest.param(family, method, marks=[pytest.mark.slow] * (family not in USUAL or method not in USUAL_METHODS))
        for family, method in FITTING
    ],
)
def test_a_localizer_of_any_method_is_saved_loaded_and_locates(family, method, tmp_path):
    """Of several levels, and of several scales: one side is a multiple of the patch, the other one is not."""
    size = 70 if built(family).output_stride == 14 else 75
    config = configured(family, method, box="fixed:0.2", size=size, scales=[1, 1.3], flip=True, stages=2)
    ours = Localizer.from_config(config, ("a", "b"))
    ours.save(tmp_path)
    theirs = Localizer.load(tmp_path, "cpu")
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    one, other = (localizer.locate(image) for localizer in (ours, theirs))
    assert one.box == other.box and one.label == other.label
    assert np.array_equal(one.heatmap, other.heatmap) and np.isfinite(one.heatmap).all()
    assert theirs.backbone.name == timms(family) and theirs.fingerprint() == ours.fingerprint()
    assert {view.size for view in theirs.views} == {size, 96} and len(theirs.backbone.levels) == 2


@every_family_at_length
def test_the_cache_has_its_features(family, tmp_path, monkeypatch):
    monkeypatch.setenv("HCLNET_CACHE", str(tmp_path / "cache"))
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    backbone, device = deepcopy(built(family)).combine_levels(2), torch.device("cpu")
    wanted = [*backbone.info, *backbone.extras]
    sample = [Sample("a", tmp_path / "a.png", 0, "train")]
    store = cached_features(backbone, wanted, sample, 75, torch.float32, device, mirror=True)
    kept = store.batch(np.array([0]), np.array([True]))
    config = RunConfig(data="x", method="cam", backbone=backbone.name, weights="none", size=75, stages=2, device="cpu")
    localizer = Localizer.from_config(config, ("a", "b"))
    localizer.backbone.load_state_dict(backbone.state_dict())
    with Image.open(tmp_path / "a.png") as picture:
        square = np.asarray(picture.convert("RGB").resize((75, 75), Image.Resampling.BILINEAR))[None]
    with torch.inference_mode():
        expected = localizer.network.features(square, True, wanted)
    assert kept.keys() == expected.keys()
    for stage, value in kept.items():
        assert value.shape == expected[stage].shape
        # Pillow's filter is not quite ours.
        assert F.cosine_similarity(value.flatten(1), expected[stage].flatten(1)) > 0.98, stage


def test_a_named_output_stride_is_what_the_family_has():
    assert choose_stride("timm:test_resnet") == 16 and choose_stride("timm:test_resnet", 8) == 8
    assert choose_stride("timm:eva02_tiny_patch14_224") == 14
    for stride in (8, 16, 32):
        backbone = build_backbone("timm:test_resnet", stride, weights="none")
        assert backbone.output_stride == stride
        assert backbone(torch.zeros(1, 3, 64, 64), ["stage5"])["stage5"].shape[2] == 64 // stride
    with pytest.raises(ValueError, match="timm:test_vit can't have output stride 8; it can have 16"):
        make_config("x", "cam", backbone="timm:test_vit", output_stride=8)


@pytest.mark.slow
def test_a_family_that_is_not_dilated_keeps_its_stride():
    assert choose_stride("timm:swin_tiny_patch4_window7_224") == 32


@pytest.mark.slow
def test_a_model_of_a_billion_weights_is_looked_at_without_memory_for_them():
    assert choose_stride("timm:eva_giant_patch14_224") == 14


def test_position_embeddings_are_interpolated_where_they_lie():
    """With nothing but position embeddings, a vertical ramp in them is a vertical ramp in the features at any size."""
    backbone = built("vit")
    model = backbone.stages.model
    state = {key: value.clone() for key, value in model.state_dict().items()}
    try:
        with torch.no_grad():
            for block in model.blocks:
                block.attn.proj.weight.zero_(), block.mlp.fc2.weight.zero_()
            model.patch_embed.proj.weight.zero_()
            rows = torch.linspace(0, 1, 10).repeat_interleave(10)
            model.pos_embed.zero_()[0, -100:, 0] = rows
            for side in (96, 160, 320):
                raw = model.forward_intermediates(torch.zeros(1, 3, side, side), indices=[0], intermediates_only=True)
                ramp = raw[0][0, 0]
                assert ramp.shape == (side // 16, side // 16)
                assert (ramp.diff(dim=0) >= -1e-3).all() and torch.allclose(
                    ramp, ramp[:, :1].expand_as(ramp), atol=1e-4
                )
                assert ramp[-1, 0] - ramp[0, 0] > 0.7
    finally:
        model.load_state_dict(state)


@pytest.mark.parametrize(
    "name, message",
    [
        ("no_such_model", "timm has no model 'no_such_model'"),
        ("test_vitt", "Do you mean timm:test_vit"),
        ("vit_small_patch14_dinov2.nonsense", r"no weights 'nonsense' of vit_small_patch14_dinov2; there are lvd142m"),
        ("vit_base_patch16_224.in1k/..", "timm has no weights"),
        ("", "timm has no model ''"),
        ("test_vit.", "no weights '' of test_vit; there are r160_in1k"),
        ("inception_v3", r"timm:inception_v3 can't be a backbone: its features do not lie where its strides say\."),
    ],
)
def test_a_name_that_timm_does_not_have(name, message):
    with pytest.raises(ValueError, match=message):
        make_config("x", "cam", backbone=f"timm:{name}")


def test_a_mixer_sees_images_of_one_size():
    name = "timm:gmlp_ti16_224"
    with pytest.raises(ValueError, match=rf"{name} takes images of 224 px only, not of 64: give --size 224"):
        make_config("x", "cam", backbone=name, size=64)
    with pytest.raises(ValueError, match="only, not of 320: give --size 224, and no other scales"):
        make_config("x", "cam", backbone=name, size=224, scales=[1, 1.5])
    config = make_config("x", "cam", backbone=name, size=224, weights="none", device="cpu", box="fixed:0.2")
    localizer = Localizer.from_config(config, ("a", "b"))
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    assert localizer.locate(image).heatmap.shape == (224, 224)
    with pytest.raises(ValueError, match="only, not of 448"):
        localizer.with_inference(scales=(2.0,)).locate(image)


def test_a_name_of_timms_without_its_prefix_is_recognized():
    with pytest.raises(ValueError, match=r"no backbone 'convnext_tiny'; .*Do you mean timm:convnext_tiny\?"):
        make_config("x", "cam", backbone="convnext_tiny")


def test_the_mean_and_the_deviation_are_the_models_own():
    inception, imagenet = built("vit"), built("deit")
    assert inception.mean == (0.5, 0.5, 0.5) and imagenet.mean == (0.485, 0.456, 0.406)
    assert imagenet.std == (0.229, 0.224, 0.225)


def test_tokens_are_normalized_as_their_head_would():
    """Where a model averages before it normalizes, the norm of its head is applied to each token."""
    backbone = build_backbone("timm:test_vit3", weights="none")
    with torch.inference_mode():
        (features,) = backbone(torch.randn(1, 3, 64, 64), [backbone.last]).values()
    assert abs(float(features.mean(1).abs().max())) < 1e-4
    torch.testing.assert_close(features.std(1, correction=0), torch.ones_like(features[:, 0]), atol=1e-2, rtol=0)
