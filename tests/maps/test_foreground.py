import numpy as np
import pytest
import torch

from hclnet.maps.foreground import ForegroundScore, fit_foreground

SIDE, CHANNELS = 12, 6


def scenes(count, seed=0, shade=0.0, share=0.5):
    """Features in which an object is a direction plus noise alike everywhere, and maps with a peak inside of it.

    Args:
        count: images.
        shade: added to all features of an image, times a random number.
        share: of the object's side that the map's peak takes.

    Returns:
        Features, maps, and where the objects are.
    """
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).standard_normal((CHANNELS, CHANNELS))
    features, maps, ground_truth = [], [], []
    for _ in range(count):
        side = rng.integers(4, 8, 2)
        y, x = (rng.integers(0, SIDE - s + 1) for s in side)
        inside = np.zeros((SIDE, SIDE), dtype=bool)
        inside[y : y + side[0], x : x + side[1]] = True
        clean = rng.standard_normal((CHANNELS, SIDE, SIDE)) + shade * rng.standard_normal()
        clean[0] += 6 * inside
        grid = np.mgrid[0:SIDE, 0:SIDE]
        center = np.array([y + (side[0] - 1) / 2, x + (side[1] - 1) / 2])[:, None, None]
        far = (((grid - center) / (share * np.array(side)[:, None, None])) ** 2).sum(0)
        features.append(np.einsum("cd,dhw->chw", mix, clean))
        maps.append(np.exp(-far) + 0.1 * rng.random((SIDE, SIDE)))
        ground_truth.append(inside)
    return *(torch.from_numpy(np.stack(a)).float() for a in (features, maps)), np.stack(ground_truth)


def agreement(foreground, features, ground_truth):
    found = (foreground(features) > 0).numpy()
    return (found & ground_truth).sum() / (found | ground_truth).sum()


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_it_finds_the_whole_object_from_the_peak_on_images_it_has_not_seen(share):
    features, maps, _ = scenes(60, share=share)
    new, _, ground_truth = scenes(20, seed=1)
    assert agreement(fit_foreground([(features, maps)]), new, ground_truth) > 0.9


def test_maps_that_point_beside_the_object_in_some_images_do_not_turn_it():
    features, maps, _ = scenes(60)
    maps[::6] = maps[::6].flip(1, 2)
    new, _, ground_truth = scenes(20, seed=1)
    assert agreement(fit_foreground([(features, maps)]), new, ground_truth) > 0.85


def test_batches_make_no_difference():
    features, maps, _ = scenes(20)
    whole = fit_foreground([(features, maps)])
    parts = fit_foreground(zip(features.split(7), maps.split(7)))
    torch.testing.assert_close(whole.weight, parts.weight)
    torch.testing.assert_close(whole.bias, parts.bias)


def test_only_the_ranks_of_the_maps_count():
    features, maps, _ = scenes(20)
    ranks = maps.flatten(1).argsort(1).argsort(1).reshape(maps.shape).float()
    one, other = fit_foreground([(features, maps)]), fit_foreground([(features, ranks)])
    torch.testing.assert_close(one.weight, other.weight)


def test_the_scale_of_the_features_makes_no_difference():
    features, maps, _ = scenes(20)
    one, other = fit_foreground([(features, maps)]), fit_foreground([(features * 1e3 + 7, maps)])
    torch.testing.assert_close(one(features), other(features * 1e3 + 7), rtol=1e-2, atol=1e-2)


def test_images_with_flat_maps_teach_nothing():
    features, maps, _ = scenes(20)
    flat = (torch.randn(5, CHANNELS, SIDE, SIDE), torch.full((5, SIDE, SIDE), 0.5))
    assert fit_foreground([flat]) is None and fit_foreground([]) is None
    torch.testing.assert_close(fit_foreground([(features, maps), flat]), fit_foreground([(features, maps)]))


def test_features_that_are_alike_everywhere_teach_nothing():
    _, maps, _ = scenes(5)
    assert fit_foreground([(torch.ones(5, CHANNELS, SIDE, SIDE), maps)]) is None


def test_large_maps_are_sampled():
    features, maps, ground_truth = scenes(20)
    up = [torch.kron(a, torch.ones(3, 3)) for a in (features, maps)]
    up[1] += 1e-3 * torch.rand(up[1].shape, generator=torch.Generator().manual_seed(0))
    assert agreement(fit_foreground([tuple(up)]), features, ground_truth) > 0.9


def test_it_is_a_linear_map_in_full_precision():
    features, *_ = scenes(2)
    weight, bias = torch.arange(CHANNELS) / 7, torch.tensor(0.25)
    foreground = ForegroundScore(weight, bias).to(torch.device("cpu"))
    expected = np.einsum("bdhw,d->bhw", features.bfloat16().float().numpy(), weight.numpy()) + 0.25
    with torch.autocast("cpu", torch.bfloat16):
        found = foreground(features.bfloat16())
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-5)


def literal(features, maps):
    """Fisher's discriminant and Otsu's threshold, a cell at a time: weight and bias."""
    cells, inside, outside = [], [], []
    for image, map in zip(features.double().numpy(), maps.double().numpy()):
        values = image.reshape(len(image), -1).T
        ranked = np.argsort(map.ravel(), kind="stable")
        for place, cell in enumerate(ranked):
            rank = (place + 0.5) / len(ranked)
            cells.append(values[cell])
            if rank > 0.9:
                inside.append(values[cell])
            elif rank < 0.5:
                outside.append(values[cell])
    centers = [np.mean(side, axis=0) for side in (inside, outside)]
    apart = [cell - center for side, center in zip((inside, outside), centers) for cell in side]
    covariance = sum(np.outer(a, a) for a in apart) / len(apart)
    covariance += 0.01 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    weight = np.linalg.solve(covariance, centers[0] - centers[1])
    along = np.array(cells) @ weight
    low, high = np.quantile(along, [0.001, 0.999])
    bins = np.clip(((np.clip(along, low, high) - low) / (high - low) * 256).astype(int), 0, 255)
    parts = [(bins[bins < k], bins[bins >= k]) for k in range(1, 256)]
    between = [len(a) * len(b) * (a.mean() - b.mean()) ** 2 if len(a) and len(b) else 0 for a, b in parts]
    threshold = low + (high - low) * (1 + int(np.argmax(between))) / 256
    scale = np.abs(along - threshold).mean()
    return weight / scale, -threshold / scale


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_it_is_the_literal_discriminant(seed, share):
    features, maps = (a[..., :10, :10] for a in scenes(12, seed=seed, shade=0.5, share=share)[:2])
    found = fit_foreground(zip(features.split(5), maps.split(5)))
    weight, bias = literal(features, maps)
    np.testing.assert_allclose(found.weight.numpy(), weight, rtol=1e-3, atol=1e-4)
    assert float(found.bias) == pytest.approx(bias, rel=1e-3)
