from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from hclnet.config import RunConfig
from hclnet.data import read
from hclnet.localizer.cache import cached_features
from hclnet.localizer.features import image_batches
from hclnet.localizer.localizer import Localizer
from hclnet.maps.augmentation import View
from hclnet.maps.foreground import fit_foreground, fit_to_outlines
from hclnet.maps.fused import fuse_branches
from hclnet.maps.outlines import SIDE, outline
from hclnet.methods import get_method, method_names
from hclnet.training.foreground import learn_foreground, learn_missing
from hclnet_runtime.boxes import iou
from hclnet_runtime.data.images import load_square

pytestmark = pytest.mark.precision


@pytest.fixture(scope="module")
def samples(birds):
    return read(birds).split("train")


def untrained(method="hclnet", **settings):
    options = {"width": 8} if method in ("hclnet", "acol") else {}
    config = RunConfig(data="", method=method, options=options, size=64, device="cpu", seed=1, **settings)
    return Localizer.from_config(config, ("a", "b", "c"))


@pytest.mark.parametrize("method", [name for name in method_names() if not get_method(name).needs])
def test_every_method_teaches_it_of_the_stage_that_it_names_and_a_finer_one(method, samples):
    localizer = untrained(method)
    learned = learn_foreground(localizer, samples, [64])[64]
    info, (coarse, finer) = localizer.backbone.info, localizer.network.foreground_stages
    assert coarse == localizer.method.foreground_feature and info[finer].stride < info[coarse].stride
    assert learned.weight.shape == (3, info[coarse].channels) and learned.fine.shape == (3, info[finer].channels)
    localizer.foreground = {64: learned}
    answer = localizer.network(next(image_batches([samples[0].path], 64, 1)))
    assert answer.foreground.shape == (1, 8, 8) and answer.foreground.isfinite().all() and answer.outlined
    (found,) = localizer.locate(samples[0].path).objects
    assert 1 / 13 <= found.agreement <= 1
    (by_threshold,) = localizer.with_inference(box="fixed:0.2").locate(samples[0].path).objects
    assert by_threshold.agreement is None


@pytest.mark.parametrize("method", [name for name in method_names() if get_method(name).needs])
def test_where_there_is_no_finer_stage_it_is_learned_of_one(method, samples, tmp_path):
    localizer = untrained(method, backbone="timm:test_vit", weights="none")
    learned = learn_foreground(localizer, samples, [64])[64]
    info, (stage,) = localizer.backbone.info, localizer.network.foreground_stages
    assert stage == localizer.method.foreground_feature == localizer.backbone.last
    assert learned.weight.shape == (3, info[stage].channels) and learned.fine.shape == (3, 0)
    localizer.foreground = {64: learned}
    localizer.save(tmp_path)
    for one in (localizer, Localizer.load(tmp_path, "cpu")):
        answer = one.network(next(image_batches([samples[0].path], 64, 1)))
        assert answer.foreground.shape == (1, 4, 4) and answer.foreground.isfinite().all() and answer.outlined
        (found,) = one.locate(samples[0].path).objects
        assert 1 / 13 <= found.agreement <= 1


def test_it_is_learnt_from_the_outlines_that_the_maps_of_the_labels_start(samples):
    localizer = untrained()
    images = np.concatenate(list(image_batches([s.path for s in samples], 64, 4)))
    labels = torch.tensor([s.label for s in samples])
    network = localizer.network
    with torch.inference_mode():
        features = network.features(images, stages=["stage3", "stage5"])
        output = network.output({"stage5": features["stage5"]}, labels)
        fused = fuse_branches(output, localizer.inference, "addition")
        scores = fit_foreground([(features["stage5"], fused.branches[:, 0], labels.tolist())])(
            features["stage5"], labels
        ).numpy()
        drawn = [outline(load_square(s.path, SIDE), score) for s, score in zip(samples, scores)]
        # One image a batch, as they are seen on a processor.
        ones = [slice(i, i + 1) for i in range(len(drawn))]
        rows = [(features["stage5"][i], features["stage3"][i], drawn[i], labels[i].tolist()) for i in ones]
        expected = fit_to_outlines(rows, 3)
    learned = learn_foreground(localizer, samples, [64])[64]
    for part in ("weight", "fine", "bias"):
        torch.testing.assert_close(getattr(learned, part), getattr(expected, part), rtol=0.05, atol=0.05)


def test_cached_features_and_other_settings_of_maps_make_no_difference(samples):
    localizer = untrained()
    expected = learn_foreground(localizer, samples, [64])[64]
    store = cached_features(
        localizer.backbone, localizer.method.in_features, samples, 64, localizer.dtype, localizer.device
    )
    for other in (localizer, localizer.with_inference(fusion="max", box="fixed:0.3", map_size=32)):
        learned = learn_foreground(other, samples, [64], store)[64]
        torch.testing.assert_close(learned.weight, expected.weight, rtol=0.05, atol=0.05)


def test_images_without_an_object_teach_what_surroundings_are(samples):
    localizer = untrained(method="cam").with_inference(background_class="b")
    kept = [s for s in samples if s.label != 1]
    learned, expected = (learn_foreground(localizer, of, [64])[64] for of in (samples, kept))
    images = np.concatenate(list(image_batches([s.path for s in samples if s.label == 1], 64, 4)))
    features = localizer.network.features(images, stages=["stage3", "stage5"])
    zeros = torch.zeros(len(images), dtype=torch.int64)
    shares = [
        (score(features["stage5"], zeros, features["stage3"]) > 0).float().mean() for score in (learned, expected)
    ]
    assert shares[0] < shares[1]
    assert learn_foreground(localizer, [replace(s, label=1) for s in samples], [64]) == {}


def test_it_is_learnt_at_the_sizes_of_the_views_and_not_yet_there(samples):
    localizer = untrained()
    assert learn_missing(localizer, samples, [View(96), View(64), View(96, True)])
    assert sorted(localizer.foreground) == [64, 96]
    again = learn_foreground(localizer, samples, [96])
    assert list(again) == [96] and torch.equal(localizer.foreground[96].weight, again[96].weight)
    assert not torch.allclose(localizer.foreground[64].weight, localizer.foreground[96].weight, rtol=0.1)
    before = dict(localizer.foreground)
    assert not learn_missing(localizer, samples, [View(64, True)]) and localizer.foreground == before


def test_random_numbers_of_opencv_stay_the_callers(samples):
    def drawn():
        return cv2.randu(np.zeros((1, 4)), 0, 1)

    cv2.setRNGSeed(7)
    expected = drawn()
    cv2.setRNGSeed(7)
    learn_foreground(untrained(), samples, [64])
    np.testing.assert_array_equal(drawn(), expected)


def test_what_it_learns_outlines_objects_on_images_that_it_has_not_seen(tmp_path):
    """Of drawn images whose class maps only say where the middle of the object is."""
    rng = np.random.default_rng(0)

    def image(_):
        ground, colour = rng.uniform(90, 130, 3), rng.uniform(180, 250, 3)
        pixels = ground + rng.normal(0, 12, (112, 112, 3))
        x, y, w, h = *rng.integers(8, 40, 2), *rng.integers(30, 60, 2)
        pixels[y : y + h, x : x + w] = colour + rng.normal(0, 12, (h, w, 3))
        middle = np.full((14, 14), -0.05, np.float32)
        middle[(y + h // 2) // 8, (x + w // 2) // 8] = 1
        return pixels.clip(0, 255).astype(np.uint8), cv2.GaussianBlur(middle, (5, 5), 1), (x, y, x + w, y + h)

    def features(pixels, side):
        small = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
        return torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255

    seen, new = [image(i) for i in range(20)], [image(i) for i in range(10)]
    outlines = [outline(pixels, score) for pixels, score, _ in seen]
    score = fit_to_outlines(((features(p, 14), features(p, 28), [o], [0]) for (p, _, _), o in zip(seen, outlines)), 1)
    for pixels, _, box in new:
        cells = score(features(pixels, 14), torch.tensor([0]), features(pixels, 28))[0].numpy()
        found = cv2.boundingRect((cv2.resize(cells, (112, 112)) > 0).astype(np.uint8))
        x, y, w, h = found
        assert iou(np.array([[x, y, x + w, y + h]]), np.array([box]))[0, 0] > 0.8


def test_where_outlines_teach_nothing_maps_do(samples, monkeypatch):
    monkeypatch.setattr("hclnet.training.foreground.outline", lambda *_: np.zeros((SIDE, SIDE), np.uint8))
    localizer = untrained()
    learned = learn_foreground(localizer, samples, [64, 96])
    assert not learned[64].outlined and not learned[96].outlined
    localizer.foreground = learned
    answer = localizer.network(next(image_batches([samples[0].path], 64, 1)))
    assert answer.foreground.shape == (1, 4, 4) and not answer.outlined
