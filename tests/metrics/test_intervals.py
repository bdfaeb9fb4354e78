import time

import numpy as np
import pytest

from hclnet.metrics import class_table, compute_metrics, differences, hits, intervals, resamples, weighted_metrics
from hclnet.types import Records


def some_records(n, seed=0, better=0.0, classes=7, boxed=1.0):
    """Records with difficulty of their own for every image, which all methods with the same seed share."""
    rng = np.random.default_rng(seed)
    hard = rng.random(n)
    level = np.linspace(0, 1, 256)
    own = np.random.default_rng([seed, int(1000 * better)])
    iou = np.clip(1 - hard + better + own.normal(0, 0.02, n), 0, 1)
    level_iou = np.clip(iou[:, None] - (level - 0.4) ** 2, 0, 1)
    unknown = np.random.default_rng(1).random(n) >= boxed
    for column in (iou, level_iou):
        column[unknown] = np.nan
    return Records(
        ids=[str(i) for i in range(n)],
        paths=[""] * n,
        labels=np.arange(n) % classes,
        sizes=np.ones((n, 2), dtype=np.int64),
        top_classes=np.zeros((n, 5), dtype=np.int64),
        top_scores=np.zeros((n, 5)),
        rank=(hard * 8).astype(np.int64),
        boxes=np.zeros((n, 4)),
        iou=iou,
        level_iou=level_iou,
        level_best=np.minimum(level_iou + 0.05, 1),
        inside=rng.integers(0, 9, (n, 6)),
        outside=rng.integers(0, 9, (n, 6)),
    )


def test_resamples_are_the_images_themselves_and_then_as_many_drawn_with_replacement():
    drawn = resamples(50, 200)
    assert drawn.shape == (201, 50) and (drawn[0] == 1).all() and (drawn.sum(axis=1) == 50).all()
    assert (drawn[1:].mean(axis=0) > 0.7).all() and drawn[1:].max() < 10
    np.testing.assert_array_equal(drawn, resamples(50, 200))
    assert (drawn != resamples(50, 200, seed=1)).any()


def literal_intervals(records, count):
    """A loop of draws, each scored as a table of its own."""
    rng, values = np.random.default_rng(9), []
    for _ in range(count):
        again = rng.integers(len(records), size=len(records))
        drawn = some_records(len(records))
        for column in ("rank", "iou", "level_iou", "level_best", "inside", "outside"):
            setattr(drawn, column, getattr(records, column)[again])
        values.append(compute_metrics(drawn))
    return {name: np.percentile([v[name] for v in values], [2.5, 97.5]) for name in values[0]}


def test_intervals_are_those_of_a_loop_in_which_the_best_level_is_chosen_anew():
    records = some_records(40, boxed=0.8)
    ours = intervals(weighted_metrics(records, resamples(40)))
    measured = compute_metrics(records)
    assert set(ours) == {name for name in measured if not name.startswith("images")}
    expected = literal_intervals(records, 150)
    for name in ("top1_cls", "gt_known", "max_box_acc", "max_box_acc_v2", "pxap"):
        low, high = ours[name]
        assert low <= measured[name] <= high
        np.testing.assert_allclose([low, high], expected[name], atol=0.07)


def test_the_interval_of_a_share_is_the_binomial_one():
    n = 400
    records = some_records(n)
    low, high = intervals(weighted_metrics(records, resamples(n, 2000)))["gt_known"]
    share = compute_metrics(records)["gt_known"]
    half = 1.96 * np.sqrt(share * (1 - share) / n)
    assert (low, high) == pytest.approx((share - half, share + half), abs=0.01)


def test_paired_differences_are_narrower_than_the_intervals_of_the_two():
    drawn = resamples(200)
    one, other = (weighted_metrics(some_records(200, better=b), drawn) for b in (0.0, 0.1))
    value, low, high = differences([other], [one])["gt_known"]
    assert value == other["gt_known"][0] - one["gt_known"][0] > 0.05
    assert 0 < low <= value <= high
    apart = intervals(other)["gt_known"]
    assert high - low < 0.6 * (apart[1] - apart[0])
    assert differences([one], [one])["max_box_acc"] == [0, 0, 0]
    assert not any(name.startswith("images") for name in differences([one], [other]))


def test_what_was_measured_is_no_resample():
    values = {"gt_known": np.array([5.0, 1.0, 1.0, 1.0]), "images": np.array([4.0, 4.0, 4.0, 4.0])}
    assert intervals(values) == {"gt_known": [1.0, 1.0]}
    other = {"gt_known": np.array([1.0, 2.0, 2.0, 2.0])}
    assert differences([values], [other]) == {"gt_known": [4.0, -1.0, -1.0]}


def test_a_method_of_several_seeds_is_its_median():
    drawn = resamples(40, 50)
    seeds = [weighted_metrics(some_records(40, better=b), drawn) for b in (0.0, 0.3, 0.1)]
    base = [weighted_metrics(some_records(40), drawn)]
    assert differences(seeds, base)["gt_known"] == differences(seeds[2:], base)["gt_known"]


def test_by_class_worst_first_with_differences():
    records, better = some_records(70, classes=7), some_records(70, better=0.2, classes=7)
    names = [f"class {k}" for k in range(7)]
    rows = class_table(better.labels, names, [hits(better)], [hits(records)])
    assert sorted(row["class"] for row in rows) == names and all(row["images"] == 10 for row in rows)
    values = [row["gt_known"][0] for row in rows]
    assert values == sorted(values)
    for row in rows:
        members = better.labels == names.index(row["class"])
        assert row["gt_known"][0] == pytest.approx((better.iou[members] >= 0.5).mean())
        assert row["top1_cls"][0] == pytest.approx((better.rank[members] == 0).mean())
        value, low, high = row["gt_known_difference"]
        assert value == pytest.approx(row["gt_known"][0] - (records.iou[members] >= 0.5).mean())
        assert low <= value <= high
    assert np.average(values) == pytest.approx(compute_metrics(better)["gt_known"])
    at_best = [row["max_box_acc"][0] for row in rows]
    assert np.average(at_best) == pytest.approx(compute_metrics(better)["max_box_acc"])


def test_a_class_without_images_or_boxes_has_no_such_figures():
    records = some_records(6, classes=3)
    records.labels = np.array([0, 0, 0, 2, 2, 2])
    records.iou[3:] = np.nan
    first, last = sorted(class_table(records.labels, "abc", [hits(records)]), key=lambda row: row["class"])
    assert (first["class"], last["class"]) == ("a", "c")
    assert set(first) == {"class", "images", "top1_cls", "gt_known", "max_box_acc"}
    assert set(last) == {"class", "images", "top1_cls"}


def test_without_any_box_there_are_intervals_of_classification_alone():
    records = some_records(9, boxed=0.0)
    records.inside, records.outside = np.zeros((2, 9, 0), dtype=np.int64)
    assert set(intervals(weighted_metrics(records, resamples(9)))) == {"top1_cls", "top5_cls"}


def test_a_thousand_resamples_of_the_cub_test_split_take_seconds():
    records = some_records(5794, classes=200)
    records.inside, records.outside = np.zeros((2, 5794, 0), dtype=np.int64)
    began = time.process_time()
    intervals(weighted_metrics(records, resamples(5794)))
    assert time.process_time() - began < 20  # three of them, on a machine that does nothing else
