import numpy as np
import pytest
import torch
from pydantic import ValidationError

from hclnet.config import Inference
from hclnet.maps.augmentation import View, mean_probabilities, merge, merge_features, merge_maps, resized, views
from hclnet.methods import ClassMaps, Output

CLASSES, DEPTH = 3, 4
ASKED = torch.tensor([2, 0])


def test_one_view_by_default_at_the_size_of_the_training():
    assert views(Inference(), 224) == (View(224),)
    assert views(Inference(), 225) == (View(225),)  # as it was trained, whatever that is


def test_sides_are_multiples_of_32_and_none_is_there_twice():
    assert views(Inference(flip=True), 224) == (View(224, False), View(224, True))
    assert views(Inference(scales=[0.7, 1, 1.3]), 448) == (View(320), View(448), View(576))
    assert views(Inference(scales=[0.5, 0.51, 1], flip=True), 64) == (
        View(32, False), View(32, True), View(64, False), View(64, True),
    )  # fmt: skip
    assert views(Inference(scales=[0.25]), 48) == (View(32),)
    assert views(Inference(scales=1.3), 448) == (View(576),)


@pytest.mark.parametrize("scales", [[], [0], [-1], [5], ["a"], [float("nan")], 0, None])
def test_scales_that_make_no_sense(scales):
    with pytest.raises(ValidationError, match="scales"):
        Inference(scales=scales)


def seen_as(seed, height, width, branches=2):
    """An output with the same 1x1 convolutions whatever the seed."""
    fixed, g = torch.Generator().manual_seed(9), torch.Generator().manual_seed(seed)
    maps = tuple(
        ClassMaps(
            torch.randn(2, DEPTH, height, width, dtype=torch.float64, generator=g),
            torch.randn(CLASSES, DEPTH, dtype=torch.float64, generator=fixed),
            torch.randn(CLASSES, dtype=torch.float64, generator=fixed),
        )
        for _ in range(branches)
    )
    return Output(maps[0].logits(), maps, ASKED)


def enlarged(map, height, width):
    """Bilinear, pixel centers at halves, edges repeated: value by value."""
    out, (h, w) = np.zeros((height, width)), map.shape
    for y in range(height):
        for x in range(width):
            v, u = (y + 0.5) * h / height - 0.5, (x + 0.5) * w / width - 0.5
            for i, a in ((int(np.floor(v)), 1 - v % 1), (int(np.floor(v)) + 1, v % 1)):
                for j, b in ((int(np.floor(u)), 1 - u % 1), (int(np.floor(u)) + 1, u % 1)):
                    out[y, x] += a * b * map[min(max(i, 0), h - 1), min(max(j, 0), w - 1)]
    return out


def test_maps_of_all_views_are_turned_back_enlarged_and_averaged():
    seen = {View(64): seen_as(0, 4, 5), View(64, True): seen_as(1, 4, 5), View(96, True): seen_as(2, 6, 7)}
    merged = merge(list(seen.values()), list(seen))
    assert torch.equal(merged.classes, ASKED) and len(merged.branches) == 2
    for k, branch in enumerate(merged.branches):
        expected = np.zeros((2, CLASSES, 6, 7))
        for view, output in seen.items():
            maps = output.branches[k].all().numpy()
            maps = maps[..., ::-1] if view.mirrored else maps
            expected += np.stack([[enlarged(map, 6, 7) for map in image] for image in maps]) / len(seen)
        np.testing.assert_allclose(branch.all(), expected, atol=1e-12)
        np.testing.assert_allclose(branch.of(ASKED), expected[[0, 1], ASKED], atol=1e-12)


def test_one_map_a_view_is_turned_back_enlarged_and_averaged():
    g = torch.Generator().manual_seed(0)
    small, large = (torch.randn(2, side, side, generator=g) for side in (2, 4))
    found = merge_maps([small, large], [View(64, True), View(128)])
    for one, low, high in zip(found, small.flip(2), large):
        np.testing.assert_allclose(one, (enlarged(low.double().numpy(), 4, 4) + high.numpy()) / 2, rtol=1e-5)
    assert torch.equal(merge_maps([large], [View(128, True)]), large.flip(2))
    three = [maps[:, None].expand(-1, 3, -1, -1) for maps in (small, large)]
    features = merge_features(three, [View(64, True), View(128)])
    assert features.shape == (2, 3, 4, 4) and torch.equal(features[:, 1], found)
    np.testing.assert_allclose(resized(small, (4, 4))[0], enlarged(small[0].double().numpy(), 4, 4), rtol=1e-5)
    assert resized(large, large.shape[1:]) is large


def test_probabilities_are_averaged_not_logits():
    outputs = [seen_as(0, 4, 4), seen_as(1, 4, 4)]
    powers = [np.exp(output.logits.numpy()) for output in outputs]
    expected = sum(p / p.sum(1, keepdims=True) for p in powers) / 2
    np.testing.assert_allclose(mean_probabilities(outputs), expected, atol=1e-6)
    np.testing.assert_allclose(merge(outputs, [View(64), View(64, True)]).logits.softmax(1), expected, atol=1e-6)


def test_one_view_is_left_as_it_is():
    output = seen_as(0, 4, 4)
    assert merge([output], [View(64)]) is output
