"""How sure the metrics are: percentile bootstrap over the images (Efron 1979), for metrics and paired differences.

In each resample the images are drawn anew with replacement and everything is computed again, the best level too, so
that an interval covers the luck of choosing it. It speaks of other images of the same kind, not of other trainings.

`weighted_metrics(records, resamples(n))` has every metric as it was measured, first, and then in every resample. Tables
of the same images drawn alike are paired: what makes an image easy or hard for two methods cancels out between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, Integer, UInt8

from hclnet.metrics.compute import compute_metrics
from hclnet.metrics.registry import is_count
from hclnet.types import Records

PAIRED = (
    "Points, with paired 95 % intervals: a bootstrap over the same images for both. A difference whose interval "
    "excludes 0 is more than chance over these images; only more seeds show how much trainings vary."
)

RESAMPLES = 1000
CONFIDENCE = 0.95

Resampled = Mapping[str, Float64[np.ndarray, " r"]]
Hits = Mapping[str, Float64[np.ndarray, " n"]]


def resamples(images: int, count: int = RESAMPLES, seed: int = 0) -> UInt8[np.ndarray, "r n"]:
    """How often each image occurs: once in the first row, then in each of `count` resamples; a function of the seed."""
    rng = np.random.default_rng(seed)
    drawn = np.ones((1 + count, images), dtype=np.uint8)  # no image is ever drawn 256 times
    for row in drawn[1:]:
        row[:] = np.bincount(rng.integers(images, size=images), minlength=images)
    return drawn


def intervals(values: Resampled) -> dict[str, list[float]]:
    """The 95 % interval of every metric, by its name: `[low, high]`. `values` are over `resamples`."""
    return {name: interval(value[1:]) for name, value in values.items() if not is_count(name)}


def interval(values: Float64[np.ndarray, " r"]) -> list[float]:
    """The ends of the 95 % interval of resampled values."""
    # A resample without any ground-truth box has no such metric.
    tail = 100 * (1 - CONFIDENCE) / 2
    return np.nanpercentile(values, [tail, 100 - tail]).tolist()


def differences(ours: Sequence[Resampled], baseline: Sequence[Resampled]) -> dict[str, list[float]]:
    """By how much the metrics of one method exceed those of another on the same images: `[difference, low, high]`.

    Args:
        ours: metrics over the same `resamples`, for each seed of one method; its value is the median over them.
        baseline: the same of the other method.
    """
    a, b = _median(ours), _median(baseline)
    both = {name: a[name] - b[name] for name in a if name in b and not is_count(name)}
    return {name: [float(value[0]), *interval(value[1:])] for name, value in both.items()}


def change(value: Sequence[float] | None, form: str) -> str:
    """A difference and the ends of its interval, in points, set into a form with three places."""
    return "-" if value is None else form.format(*(f"{100 * v:+.1f}" for v in value))


def hits(records: Records) -> dict[str, Float64[np.ndarray, " n"]]:
    """For every image whether it is right, 0 or 1: `top1_cls`, `gt_known` and `max_box_acc`; NaN without a ground-truth
    box.

    For `max_box_acc` that is at the one level that is best for all images together.
    """
    result = {"top1_cls": (records.rank == 0).astype(np.float64)} if records.top_classes.shape[1] else {}
    threshold = compute_metrics(records).get("max_box_acc_threshold")
    if threshold is not None:
        at_best = records.level_iou[:, round(255 * threshold)]
        for name, iou in (("gt_known", records.iou), ("max_box_acc", at_best)):
            result[name] = np.where(np.isnan(records.iou), np.nan, iou >= 0.5)
    return result


def class_table(
    labels: Integer[np.ndarray, " n"], classes: Sequence[str], ours: Sequence[Hits], baseline: Sequence[Hits] = ()
) -> list[dict[str, Any]]:
    """For each class its number of images, and with its interval the share of `hits`, least `gt_known` first.

    With a baseline also by how much it is exceeded on the same images, as `<metric>_difference`. Each is
    `[value, low, high]`, and left out for a class without a ground-truth box.

    Args:
        labels: true classes of the images.
        classes: their names, by label.
        ours: `hits` of one method, one for each seed; its value is the mean over them.
        baseline: the same of another method on the same images.
    """
    rng = np.random.default_rng(0)
    own, other = (_mean(side) if side else {} for side in (ours, baseline))
    columns = dict(own) | {f"{name}_difference": own[name] - other[name] for name in own if name in other}
    rows = []
    for label in np.unique(labels).tolist():
        members = labels == label
        row: dict[str, Any] = {"class": classes[label], "images": int(members.sum())}
        for name, column in columns.items():
            values = column[members & ~np.isnan(column)]
            if len(values):
                means = values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
                row[name] = [float(values.mean()), *interval(means)]
        rows.append(row)
    return sorted(rows, key=lambda row: row.get("gt_known", row.get("top1_cls", [0.0]))[0])


def _median(values: Sequence[Resampled]) -> dict[str, Float64[np.ndarray, " r"]]:
    shared = [name for name in values[0] if all(name in v for v in values)]
    return {name: np.median([v[name] for v in values], axis=0) for name in shared}


def _mean(values: Sequence[Hits]) -> dict[str, Float64[np.ndarray, " n"]]:
    return {name: np.mean([v[name] for v in values], axis=0) for name in values[0]}
