from collections import Counter

import numpy as np
import pytest
import torch

from hclnet.backbones import build_backbone
from hclnet.methods import build_method
from hclnet.methods.has import HaSOptions, hidden
from reference import rivals


@pytest.fixture(scope="module")
def backbone():
    return build_backbone("efficientnet_lite0", weights="none")


def test_it_is_the_literal_one(backbone):
    options = {"grids": [0, 3, 5, 16], "hide": 0.4}
    method = build_method("has", backbone, 3, options)
    images, targets = torch.randn(6, 3, 12, 17, dtype=torch.float64), torch.eye(3, dtype=torch.float64).repeat(2, 1)
    changed, same = method.augment_batch(images, targets, np.random.default_rng(7))
    random, expected = np.random.default_rng(7), []
    for image in images.numpy():
        side = int(random.choice(options["grids"]))
        patches = -(-12 // side) * -(-17 // side) if side else 0
        expected.append(rivals.hidden(image, side, random.random(patches), options["hide"]))
    np.testing.assert_array_equal(changed, expected)
    assert torch.equal(same, targets)
    assert 0 < float((changed == 0).double().mean()) < 1


def test_the_images_given_are_left_as_they_are(backbone):
    method = build_method("has", backbone, 3, {"hide": 1.0})
    images = torch.randn(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    before = images.clone()
    changed, _ = method.augment_batch(images, torch.eye(3)[:2], np.random.default_rng(1))
    assert torch.equal(images, before) and changed.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("side", [16, 44])
def test_whole_patches_are_hidden_each_by_its_own_coin(side, p):
    count = 400
    masks = hidden(count, 224, 224, HaSOptions(grids=[side], hide=p), np.random.default_rng(0))
    per_side = -(-224 // side)
    coins = masks[:, ::side, ::side]
    assert coins.shape == (count, per_side, per_side)
    assert (coins.repeat(side, 1).repeat(side, 2)[:, :224, :224] == masks).all()  # also the cut-off last ones
    n = coins.size
    assert abs(coins.mean() - p) <= 4 * np.sqrt(p * (1 - p) / n)
    if 0 < p < 1:  # neighbours don't agree more often than by chance
        agree = (coins[:, 1:] == coins[:, :-1]).mean()
        assert abs(agree - (p**2 + (1 - p) ** 2)) < 5 * np.sqrt(0.25 / coins[:, 1:].size)
        assert len({c.tobytes() for c in coins}) > 0.9 * count  # nor do images


def test_every_side_is_chosen_as_often_and_zero_hides_nothing():
    options = HaSOptions(hide=1.0)
    masks = hidden(2000, 224, 224, options.model_copy(update={"hide": 0.5}), np.random.default_rng(3))
    sides = Counter()
    for mask in masks:
        if not mask.any():
            sides[0] += 1  # with 0 nothing is ever hidden; else 16 coins or more would all have to fall so
        else:
            edges = np.flatnonzero((mask[:, 1:] != mask[:, :-1]).any(0)) + 1
            sides[next((s for s in (56, 44, 32, 16) if (edges % s == 0).all()), None)] += 1
    assert set(sides) == {0, 16, 32, 44, 56}
    for side in sides:
        assert abs(sides[side] / 2000 - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 2000)


@pytest.mark.parametrize("options", [{"grids": []}, {"grids": [-1]}, {"grids": [1.5]}, {"hide": 1.5}])
def test_impossible_options_are_named(backbone, options):
    with pytest.raises(ValueError, match=f"Options of has: {next(iter(options))}"):
        build_method("has", backbone, 3, options)
