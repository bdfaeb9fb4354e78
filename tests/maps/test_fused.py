from itertools import product

import numpy as np
import pytest
import torch

from drawn import heatmaps
from hclnet.config import Inference
from hclnet.maps.fused import branch_maps, fuse_branches
from hclnet.methods import ClassMaps, Output
from hclnet_runtime import boxes
from reference import network

CLASSES, HIDDEN, HEIGHT, WIDTH = 3, 2, 4, 3


def some_output(branches=2, batch=2, dtype=torch.float64, seed=0):
    g = torch.Generator().manual_seed(seed)

    def some(*shape):
        return torch.randn(*shape, dtype=dtype, generator=g)

    maps = tuple(
        ClassMaps(some(batch, HIDDEN, HEIGHT, WIDTH), some(CLASSES, HIDDEN), some(CLASSES)) for _ in range(branches)
    )
    return Output(maps[0].logits(), maps, torch.arange(batch) % CLASSES)


def literal(output, image, settings, fusion):
    maps = [b.all()[image].numpy() for b in output.branches]
    options = (fusion, settings.branch_normalization, settings.l1_over, settings.l1_weights, settings.l1_radius)

    def larger(m):
        return network.upsampled(m, settings.map_size, settings.upsampling)

    label = int(output.classes[image])
    if settings.upsample_first:
        return network.minmax(network.fused(maps, label, *options, larger=larger))
    return network.minmax(larger(network.fused(maps, label, *options)))


def assert_literal(output, settings, default="addition"):
    ours = heatmaps(output, settings, default)
    assert ours.shape == (len(output.classes), settings.map_size, settings.map_size)
    for image, heatmap in enumerate(ours):
        expected = literal(output, image, settings, settings.fusion or default)
        np.testing.assert_allclose(heatmap, expected, atol=2e-6)


@pytest.mark.parametrize("upsample_first", [False, True])
@pytest.mark.parametrize("normalize", ["minmax", "raw", "relu"])
@pytest.mark.parametrize("fusion", ["max", "addition"])
def test_maximum_and_addition_are_the_papers(fusion, normalize, upsample_first):
    settings = Inference(fusion=fusion, branch_normalization=normalize, upsample_first=upsample_first, map_size=9)
    for branches in (1, 2, 3):
        assert_literal(some_output(branches, seed=branches), settings)


L1 = {
    "branch_normalization": ["minmax", "raw", "relu"],
    "l1_over": ["all", "class"],
    "l1_weights": ["ratio", "softmax"],
    "l1_radius": [0, 1, 2],
    "upsample_first": [False, True],
}


@pytest.mark.parametrize("options", [dict(zip(L1, values)) for values in product(*L1.values())], ids=str)
def test_l1_is_the_papers(options):
    assert_literal(some_output(batch=1), Inference(fusion="l1", map_size=8, **options))


@pytest.mark.parametrize("branches", [1, 3])
def test_l1_of_any_number_of_branches(branches):
    assert_literal(some_output(branches), Inference(fusion="l1", map_size=8))


@pytest.mark.parametrize("upsampling", ["bilinear", "bicubic"])
@pytest.mark.parametrize("side", [8, 11, 32])
def test_upsampling(upsampling, side):
    assert_literal(some_output(), Inference(upsampling=upsampling, map_size=side))


def test_the_methods_own_fusion_is_used_unless_one_is_chosen():
    output, own = some_output(), Inference(map_size=8)
    for fusion in ("max", "addition", "l1"):
        assert_literal(output, own, default=fusion)
    chosen = heatmaps(output, own.model_copy(update={"fusion": "max"}), "addition")
    np.testing.assert_array_equal(heatmaps(output, own, "max"), chosen)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_heatmaps_span_0_to_1_in_float32(dtype):
    output = some_output(dtype=torch.float32)
    output = Output(
        output.logits, tuple(ClassMaps(b.hidden.to(dtype), b.weight, b.bias) for b in output.branches), output.classes
    )
    for fusion, upsampling in product(("max", "addition", "l1"), ("bilinear", "bicubic")):
        maps = heatmaps(output, Inference(fusion=fusion, upsampling=upsampling), "max")
        assert maps.dtype == np.float32 and maps.shape == (2, 224, 224)
        assert maps.min((1, 2)).tolist() == [0, 0] and maps.max((1, 2)).tolist() == [1, 1]


@pytest.mark.parametrize("options", [dict(zip(L1, values)) for values in product(*L1.values())], ids=str)
def test_constant_maps_give_zeros_and_no_nan(options):
    flat = ClassMaps(torch.full((1, HIDDEN, HEIGHT, WIDTH), 0.1), torch.randn(CLASSES, HIDDEN), torch.randn(CLASSES))
    other = some_output(1, batch=1, dtype=torch.float32).branches[0]
    for fusion in ("max", "addition", "l1"):
        settings = Inference(fusion=fusion, map_size=16, **options)
        nothing = heatmaps(Output(flat.logits(), (flat, flat), torch.tensor([1])), settings, "max")
        assert not nothing.any() and nothing.shape == (1, 16, 16)
        assert np.isfinite(heatmaps(Output(flat.logits(), (flat, other), torch.tensor([1])), settings, "max")).all()


def test_the_branches_maps_are_normalized_alone():
    output = some_output(3)
    maps = branch_maps(output)
    assert maps.shape == (3, 2, HEIGHT, WIDTH)
    for k, i in product(range(3), range(2)):
        own = output.branches[k].all()[i, output.classes[i]].numpy()
        np.testing.assert_allclose(maps[k, i], network.minmax(own), atol=1e-12)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("fusion", ["max", "addition", "l1"])
def test_maps_of_a_training_that_diverged_stay_not_finite(fusion, value):
    for normalize, upsample_first in product(("minmax", "raw"), (False, True)):
        output = some_output()
        output.branches[1].hidden[1, :, 2, 1] = value
        settings = Inference(fusion=fusion, map_size=8, branch_normalization=normalize, upsample_first=upsample_first)
        assert not fuse_branches(output, settings, "max").maps[1].isfinite().all()


@pytest.mark.parametrize("how", ["max", "pas", "ivr:35"])
def test_map_ranges_are_those_of_the_box_step(how):
    """Of the upsampled map; where the map is constant nothing is stretched."""
    output = some_output(dtype=torch.float32)
    settings = Inference(fusion="max", branch_normalization="raw", map_size=16, cam_normalization=how)
    fused = fuse_branches(output, settings, "max").maps
    large = torch.nn.functional.interpolate(fused[:, None], (16, 16), mode="bilinear", align_corners=False)[:, 0]
    ours = heatmaps(output, settings, "max")
    np.testing.assert_allclose(ours, boxes.normalize(large.numpy(), how), atol=1e-5)
    assert not np.array_equal(
        ours, heatmaps(output, settings.model_copy(update={"cam_normalization": "minmax"}), "max")
    )
    flat = ClassMaps(torch.full((1, HIDDEN, HEIGHT, WIDTH), 0.1), torch.rand(CLASSES, HIDDEN), torch.rand(CLASSES))
    assert not heatmaps(Output(flat.logits(), (flat,), torch.tensor([1])), settings, "max").any()


def test_the_map_at_feature_resolution_is_there_also_where_fusion_comes_after_upsampling():
    output = some_output()
    first, last = (
        fuse_branches(output, Inference(map_size=16, upsample_first=upsample_first), "max")
        for upsample_first in (False, True)
    )
    assert (
        first.maps is first.grid and torch.equal(first.grid, last.grid) and torch.equal(first.branches, last.branches)
    )
    assert first.grid.shape == (2, HEIGHT, WIDTH) and last.maps.shape == (2, 16, 16)
    assert first.branches.shape == (2, 2, HEIGHT, WIDTH)


def test_several_maps_and_no_fusion_are_refused():
    with pytest.raises(ValueError, match="2 branches and no fusion of its own: choose one with --fusion addition"):
        fuse_branches(some_output(), Inference(), None)
