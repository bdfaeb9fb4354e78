from copy import copy
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from PIL import Image

from hclnet.config import Inference, RunConfig
from hclnet.data import read
from hclnet.localizer.evaluation import evaluate_localizer
from hclnet.localizer.localizer import Localizer
from hclnet.maps.foreground import ForegroundScore
from hclnet.maps.fused import fuse_branches
from hclnet.methods import get_method, method_names
from hclnet.types import GroundTruth, MaskFiles, Records, Sample
from hclnet_runtime.boxes import scale, to_levels
from hclnet_runtime.data.images import image_size, open_image, squash
from reference import labelling, wsoleval

NAMES = ("wren", "owl", "kite")
SIDE = 24


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Ten images of many shapes, with no, one and two ground-truth boxes; more than go through the backbone at once."""
    root, rng = tmp_path_factory.mktemp("scene"), np.random.default_rng(0)
    samples, boxes = [], {}
    for k in range(10):
        width, height = (int(v) for v in rng.integers(40, 120, 2))
        blots = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        blots.resize((width, height)).save(root / f"{k}.png")
        samples.append(Sample(f"s{k}", root / f"{k}.png", k % 3, "test"))
        count = (1, 2, 0)[k % 3] if k else 1
        corners = rng.random((count, 2, 2)) * [width / 2, height / 2] + [[0, 0], [width / 2, height / 2]]
        if count:
            boxes[f"s{k}"] = corners.reshape(count, 4)
    return samples, GroundTruth(boxes)


def random_localizer(method="hclnet", classes=NAMES, **options):
    transformer = {"backbone": "timm:test_vit", "weights": "none"} if get_method(method).needs else {}
    common = {"size": 64, "device": "cpu", "seed": 1, "precision": "float32"}
    config = RunConfig(data="", method=method, options=options, **common, **transformer)
    return Localizer.from_config(config, classes)


@pytest.fixture(scope="module")
def localizer():
    return random_localizer(width=8).with_inference(map_size=SIDE)


def literal(localizer, sample, gt_boxes):
    """One row, by asking for the box of the true class as anybody would, and by 256 flood fills."""
    found = localizer.locate(sample.path, top=len(localizer.classes), classes=[localizer.classes[sample.label]])
    levels = to_levels(found.heatmap)
    on_map = scale(gt_boxes, found.size, (SIDE, SIDE)).tolist()
    row = {"boxes": found.box or (0.0,) * 4, "size": found.size, "level_iou": [], "level_best": []}
    for t in range(256):
        components = labelling.components(levels > t)
        largest = labelling.largest_box(components)
        row["level_iou"].append(max((labelling.iou(largest, true) for true in on_map), default=np.nan))
        row["level_best"].append(labelling.best_iou(components, on_map) if on_map else np.nan)
    box = scale(np.array([row["boxes"]]), found.size, (SIDE, SIDE))[0].tolist()
    row["iou"] = max((labelling.iou(box, true) for true in on_map), default=np.nan)
    row["ranked"] = [localizer.classes.index(name) for name, _ in found.predictions]
    row["scores"] = [score for _, score in found.predictions]
    return row


SETTINGS = [{}, {"box": "otsu3"}, {"fusion": "l1", "box": "fixed:0.3"}, {"flip": True, "scales": (0.5, 1)}]


@pytest.fixture
def seeing(localizer):
    """With a foreground score at the sizes that are looked at, of random weights."""
    other, generator = copy(localizer), torch.Generator().manual_seed(0)
    channels = localizer.backbone.info[localizer.method.foreground_feature].channels
    one = ForegroundScore(torch.randn(channels, generator=generator), torch.tensor(0.1))
    other.foreground = {32: one, 64: one}
    return other


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", ["localizer", "seeing"])
def test_records_are_what_locating_each_image_gives(scene, kind, changes, request):
    samples, ground_truth = scene
    chosen = request.getfixturevalue(kind).with_inference(**changes)
    (records,) = evaluate_localizer(chosen, samples, ground_truth)
    assert len(records) == len(samples) and records.ids == [s.id for s in samples]
    assert records.paths == [str(s.path) for s in samples] and records.labels.tolist() == [s.label for s in samples]
    for i, sample in enumerate(samples):
        row = literal(chosen, sample, ground_truth.boxes.get(sample.id, np.zeros((0, 4))))
        assert tuple(records.sizes[i]) == row["size"]
        np.testing.assert_allclose(records.boxes[i], row["boxes"], atol=1e-9)
        np.testing.assert_allclose(records.iou[i], row["iou"], atol=1e-9)
        for column in ("level_iou", "level_best"):
            np.testing.assert_allclose(getattr(records, column)[i], row[column], atol=1e-7, err_msg=column)
        assert records.top_classes[i].tolist() == row["ranked"] and records.rank[i] == row["ranked"].index(sample.label)
        np.testing.assert_array_equal(records.top_scores[i], np.float32(row["scores"]))


def assert_close(one, other):
    for field in fields(Records):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, list | str):
            assert mine == theirs
        else:
            np.testing.assert_allclose(mine, theirs, atol=1e-5, err_msg=field.name)


@pytest.mark.parametrize("changes", [{}, {"flip": True, "scales": (1, 1.5)}], ids=str)
def test_with_and_without_the_cache_and_again_from_it(scene, localizer, changes):
    chosen = localizer.with_inference(**changes)
    fresh, cached, again = (evaluate_localizer(chosen, *scene, cache=cache)[0] for cache in (False, True, True))
    assert_close(fresh, cached)
    assert_close(cached, again)


def test_many_settings_in_one_pass_are_each_by_itself(scene, localizer):
    variants = [
        Inference(map_size=SIDE),
        Inference(map_size=SIDE, box="fixed:0.2"),
        Inference(map_size=SIDE, fusion="max"),
        Inference(map_size=32, fusion="l1", box="fixed:0.2"),
        Inference(map_size=SIDE, flip=True, box="fixed:0.2"),
        Inference(map_size=SIDE, scales=(0.5,)),
    ]
    together = evaluate_localizer(localizer, *scene, variants)
    for variant, records in zip(variants, together, strict=True):
        assert_close(records, evaluate_localizer(localizer.with_inference(**variant.model_dump()), *scene)[0])
    assert not np.array_equal(together[0].boxes, together[1].boxes)
    for other in together[2], *together[4:]:
        assert not np.array_equal(together[0].level_iou, other.level_iou)
    # Those that look alike classify alike, those that look otherwise do not.
    assert np.array_equal(together[0].top_scores, together[3].top_scores)
    for other in together[4:]:
        assert not np.array_equal(together[0].top_scores, other.top_scores)


CLASSIFIERS = [(name, {}) for name in method_names()]
CLASSIFIERS += [("hclnet", {"classify": which, "branches": k}) for which in ("last", "mean") for k in (2, 3)]


@pytest.mark.parametrize("method, options", CLASSIFIERS, ids=str)
def test_the_true_class_does_not_change_what_an_image_is_taken_for(scene, method, options):
    samples, ground_truth = scene
    localizer = random_localizer(method, **options).with_inference(map_size=SIDE)
    first = evaluate_localizer(localizer, samples, ground_truth)[0]
    for shift in (1, 2):
        renamed = [replace(s, label=(s.label + shift) % 3) for s in samples]
        other = evaluate_localizer(localizer, renamed, ground_truth)[0]
        np.testing.assert_array_equal(first.top_classes, other.top_classes)
        np.testing.assert_array_equal(first.top_scores, other.top_scores)
        assert not np.array_equal(first.rank, other.rank)


def test_the_true_class_decides_which_map_is_boxed(scene, localizer):
    samples, ground_truth = scene
    renamed = [replace(s, label=(s.label + 1) % 3) for s in samples]
    first, other = (evaluate_localizer(localizer, chosen, ground_truth)[0] for chosen in (samples, renamed))
    assert not np.array_equal(first.boxes, other.boxes)


def test_images_without_a_true_box_are_classified_only(scene, localizer):
    samples, ground_truth = scene
    (records,) = evaluate_localizer(localizer, samples, ground_truth)
    without = [i for i, s in enumerate(samples) if s.id not in ground_truth.boxes]
    assert without and np.isnan(records.iou[without]).all() and np.isnan(records.level_best[without]).all()
    assert not np.isnan(np.delete(records.iou, without)).any()
    (none,) = evaluate_localizer(localizer, samples, GroundTruth())
    assert np.isnan(none.iou).all() and none.boxes.any()
    np.testing.assert_array_equal(none.top_classes, records.top_classes)


def test_a_constant_map_is_a_box_of_zeros_and_no_nan(scene, localizer):
    samples, ground_truth = scene
    flat = random_localizer(width=8).with_inference(map_size=SIDE)
    with torch.no_grad():
        for parameter in flat.method.parameters():
            parameter.zero_()
    (records,) = evaluate_localizer(flat, samples, ground_truth)
    known = [i for i, s in enumerate(samples) if s.id in ground_truth.boxes]
    assert not records.boxes.any() and not records.iou[known].any() and not records.level_iou[known].any()
    np.testing.assert_allclose(records.top_scores, 1 / 3)
    # All classes alike: none is said to be right.
    assert (records.rank == 2).all()


def test_at_most_five_classes_are_kept(scene):
    samples, ground_truth = scene
    many = random_localizer("cam", tuple(f"class {k}" for k in range(7)), width=8).with_inference(map_size=SIDE)
    (records,) = evaluate_localizer(many, samples, ground_truth)
    assert records.top_classes.shape == (len(samples), 5) and (np.diff(records.top_scores, axis=1) <= 0).all()
    at = records.rank[:, None] == np.arange(5)
    np.testing.assert_array_equal(at, records.top_classes == records.labels[:, None])


def test_progress_is_told_and_masks_are_no_boxes(scene, localizer, tmp_path):
    samples, _ = scene
    calls = []
    for k, sample in enumerate(samples):
        width, height = image_size(sample.path)
        Image.fromarray(np.eye(height, width, dtype=np.uint8) * 255).save(tmp_path / f"{k}.png")
    masks = GroundTruth(masks={s.id: MaskFiles((tmp_path / f"{k}.png",)) for k, s in enumerate(samples) if k})
    (records,) = evaluate_localizer(localizer, samples, masks, progress=lambda *at: calls.append(at))
    assert calls == [(k, 10) for k in range(1, 11)] and np.isnan(records.iou).all()
    pixels = (records.inside + records.outside).sum(axis=1)
    assert pixels.tolist() == [0] + 9 * [SIDE**2] and 0 < records.inside[1].sum() < 2 * SIDE


def test_under_wsoleval_maps_go_its_way_from_feature_resolution_on(scene, localizer):
    samples, ground_truth = scene
    (records,) = evaluate_localizer(localizer, samples, ground_truth, protocol="wsoleval")
    assert records.protocol == "wsoleval"
    for i, sample in enumerate(samples):
        features = localizer.network.features(squash(open_image(sample.path), localizer.size)[None])
        with torch.inference_mode():
            output = localizer.method(features, torch.tensor([sample.label]))
            fused = fuse_branches(output, localizer.inference, localizer.method.fusion).maps[0].numpy()
        levels = (wsoleval.heatmap(fused) * 255).astype(np.uint8)
        if sample.id not in ground_truth.boxes:
            assert np.isnan(records.iou[i])
            continue
        true = [wsoleval.gt_box(box, tuple(records.sizes[i])) for box in ground_truth.boxes[sample.id]]
        at = np.arange(0, 255, 17)
        for column, expected in zip(("level_iou", "level_best"), wsoleval.best_ious(levels, true, (at + 0.5) / 255)):
            found = getattr(records, column)[i, at]
            assert np.isclose(found, expected, atol=1e-6).sum() >= len(at) - 1, column


@pytest.mark.precision
def test_drawn_birds_from_the_reader_to_the_records(birds, trained):
    dataset = read(birds)
    (records,) = evaluate_localizer(Localizer.load(trained), dataset.split("test"), dataset.ground_truth)
    assert len(records) == 6 and not np.isnan(records.level_iou).any() and records.level_best.max() > 0


def literal_ten_crops(localizer, path):
    """Reading 17: four corners and the center of the squashed 8/7 view, and their mirror images, one at a time."""
    large, size = round(localizer.size * 8 / 7), localizer.size
    picture, last = Image.fromarray(squash(open_image(path), large)), large - size
    scores = []
    for x, y in ((0, 0), (last, 0), (0, last), (last, last), (last // 2, last // 2)):
        for view in (crop := picture.crop((x, y, x + size, y + size)), crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)):
            logits = localizer.method(localizer.network.features(np.asarray(view)[None])).logits[0].detach().numpy()
            powers = np.exp(logits - logits.max())
            scores.append(powers / powers.sum())
    return np.mean(scores, axis=0)


def test_ten_crops_classify_and_leave_the_boxes_alone(scene, localizer):
    samples, ground_truth = scene
    variants = [localizer.inference, localizer.inference.model_copy(update={"crops": 10, "box": "fixed:0.4"})]
    one, ten = evaluate_localizer(localizer, samples, ground_truth, variants)
    alone = localizer.with_inference(crops=10)
    assert np.array_equal(one.level_iou, ten.level_iou, equal_nan=True)
    assert not np.allclose(one.top_scores, ten.top_scores, atol=1e-5)
    for row, sample in enumerate(samples):
        expected = literal_ten_crops(localizer, sample.path)
        order = np.argsort(-expected)
        np.testing.assert_allclose(ten.top_scores[row], expected[order], atol=1e-5)
        assert ten.rank[row] == order.tolist().index(sample.label)
        found = alone.locate(sample.path)
        assert found.score == pytest.approx(expected.max(), abs=1e-5) and found.label == NAMES[order[0]]
        assert np.array_equal(found.heatmap, localizer.locate(sample.path, classes=[found.label]).heatmap)
