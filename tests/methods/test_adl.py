import numpy as np
import pytest
import torch

from hclnet.backbones import BACKBONES, build_backbone
from hclnet.methods import build_method
from hclnet.methods.adl import attend, drop_mask
from reference import rivals


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("dropping", [True, False])
@pytest.mark.parametrize("shift", [0.0, 1.0, -4.0])
def test_the_block_is_the_literal_one(gamma, dropping, shift):
    features = torch.randn(3, 5, 4, 6, dtype=torch.float64) + shift
    expected = rivals.attended(features.numpy(), gamma, dropping)
    np.testing.assert_allclose(attend(features, gamma, dropping), expected, atol=1e-12)


def test_the_place_of_most_attention_is_dropped_and_others_are_kept():
    attention = torch.tensor([[0.1, 0.79], [0.81, 1.0]]).view(1, 1, 2, 2)
    assert drop_mask(attention, 0.8).flatten().tolist() == [1, 1, 0, 0]
    assert drop_mask(-attention, 0.8).flatten().tolist() == [1, 1, 1, 1]  # see the docstring: no place is above 0.8 max


def test_importance_learns_and_the_drop_mask_does_not():
    features = torch.rand(1, 2, 3, 3, dtype=torch.float64).requires_grad_()
    torch.autograd.gradcheck(lambda x: attend(x, 0.8, dropping=False), features)
    (gradient,) = torch.autograd.grad(attend(features, 0.8, dropping=True).sum(), features)
    mask = drop_mask(features.detach().mean(1, keepdim=True), 0.8)
    assert torch.equal(gradient, mask.expand_as(features))


def test_bfloat16_stays_and_is_compared_in_float32():
    features = torch.rand(2, 64, 5, 5).bfloat16()
    for dropping in (True, False):
        found = attend(features, 0.8, dropping)
        assert found.dtype == torch.bfloat16
        torch.testing.assert_close(found.float(), attend(features.float(), 0.8, dropping), rtol=1e-2, atol=0)


def test_one_coin_a_block_and_batch():
    method = build_method("adl", build_backbone("efficientnet_lite0", weights="none"), 3)
    features = torch.rand(4, 40, 5, 5)
    dropped, weighted = attend(features, 0.8, True), attend(features, 0.8, False)
    random, coins, drops = np.random.default_rng(0), np.random.default_rng(0), []
    for _ in range(600):
        found = method.feature_hook("stage3", features, random)
        assert torch.equal(found, dropped) or torch.equal(found, weighted)  # the whole batch alike
        drops.append(torch.equal(found, dropped))
        assert drops[-1] == (coins.random() < 0.75)
    assert abs(np.mean(drops) - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 600)


@pytest.mark.parametrize("name", BACKBONES)
@torch.inference_mode()
def test_the_blocks_are_after_the_stages_of_the_paper(name):
    backbone = build_backbone(name, weights="none")
    method = build_method("adl", backbone, 3, {"drop": 0.0, "width": 4})
    images, seen = torch.randn(2, 3, 64, 64), []

    def change(stage, features):
        changed = method.feature_hook(stage, features, np.random.default_rng(0))
        seen.append((stage, changed is not features))
        return changed

    features = backbone(images, method.in_features, change)
    assert seen == [("stage1", False), ("stage2", False), ("stage3", True), ("stage4", True), ("stage5", True)]
    x = backbone.stages["stage2"](backbone.stages["stage1"](images))
    for stage in ("stage3", "stage4", "stage5"):
        x = torch.from_numpy(rivals.attended(backbone.stages[stage](x).numpy(), 0.8, False)).float()
    torch.testing.assert_close(features["stage5"], x, rtol=1e-3, atol=1e-4 * float(x.abs().max()))


def test_a_block_follows_the_stage_that_is_classified():
    backbone = build_backbone("efficientnet_lite0", weights="none")
    method = build_method("adl", backbone, 3, {"stage": "head", "width": 4, "convs": 0})
    features = torch.rand(1, 1280, 2, 2)
    random = np.random.default_rng(0)
    assert method.feature_hook("head", features, random) is not features
    assert method.feature_hook("stage5", features, random) is features
