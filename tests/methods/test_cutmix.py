import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hclnet.backbones import build_backbone
from hclnet.methods import build_method
from hclnet.methods.cutmix import cut
from reference import rivals


@pytest.fixture(scope="module")
def backbone():
    return build_backbone("efficientnet_lite0", weights="none")


@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_literal_one(backbone, seed):
    method = build_method("cutmix", backbone, 4)
    images, targets = torch.randn(4, 3, 9, 14, dtype=torch.float64), torch.eye(4, dtype=torch.float64)
    before = images.clone()
    mixed, probabilities = method.augment_batch(images, targets, np.random.default_rng(seed))
    random = np.random.default_rng(seed)
    random.random()  # whether to mix
    share, partners = random.beta(1, 1), random.permutation(4)
    center = (int(random.integers(14)), int(random.integers(9)))
    expected = rivals.pasted(images.numpy(), targets.numpy(), partners, share, center)
    np.testing.assert_array_equal(mixed, expected[0])
    np.testing.assert_allclose(probabilities, expected[1], atol=1e-12)
    assert torch.equal(images, before)


def test_targets_say_how_much_of_each_image_is_seen(backbone):
    """Images of one gray each: pixels can be counted, whatever was drawn."""
    method = build_method("cutmix", backbone, 5)
    images = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 3, 40, 56)
    shares = []
    for seed in range(200):
        mixed, targets = method.augment_batch(images, torch.eye(5), np.random.default_rng(seed))
        counted = torch.stack([(mixed[:, 0] == k).float().mean((1, 2)) for k in range(5)], 1)
        torch.testing.assert_close(targets, counted, atol=1e-6, rtol=0)
        moved = [float(1 - targets[k, k]) for k in range(5) if targets[k, k] < 1]
        assert max(moved, default=0) - min(moved, default=0) < 1e-6  # the box is the same in the whole batch
        shares.append(max(moved, default=0.0))
    # Much and little are both seen, and less than half on average: the image cuts some of the box off.
    assert min(shares) < 0.05 and max(shares) > 0.6
    assert 0.15 < np.mean(shares) < 0.45


def test_the_box_has_the_share_where_the_image_does_not_cut_it():
    inside = []
    random = np.random.default_rng(0)
    for share in np.linspace(0, 1, 101):
        for _ in range(20):
            x0, y0, x1, y1 = cut(224, 112, float(share), random)
            assert 0 <= x0 <= x1 <= 112 and 0 <= y0 <= y1 <= 224
            area = (x1 - x0) * (y1 - y0) / (224 * 112)
            assert area <= 1 - share + 1e-9
            if min(x0, y0) > 0 and x1 < 112 and y1 < 224:
                inside.append(abs(area - (1 - share)))
    assert len(inside) > 300 and max(inside) < 0.03  # sides are whole and even


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_a_batch_is_mixed_as_often_as_it_is_told(backbone, probability):
    method = build_method("cutmix", backbone, 3, {"probability": probability, "beta": 50})  # lambda near a half
    images, targets, random = (
        torch.arange(3.0).view(3, 1, 1, 1).expand(3, 3, 16, 16),
        torch.eye(3),
        np.random.default_rng(0),
    )
    called = [method.augment_batch(images, targets, random)[0] is not images for _ in range(500)]
    assert abs(np.mean(called) - probability) <= 4 * np.sqrt(probability * (1 - probability) / 500)


@pytest.mark.parametrize("beta, spread", [(0.2, 0.42), (1.0, 0.289), (20.0, 0.078)])
def test_lambda_is_drawn_from_the_beta_distribution(backbone, beta, spread, monkeypatch):
    seen = []
    monkeypatch.setattr("hclnet.methods.cutmix.cut", lambda h, w, share, random: seen.append(share) or (0, 0, 1, 1))
    method, random = build_method("cutmix", backbone, 2, {"beta": beta}), np.random.default_rng(0)
    for _ in range(2000):
        method.augment_batch(torch.zeros(2, 3, 4, 4), torch.eye(2), random)
    assert abs(np.mean(seen) - 0.5) < 4 * spread / np.sqrt(2000)
    assert np.std(seen) == pytest.approx(spread, rel=0.1)


def test_the_loss_is_that_of_both_labels(backbone):
    method = build_method("cutmix", backbone, 4, {"width": 8})
    features = {"stage5": torch.randn(2, 320, 3, 3)}
    a, b = torch.tensor([0, 3]), torch.tensor([2, 1])
    output = method(features, a)
    for share in (0.0, 0.25, 1.0):
        targets = share * F.one_hot(a, 4) + (1 - share) * F.one_hot(b, 4)
        expected = share * F.cross_entropy(output.logits, a) + (1 - share) * F.cross_entropy(output.logits, b)
        terms = method.loss(output, targets)
        assert list(terms) == ["A"]
        torch.testing.assert_close(terms["A"], expected)
