import pytest
import torch
from torch import nn

from hclnet.backbones import BACKBONES, build_trunk


def with_statistics(trunk, seed=0):
    """Batch norms as after training: all of their numbers away from 0 and 1, so that folding has to use each."""
    generator = torch.Generator().manual_seed(seed)
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight.data, 0.5, 1.0),
                (module.bias.data, -0.3, 0.3),
                (module.running_mean, -0.3, 0.3),
                (module.running_var, 0.8, 2.0),
            ):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)
    return trunk


@pytest.mark.parametrize("name", BACKBONES)
@torch.inference_mode()
def test_folding_batch_norms_changes_speed_and_nothing_else(name):
    trunk = with_statistics(build_trunk(name, weights="none"))
    images = torch.randn(1, 3, 64, 64)
    before = trunk(images, list(trunk.stages))
    folded = trunk.folded()
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    after = folded(images, list(trunk.stages))
    for stage, value in before.items():
        assert value.std() > 0
        torch.testing.assert_close(after[stage], value, rtol=1e-3, atol=1e-4 * float(value.abs().max()))
    for stage, value in trunk(images, list(trunk.stages)).items():  # the trunk itself is as it was
        assert torch.equal(value, before[stage])


@pytest.mark.parametrize("name", BACKBONES)
@torch.inference_mode()
def test_a_change_is_seen_by_the_stage_and_all_after_it(name):
    trunk = build_trunk(name, weights="none")
    images, seen = torch.randn(1, 3, 64, 64), []

    def halve_stage3(stage, features):
        seen.append(stage)
        return features * 0.5 if stage == "stage3" else features

    plain = trunk(images, ["stage2", "stage3", "stage4"])
    changed = trunk(images, ["stage2", "stage3", "stage4"], halve_stage3)
    assert seen == ["stage1", "stage2", "stage3", "stage4"]  # what comes after is not run
    assert torch.equal(changed["stage2"], plain["stage2"])
    assert torch.equal(changed["stage3"], plain["stage3"] * 0.5)
    assert torch.equal(changed["stage4"], trunk.stages["stage4"](plain["stage3"] * 0.5))


@pytest.mark.parametrize("name", BACKBONES)
def test_every_tensor_of_the_trunk_has_a_name_outside(name):
    trunk = build_trunk(name, weights="none")
    assert set(trunk.names.values()) == set(trunk.state_dict())


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("name", BACKBONES)
@torch.inference_mode()
def test_the_last_stage_can_have_the_channels_of_those_before_it_too(name, count):
    trunk = with_statistics(build_trunk(name, weights="none"))
    images, stages = torch.randn(1, 3, 64, 64), list(trunk.stages)
    apart, own = trunk(images, stages), dict(trunk.info)
    together = trunk.join(count)(images, [trunk.last, stages[-1]])
    taken = [stage for stage in stages if stage in own][: list(own).index(trunk.last) + 1][-count:]
    parts = together[trunk.last].split([own[stage].channels for stage in taken], 1)
    assert trunk.info[trunk.last].channels == sum(own[stage].channels for stage in taken)
    for stage, part in zip(taken, parts, strict=True):
        side = part.shape[2]
        each = apart[stage].shape[2] // side  # cells of a finer grid that are averaged
        expected = apart[stage].unfold(2, each, each).unfold(3, each, each).mean((4, 5))
        torch.testing.assert_close(part, expected, rtol=1e-5, atol=1e-6)
    if stages[-1] != trunk.last:  # what comes after it sees what it always saw
        assert torch.equal(together[stages[-1]], apart[stages[-1]])
    folded = trunk.folded()(images, [trunk.last])[trunk.last]
    for stage, part, other in zip(taken, parts, folded.split([own[stage].channels for stage in taken], 1), strict=True):
        assert part.std() > 0, stage
        torch.testing.assert_close(other, part, rtol=1e-3, atol=1e-4 * float(part.abs().max()))


def test_more_stages_than_there_are_can_not_be_joined():
    with pytest.raises(ValueError, match="efficientnet_lite0 has 5 stages; 6 of them can't be joined"):
        build_trunk("efficientnet_lite0", weights="none", stages=6)
