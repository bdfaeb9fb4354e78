from collections import Counter

import numpy as np
import pytest
import torch

from hclnet.maps.foreground import ForegroundScore, fit_foreground, fit_to_outlines

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


def learned(batches):
    """Of images of one class."""
    return fit_foreground((features, maps, [0] * len(maps)) for features, maps in batches)


def agreement(foreground, features, ground_truth):
    found = (foreground(features, torch.zeros(len(features), dtype=torch.int64)) > 0).numpy()
    return (found & ground_truth).sum() / (found | ground_truth).sum()


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_it_finds_the_whole_object_from_the_peak_on_images_it_has_not_seen(share):
    features, maps, _ = scenes(60, share=share)
    new, _, ground_truth = scenes(20, seed=1)
    assert agreement(learned([(features, maps)]), new, ground_truth) > 0.9


def test_maps_that_point_beside_the_object_in_some_images_do_not_turn_it():
    features, maps, _ = scenes(60)
    maps[::6] = maps[::6].flip(1, 2)
    new, _, ground_truth = scenes(20, seed=1)
    assert agreement(learned([(features, maps)]), new, ground_truth) > 0.85


def test_batches_make_no_difference():
    features, maps, _ = scenes(20)
    whole = learned([(features, maps)])
    parts = learned(zip(features.split(7), maps.split(7)))
    torch.testing.assert_close(whole.weight, parts.weight)
    torch.testing.assert_close(whole.bias, parts.bias)


def test_only_the_ranks_of_the_maps_count():
    features, maps, _ = scenes(20)
    ranks = maps.flatten(1).argsort(1).argsort(1).reshape(maps.shape).float()
    one, other = learned([(features, maps)]), learned([(features, ranks)])
    torch.testing.assert_close(one.weight, other.weight)


def test_the_scale_of_the_features_makes_no_difference():
    features, maps, _ = scenes(20)
    one, other = learned([(features, maps)]), learned([(features * 1e3 + 7, maps)])
    any_class = torch.zeros(20, dtype=torch.int64)
    torch.testing.assert_close(one(features, any_class), other(features * 1e3 + 7, any_class), rtol=1e-2, atol=1e-2)


def test_images_with_flat_maps_teach_nothing():
    features, maps, _ = scenes(20)
    flat = (torch.randn(5, CHANNELS, SIDE, SIDE), torch.full((5, SIDE, SIDE), 0.5))
    assert learned([flat]) is None and learned([]) is None
    torch.testing.assert_close(learned([(features, maps), flat]), learned([(features, maps)]))


def test_features_that_are_alike_everywhere_teach_nothing():
    _, maps, _ = scenes(5)
    assert learned([(torch.ones(5, CHANNELS, SIDE, SIDE), maps)]) is None


def test_large_maps_are_sampled():
    features, maps, ground_truth = scenes(20)
    up = [torch.kron(a, torch.ones(3, 3)) for a in (features, maps)]
    up[1] += 1e-3 * torch.rand(up[1].shape, generator=torch.Generator().manual_seed(0))
    assert agreement(learned([tuple(up)]), features, ground_truth) > 0.9


def test_it_is_a_linear_map_in_full_precision():
    features, *_ = scenes(2)
    weight, bias = torch.arange(CHANNELS) / 7, torch.tensor(0.25)
    foreground = ForegroundScore(weight, bias).to(torch.device("cpu"))
    expected = np.einsum("bdhw,d->bhw", features.bfloat16().float().numpy(), weight.numpy()) + 0.25
    with torch.autocast("cpu", torch.bfloat16):
        found = foreground(features.bfloat16(), torch.tensor([0, 0]))
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
    threshold = otsu(along)
    scale = np.abs(along - threshold).mean()
    return weight / scale, -threshold / scale


def otsu(along):
    low, high = np.quantile(along, [0.001, 0.999])
    bins = np.clip(((np.clip(along, low, high) - low) / (high - low) * 256).astype(int), 0, 255)
    parts = [(bins[bins < k], bins[bins >= k]) for k in range(1, 256)]
    between = [len(a) * len(b) * (a.mean() - b.mean()) ** 2 if len(a) and len(b) else 0 for a, b in parts]
    return low + (high - low) * (1 + int(np.argmax(between))) / 256


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_it_is_the_literal_discriminant(seed, share):
    features, maps = (a[..., :10, :10] for a in scenes(12, seed=seed, shade=0.5, share=share)[:2])
    found = learned(zip(features.split(5), maps.split(5)))
    weight, bias = literal(features, maps)
    np.testing.assert_allclose(found.weight.numpy(), weight, rtol=1e-3, atol=1e-4)
    assert float(found.bias) == pytest.approx(bias, rel=1e-3)


def literal_of_outlines(features, outlines, labels, classes):
    """The same of outlines, a class at a time: weights and biases. Each image has few cells, so that all are taken."""
    inside, outside = [[[] for _ in range(classes)] for _ in range(2)]
    cells, of_cells = [], []
    for image, outline, label in zip(features.double().numpy(), outlines, labels):
        for cell, within in zip(image.reshape(len(image), -1).T, outline.ravel()):
            (inside if within else outside)[label].append(cell)
            cells.append(cell)
            of_cells.append(label)
    sides = [np.array([cell for of in side for cell in of]) for side in (inside, outside)]
    apart = np.concatenate([side - side.mean(0) for side in sides])
    covariance = apart.T @ apart / len(apart)
    covariance += 10 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    cells, of_cells, images = np.array(cells), np.array(of_cells), Counter(labels)
    weights, biases = [], []
    for label in range(classes):
        own = images[label] / (images[label] + 3)
        difference = (1 - own) * (sides[0].mean(0) - sides[1].mean(0))
        if own:
            difference += own * (np.mean(inside[label], axis=0) - np.mean(outside[label], axis=0))
        weight = np.linalg.solve(covariance, difference)
        along = cells @ weight
        threshold = (1 - own) * otsu(along) + (own * otsu(along[of_cells == label]) if own else 0)
        scale = np.abs(along - threshold).mean()
        weights.append(weight / scale)
        biases.append(-threshold / scale)
    return np.array(weights), np.array(biases)


@pytest.mark.parametrize("seed", range(3))
def test_each_class_has_a_literal_discriminant_drawn_towards_that_of_all(seed):
    features, _, ground_truth = scenes(12, seed=seed, shade=0.5)
    features, outlines = features[..., :10, :10] + 100, ground_truth[:, :10, :10].astype(np.uint8)  # far from 0
    labels = [0] * 7 + [2] * 5  # class 1 has no image
    rows = zip(
        features.split(5),
        (None, None, None),
        (outlines[:5], outlines[5:10], outlines[10:]),
        (labels[:5], labels[5:10], labels[10:]),
    )
    found = fit_to_outlines(rows, 3)
    weights, biases = literal_of_outlines(features, outlines, labels, 3)
    np.testing.assert_allclose(found.weight.numpy(), weights, rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(found.bias.numpy(), biases, rtol=2e-3)
    assert found.fine.shape == (3, 0)


def test_objects_that_differ_from_their_surroundings_in_opposite_ways_are_found_by_their_class():
    """Bright scratches and dark patches, which one direction for all can't find."""
    rng = np.random.default_rng(0)
    outlines = (rng.random((40, 8, 8)) < 0.3).astype(np.uint8)
    labels = torch.arange(40) % 2
    signs = torch.where(labels == 0, 1.0, -1.0)[:, None, None]
    features = torch.from_numpy(rng.normal(0, 0.3, (40, 2, 8, 8))).float()
    features[:, 0] += 2 * signs * torch.from_numpy(outlines)
    score = fit_to_outlines([(features[:20], None, list(outlines[:20]), labels[:20].tolist())], 2)
    found = (score(features[20:], labels[20:]) > 0).numpy()
    assert (found == outlines[20:]).mean() > 0.9
    confused = (score(features[20:], 1 - labels[20:]) > 0).numpy()
    assert (confused & (outlines[20:] == 1)).sum() < 0.2 * outlines[20:].sum()


def test_images_without_an_object_say_what_surroundings_are():
    """A defect lies on a part. The map is high on all of it, and outlines take in what is around the defect."""
    rng = np.random.default_rng(0)
    part, defect, drawn = (np.zeros((80, 8, 8), np.uint8) for _ in range(3))
    part[:, 1:7, 1:7] = 1
    for k in range(40):  # the others are intact
        y, x = rng.integers(1, 5, 2)
        defect[k, y : y + 2, x : x + 2] = 1
        drawn[k, y - 1 : y + 3, x - 1 : x + 3] = 1
    features = torch.from_numpy(rng.normal(0, 0.2, (80, 2, 8, 8))).float()
    features += 2 * torch.from_numpy(np.stack([part, defect], 1))
    labels = [0] * 40 + [1] * 40
    maps = torch.from_numpy(part + 0.5 * defect + 0.01 * rng.random((80, 8, 8))).float()
    maps_of = [(features[i : i + 20], maps[i : i + 20], labels[i : i + 20]) for i in range(0, 80, 20)]
    drawn_of = [(features[i : i + 20], None, list(drawn[i : i + 20]), labels[i : i + 20]) for i in range(0, 80, 20)]
    pairs = (
        (fit_foreground(maps_of[:2]), fit_foreground(maps_of, 1)),
        (fit_to_outlines(drawn_of[:2], 2), fit_to_outlines(drawn_of, 2, 1)),
    )
    for without, taught in pairs:
        shares = []
        for score in (without, taught):
            of = score(features[:40], torch.zeros(40, dtype=torch.int64)).numpy()
            on_defect, on_part, around = (
                of[which].mean() for which in (defect[:40] > 0, part[:40] > defect[:40], part[:40] == 0)
            )
            assert on_defect > max(on_part, around)
            shares.append(abs(on_part - around) / (on_defect - on_part))
        assert shares[1] < 0.9 * shares[0]  # the part itself says less
