import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from hclnet.maps.fusion import minmax
from hclnet.report import image_maps
from hclnet.report.maps import corrections, taps, upsampled_levels
from hclnet_runtime.boxes import normalize, to_levels


def corrected(predicted, encoded):
    """`corrections` undone, as its docstring says it."""
    levels, place, numbers, value, shift = predicted.astype(np.int64).ravel(), 0, [], 0, 1
    for digit in encoded:
        value, shift = value + (digit % 128) * shift, shift * 128
        if digit < 128:
            numbers.append(value)
            value, shift = 0, 1
    for gap, sign in zip(numbers[::2], numbers[1::2]):
        place += gap
        levels[place] += -(sign + 1) // 2 if sign % 2 else sign // 2
    return levels.astype(np.uint8).reshape(predicted.shape)


@pytest.mark.parametrize("upsampling", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("length", "side"), [(14, 224), (28, 224), (7, 224), (1, 32), (2, 5), (32, 32), (40, 24)])
def test_taps_are_those_of_torch(upsampling, length, side):
    t = taps(length, side, upsampling)
    square = torch.eye(length, dtype=torch.float64)[None, :, None, :]  # each input alone, along x
    expected = F.interpolate(square, (1, side), mode=upsampling, align_corners=False)[0, :, 0].T.numpy()
    weights = np.zeros((side, length))
    np.add.at(weights, (np.arange(side)[:, None], t.index), t.weight)
    np.testing.assert_allclose(weights, expected, atol=1e-12)


@pytest.mark.parametrize("upsampling", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(14, 14), (28, 28), (9, 13), (1, 1), (1, 6)])
def test_grid_and_corrections_give_the_levels_that_were_boxed(upsampling, shape):
    random = torch.Generator().manual_seed(0)
    side = 224
    for _ in range(5):
        grid = torch.rand(1, 1, *shape, generator=random)
        heatmap = minmax(F.interpolate(grid, (side, side), mode=upsampling, align_corners=False))[0, 0]
        levels = to_levels(heatmap.numpy())
        kept = image_maps(grid[0, 0].numpy(), grid[0].numpy(), levels, upsampling)
        predicted = upsampled_levels(kept.grid, taps(shape[0], side, upsampling), taps(shape[1], side, upsampling))
        if min(shape) > 1:  # along a single input, torch's rounding may decide everything
            assert (predicted != levels).sum() < 20 and len(kept.corrections) < 80
        np.testing.assert_array_equal(corrected(predicted, kept.corrections), levels)
        np.testing.assert_allclose(kept.branches / 65535, grid[0].numpy(), atol=1e-5)


@pytest.mark.parametrize("how", ["max", "pas", "ivr:35", "ivr:90"])
@pytest.mark.parametrize("shift", [-0.5, 0.25])
def test_of_any_normalization_the_page_needs_few_corrections(how, shift):
    grid = torch.rand(1, 1, 14, 14, generator=torch.Generator().manual_seed(1)) + shift
    large = F.interpolate(grid, (224, 224), mode="bilinear", align_corners=False)[0, 0].numpy()
    levels = to_levels(normalize(large, how))
    kept = image_maps(grid[0, 0].numpy(), grid[0].clip(0, 1).numpy(), levels, "bilinear", how=how)
    predicted = upsampled_levels(kept.grid, taps(14, 224, "bilinear"), taps(14, 224, "bilinear"), kept.span)
    assert (predicted != levels).sum() < 20
    np.testing.assert_array_equal(corrected(predicted, kept.corrections), levels)
    assert kept.span != (0, 1) and kept.span[0] < kept.span[1]


def test_maps_without_a_span_are_carried_all_the_same():
    negative = -torch.rand(4, 4, generator=torch.Generator().manual_seed(0)).numpy() - 1
    for grid, how in ((np.full((4, 4), 2.0, np.float32), "pas"), (negative, "max")):
        levels = np.zeros((32, 32), dtype=np.uint8)  # what these normalizations make of such maps
        kept = image_maps(grid, grid[None].clip(0, 1), levels, "bilinear", how=how)
        predicted = upsampled_levels(kept.grid, taps(4, 32, "bilinear"), taps(4, 32, "bilinear"), kept.span)
        np.testing.assert_array_equal(corrected(predicted, kept.corrections), levels)


def test_levels_that_are_not_the_grids_are_carried_all_the_same():
    levels = np.random.default_rng(0).integers(0, 256, (32, 32)).astype(np.uint8)
    grid = np.zeros((4, 4), dtype=np.float32)
    kept = image_maps(grid, grid[None], levels, "bilinear")
    np.testing.assert_array_equal(corrected(np.zeros((32, 32), dtype=np.uint8), kept.corrections), levels)


def test_a_constant_grid_has_level_zero():
    grid = np.full((3, 3), 0.7, dtype=np.float32)
    assert not upsampled_levels(grid, taps(3, 9, "bilinear"), taps(3, 9, "bilinear")).any()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=400), st.randoms(use_true_random=False))
def test_corrections_are_undone(values, random):
    predicted = np.array([values], dtype=np.uint8)
    levels = np.array([[v if random.random() < 0.8 else random.randrange(256) for v in values]], dtype=np.uint8)
    np.testing.assert_array_equal(corrected(predicted, corrections(predicted, levels)), levels)
    assert corrections(levels, levels) == b""
