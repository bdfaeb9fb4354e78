import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hclnet.maps import fusion
from reference import network

MAPS = arrays(np.float64, (2, 4, 3), elements=st.floats(-100, 100, width=16))


def some(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@given(MAPS)
@settings(max_examples=50, deadline=None)
def test_minmax_is_the_literal_one(maps):
    ours = fusion.minmax(torch.from_numpy(maps))
    for mine, m in zip(ours.numpy(), maps):
        np.testing.assert_allclose(mine, network.minmax(m), atol=1e-12)


@pytest.mark.parametrize("value", [0.0, 1.0, -3e-9, 1e30, -1e-30])
def test_a_constant_map_gives_zeros(value):
    assert not fusion.minmax(torch.full((2, 3, 3), value)).any()


def test_a_map_that_is_constant_but_for_rounding_gives_zeros():
    noise = torch.tensor([[1.0, 1.0 + 2**-23], [1.0, 1.0 - 2**-24]])
    assert not fusion.minmax(noise).any()
    assert not fusion.minmax(-1e9 * noise).any()


@pytest.mark.parametrize("offset", [1e3, -1e4])
def test_a_small_range_beside_a_large_value_is_more_than_rounding(offset):
    m = torch.tensor([[0.0, 0.5], [0.25, 0.1]], dtype=torch.float64)
    torch.testing.assert_close(fusion.minmax(m + offset), 2 * m, rtol=0, atol=1e-9)
    torch.testing.assert_close(fusion.minmax((m + offset).float()), 2 * m.float(), rtol=0, atol=0.01)


@pytest.mark.parametrize("size", [1e-20, 1e-6, 1.0, 1e20])
def test_how_small_or_large_a_map_is_does_not_matter(size):
    m = torch.tensor([[-1.0, 0.0], [1.0, 3.0]])
    torch.testing.assert_close(fusion.minmax(m * size), torch.tensor([[0.0, 0.25], [0.5, 1.0]]))


def test_each_map_is_normalized_by_itself_and_half_precision_becomes_float32():
    maps = torch.stack([torch.arange(6.0).view(2, 3), -10 * torch.arange(6.0).view(2, 3)]).bfloat16()
    normal = fusion.minmax(maps)
    assert normal.dtype == torch.float32
    assert normal.amin((1, 2)).tolist() == [0, 0] and normal.amax((1, 2)).tolist() == [1, 1]


def test_gradients_through_minmax_are_finite_where_a_map_is_constant():
    maps = torch.cat([torch.ones(1, 3, 3), some(1, 3, 3).float()]).requires_grad_()
    fusion.minmax(maps).square().sum().backward()
    assert torch.isfinite(maps.grad).all() and maps.grad[1].any()


@pytest.mark.parametrize("how", ["minmax", "raw", "relu"])
def test_what_is_fused(how):
    maps = some(2, 4, 3)
    for mine, m in zip(fusion.normalize(maps, how).numpy(), maps.numpy()):
        np.testing.assert_allclose(mine, network.normalized(m, how), atol=1e-12)


def test_addition_and_maximum_by_hand():
    f = torch.tensor([[[[0.0, 1.0]]], [[[0.25, 0.5]]], [[[0.5, 0.0]]]])
    assert fusion.fuse_addition(f).tolist() == [[[0.75, 1.5]]]
    assert fusion.fuse_max(f).tolist() == [[[0.5, 1.0]]]


def test_l1_by_hand():
    f = torch.tensor([[[[1.0, 1.0]]], [[[0.0, 0.5]]]])
    activity = torch.tensor([[[[3.0, 0.0]]], [[[1.0, 0.0]]]])
    # Without a block mean the weights are 3/4 and 1/4, and 1/2 each where both activities are 0.
    assert fusion.fuse_l1(f, activity, radius=0).tolist() == [[[0.75, 0.75]]]
    # With one both places see the same activities, 3/9 and 1/9.
    assert fusion.fuse_l1(f, activity, radius=1).flatten().tolist() == pytest.approx([0.75, 0.875])


def test_l1_is_a_weighted_mean():
    f, activities = some(3, 2, 5, 4).abs(), some(3, 2, 5, 4, seed=1).abs()
    for weights in ("ratio", "softmax"):
        fused = fusion.fuse_l1(f, activities, 1, weights)
        assert (fused <= f.amax(0) + 1e-12).all() and (fused >= f.amin(0) - 1e-12).all()


@pytest.mark.parametrize("weights", ["ratio", "softmax"])
def test_nothing_divides_by_zero(weights):
    fused = fusion.fuse_l1(torch.zeros(2, 1, 3, 3), torch.zeros(2, 1, 3, 3), 1, weights)
    assert torch.equal(fused, torch.zeros(1, 3, 3))
