from dataclasses import replace

import numpy as np
import pytest
import torch

from hclnet.config import RunConfig
from hclnet.data import read
from hclnet.localizer.cache import cached_features
from hclnet.localizer.features import image_batches
from hclnet.localizer.localizer import Localizer
from hclnet.maps.augmentation import View
from hclnet.maps.foreground import fit_foreground
from hclnet.maps.fused import fuse_branches
from hclnet.methods import method_names
from hclnet.training.foreground import learn_foreground, learn_missing

pytestmark = pytest.mark.precision


@pytest.fixture(scope="module")
def samples(birds):
    return read(birds).split("train")


def untrained(method="hclnet", **settings):
    options = {"width": 8} if method in ("hclnet", "acol") else {}
    config = RunConfig(data="", method=method, options=options, size=64, device="cpu", seed=1, **settings)
    return Localizer.from_config(config, ("a", "b", "c"))


@pytest.mark.parametrize("method", method_names())
def test_every_method_teaches_it_of_the_stage_that_it_names(method, samples):
    localizer = untrained(method)
    learnt = learn_foreground(localizer, samples)
    last = localizer.method.foreground_feature
    assert learnt.weight.shape == (localizer.backbone.info[last].channels,)
    localizer.foreground = {64: learnt}
    answer = localizer.network(next(image_batches([samples[0].path], 64, 1)))
    assert answer.foreground.shape == (1, 4, 4) and answer.foreground.isfinite().all()


def test_it_is_learnt_from_the_maps_of_the_labels(samples):
    localizer = untrained()
    images = np.concatenate(list(image_batches([s.path for s in samples], 64, 4)))
    with torch.inference_mode():
        features = localizer.network.features(images)
        output = localizer.network.output(features, torch.tensor([s.label for s in samples]))
        fused = fuse_branches(output, localizer.inference, "addition")
        expected = fit_foreground([(features["stage5"], fused.grid)])
    torch.testing.assert_close(learn_foreground(localizer, samples).weight, expected.weight, rtol=1e-3, atol=1e-4)


def test_cached_features_and_other_settings_of_maps_make_no_difference(samples):
    localizer = untrained()
    expected = learn_foreground(localizer, samples)
    store = cached_features(
        localizer.backbone, localizer.method.in_features, samples, 64, localizer.dtype, localizer.device
    )
    for other in (localizer, localizer.with_inference(fusion="max", box="fixed:0.3", map_size=32)):
        torch.testing.assert_close(
            learn_foreground(other, samples, store=store).weight, expected.weight, rtol=1e-3, atol=1e-4
        )


def test_images_without_an_object_teach_nothing(samples):
    localizer = untrained().with_inference(background_class="b")
    kept = [s for s in samples if s.label != 1]
    torch.testing.assert_close(learn_foreground(localizer, samples), learn_foreground(localizer, kept))
    assert learn_foreground(localizer, [replace(s, label=1) for s in samples]) is None


def test_it_is_learnt_at_the_sizes_that_are_looked_at_and_not_yet_there(samples):
    localizer = untrained()
    assert learn_missing(localizer, samples, [View(96), View(64), View(96, True)])
    assert sorted(localizer.foreground) == [64, 96]
    torch.testing.assert_close(localizer.foreground[64].weight, learn_foreground(localizer, samples).weight)
    torch.testing.assert_close(localizer.foreground[96].weight, learn_foreground(localizer, samples, 96).weight)
    assert not torch.allclose(localizer.foreground[64].weight, localizer.foreground[96].weight, rtol=0.1)
    before = dict(localizer.foreground)
    assert not learn_missing(localizer, samples, [View(64, True)]) and localizer.foreground == before
