import pytest
import torch
from torch import nn

from hclnet.backbones import BACKBONES, build_backbone


def with_statistics(backbone, seed=0):
    """Batch norms as after training: all of their numbers away from 0 and 1, so that folding has to use each."""
    generator = torch.Generator().manual_seed(seed)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight.data, 0.5, 1.0),
                (module.bias.data, -0.3, 0.3),
                (module.running_mean, -0.3, 0.3),
                (module.running_var, 0.8, 2.0),
            ):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)
    return backbone


@pytest.mark.parametrize("name", BACKBONES)
@torch.inference_mode()
def test_folding_batch_norms_changes_speed_and_nothing_else(name):
    backbone = with_statistics(build_backbone(name, weights="none"))
    images = torch.randn(1, 3, 64, 64)
    before = backbone(images, list(backbone.stages))
    folded = backbone.folded()
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    after = folded(images, list(backbone.stages))
    for stage, value in before.items():
        assert value.std() > 0
        torch.testing.assert_close(after[stage], value, rtol=1e-3, atol=1e-4 * float(value.abs().max()))
    for stage, value in backbone(images, list(backbone.stages)).items():  # the backbone itself is as it was
        assert torch.equal(value, before[stage])


@pytest.mark.parametrize("name", BACKBONES)
@torch.inference_mode()
def test_a_change_is_seen_by_the_stage_and_all_after_it(name):
    backbone = build_backbone(name, weights="none")
    images, seen = torch.randn(1, 3, 64, 64), []

    def halve_stage3(stage, features):
        seen.append(stage)
        return features * 0.5 if stage == "stage3" else features

    plain = backbone(images, ["stage2", "stage3", "stage4"])
    changed = backbone(images, ["stage2", "stage3", "stage4"], halve_stage3)
    assert seen == ["stage1", "stage2", "stage3", "stage4"]  # what comes after is not run
    assert torch.equal(changed["stage2"], plain["stage2"])
    assert torch.equal(changed["stage3"], plain["stage3"] * 0.5)
    assert torch.equal(changed["stage4"], backbone.stages["stage4"](plain["stage3"] * 0.5))


@pytest.mark.parametrize("name", BACKBONES)
def test_every_tensor_of_the_backbone_has_a_name_outside(name):
    backbone = build_backbone(name, weights="none")
    assert set(backbone.names.values()) == set(backbone.state_dict())


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("name", BACKBONES)
@torch.inference_mode()
def test_the_last_stage_can_have_the_channels_of_those_before_it_too(name, count):
    backbone = with_statistics(build_backbone(name, weights="none"))
    images, stages = torch.randn(1, 3, 64, 64), list(backbone.stages)
    apart, own = backbone(images, stages), dict(backbone.info)
    together = backbone.combine_levels(count)(images, [backbone.last, stages[-1]])
    taken = [stage for stage in stages if stage in own][: list(own).index(backbone.last) + 1][-count:]
    parts = together[backbone.last].split([own[stage].channels for stage in taken], 1)
    assert backbone.info[backbone.last].channels == sum(own[stage].channels for stage in taken)
    for stage, part in zip(taken, parts, strict=True):
        side = part.shape[2]
        each = apart[stage].shape[2] // side  # cells of a finer grid that are averaged
        expected = apart[stage].unfold(2, each, each).unfold(3, each, each).mean((4, 5))
        torch.testing.assert_close(part, expected, rtol=1e-5, atol=1e-6)
    if stages[-1] != backbone.last:  # what comes after it sees what it always saw
        assert torch.equal(together[stages[-1]], apart[stages[-1]])
    folded = backbone.folded()(images, [backbone.last])[backbone.last]
    for stage, part, other in zip(taken, parts, folded.split([own[stage].channels for stage in taken], 1), strict=True):
        assert part.std() > 0, stage
        torch.testing.assert_close(other, part, rtol=1e-3, atol=1e-4 * float(part.abs().max()))


def test_more_stages_than_there_are_can_not_be_joined():
    with pytest.raises(ValueError, match="efficientnet_lite0 has 5 stages; the features of 6 can't be combined"):
        build_backbone("efficientnet_lite0", weights="none", stages=6)
