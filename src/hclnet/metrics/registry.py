"""The metrics, each registered in one place: key, name, meaning, what it counts in the records, and how the counts
become its value.

Every metric is a function of sums over images. So a table, a bootstrap resample, a training loop of several processes
and a stream of images that nobody keeps all come to the same value: they add the same whole numbers up.

A new metric is one `register(Metric(...))`. `hclnet.metrics.compute` and so `--json`, the tables on the terminal and
in Markdown, `compare.json` and the report then have it, with its interval. Those that are there from the start are in
`hclnet.metrics.registered`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
from jaxtyping import Bool, Float64, Integer, Real

from hclnet.types import Records

V2_IOUS = (0.3, 0.5, 0.7)

Count = Callable[[Records, float], np.ndarray]
"""What one number, or one row of numbers, an image contributes: of records and the smallest IoU of a right box. A count
of images is boolean."""

Totals = Float64[np.ndarray, "r _"]
"""Sums of a count over images, in r tables of them."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        key: in `compute_metrics`, files and `--json`.
        counts: what is summed over the images.
        value: the metric, of those sums in the same order, each r x k; r values, NaN where nothing was counted.
        needs: of the records: `classes` (they were classified), `boxes`, `masks` (of the ground truth). Where
            the records lack one of them, they have no such metric.
        name: as tables call it. One without a name is in files only.
        heading: the same in two short lines, for a narrow column.
        meaning: what it says, in a few words.
        whole: it is a number of images, not a share.
        prominence: where not all fit, as on a terminal, those of higher prominence are shown.
    """

    key: str
    counts: tuple[Count, ...]
    value: Callable[..., Float64[np.ndarray, " r"]]
    needs: tuple[str, ...] = ()
    name: str = ""
    heading: str = ""
    meaning: str = ""
    whole: bool = False
    prominence: int = 0


METRICS: dict[str, Metric] = {}
"""All metrics by key, in the order in which tables show them."""


def register(metric: Metric) -> Metric:
    """Make a metric known.

    Raises:
        ValueError: there is one of that key, or it has a name and no meaning.
    """
    if metric.key in METRICS:
        raise ValueError(f"there is a metric {metric.key!r} already; give the new one another key.")
    if metric.name and not metric.meaning:
        raise ValueError(f"the metric {metric.key!r} has a name and no meaning: say in a few words what it measures.")
    METRICS[metric.key] = metric
    return metric


def shown_metrics() -> list[Metric]:
    """Those that tables show, in order."""
    return [metric for metric in METRICS.values() if metric.name]


def is_count(key: str) -> bool:
    """Whether a metric is a number of images, which has no interval."""
    return key in METRICS and METRICS[key].whole


def present_metrics(records: Records) -> list[Metric]:
    """Those that the records have what they need for."""
    has = {
        "classes": records.top_classes.shape[1] > 0,
        "boxes": not np.isnan(records.iou).all(),
        "masks": bool(records.inside.any()),
    }
    return [metric for metric in METRICS.values() if all(has[need] for need in metric.needs)]


def total_counts(
    records: Records, weights: Real[np.ndarray, "r n"], counts: tuple[Count, ...], iou_threshold: float = 0.5
) -> dict[Count, Totals]:
    """Weighted sums over the images of each count; a chunk of images at a time.

    Args:
        records: a row an image.
        weights: how often each row is there, in each of r tables.
        counts: what is summed.
        iou_threshold: smallest IoU of a right box.
    """
    total: dict[Count, Totals] = {}
    for start in range(0, max(len(records), 1), _CHUNK):
        some, chunk = _part(records, start, start + _CHUNK), slice(start, start + _CHUNK)
        # In single precision sums of ones are exact up to 2^24 images; those of pixels need double.
        single, double = weights[:, chunk].astype(np.float32), weights[:, chunk].astype(np.float64)
        for count in dict.fromkeys(counts):
            column = count(some, iou_threshold)
            column = column[:, None] if column.ndim == 1 else column
            ones = column.dtype == bool
            part = ((single if ones else double) @ column.astype(np.float32 if ones else np.float64)).astype(np.float64)
            total[count] = total[count] + part if count in total else part
    return total


def values(metrics: list[Metric], totals: Mapping[Count, Totals]) -> dict[str, Float64[np.ndarray, " r"]]:
    """Each metric of the sums that it needs, by its key."""
    return {metric.key: metric.value(*(totals[count] for count in metric.counts)) for metric in metrics}


_CHUNK = 1024
_ROWS = tuple(column.name for column in fields(Records) if column.name != "protocol")


def _part(records: Records, start: int, stop: int) -> Records:
    return Records(**{name: getattr(records, name)[start:stop] for name in _ROWS}, protocol=records.protocol)


# Counts: one row of the result an image.


def images(records: Records, iou_threshold: float) -> Bool[np.ndarray, " n"]:
    """Every image."""
    return np.ones(len(records), dtype=bool)


def boxed(records: Records, iou_threshold: float) -> Bool[np.ndarray, " n"]:
    """Images with a ground-truth box."""
    return ~np.isnan(records.iou)


def masked(records: Records, iou_threshold: float) -> Bool[np.ndarray, " n"]:
    """Images with a ground-truth mask."""
    return np.any(records.inside, axis=1) | np.any(records.outside, axis=1)


def right(records: Records, iou_threshold: float) -> Bool[np.ndarray, " n"]:
    """Images whose box at the box rule is right."""
    return records.iou >= iou_threshold  # NaN is not


@cache
def in_top(k: int) -> Count:
    """Images whose class is among the k most probable."""

    def classified(records: Records, iou_threshold: float) -> Bool[np.ndarray, " n"]:
        return (records.rank >= 0) & (records.rank < k)

    return classified


@cache
def right_in_top(k: int) -> Count:
    """Those of them whose box is right."""

    def located(records: Records, iou_threshold: float) -> Bool[np.ndarray, " n"]:
        return in_top(k)(records, iou_threshold) & right(records, iou_threshold)

    return located


def right_at_levels(records: Records, iou_threshold: float) -> Bool[np.ndarray, "n 256"]:
    """At each level, whether the largest component's box is right."""
    return records.level_iou >= iou_threshold


def right_first_at_levels(records: Records, iou_threshold: float) -> Bool[np.ndarray, "n 256"]:
    """The same, of the images whose class is the most probable."""
    return in_top(1)(records, iou_threshold)[:, None] & right_at_levels(records, iou_threshold)


@cache
def any_at_levels(iou: float) -> Count:
    """At each level, whether any component's box reaches an IoU."""

    def reached(records: Records, iou_threshold: float) -> Bool[np.ndarray, "n 256"]:
        return records.level_best >= iou

    return reached


def right_at_ious(records: Records, iou_threshold: float) -> Bool[np.ndarray, "n 3"]:
    """Whether the box at the box rule reaches each IoU of `V2_IOUS`."""
    return records.iou[:, None] >= np.array(V2_IOUS, dtype=records.iou.dtype)


def inside(records: Records, iou_threshold: float) -> Integer[np.ndarray, "n b"]:
    """Pixels of the mask in each bin of the score."""
    return records.inside


def outside(records: Records, iou_threshold: float) -> Integer[np.ndarray, "n b"]:
    """Pixels of the background in each bin of the score."""
    return records.outside


any_at_v2_ious = tuple(any_at_levels(iou) for iou in V2_IOUS)


# Values: of sums.


def number(count: Totals) -> Float64[np.ndarray, " r"]:
    """A count as it is."""
    return count[:, 0]


def share(of: Totals, count: Totals) -> Float64[np.ndarray, " r"]:
    """A count as a share of another."""
    return _share(count[:, 0], of[:, 0])


def best_share(of: Totals, at_levels: Totals) -> Float64[np.ndarray, " r"]:
    """The share at the level that is best for all images together."""
    return _share(at_levels.max(axis=1), of[:, 0])


def best_level(of: Totals, at_levels: Totals) -> Float64[np.ndarray, " r"]:
    """That level as a share of the maximum; the lowest of equal ones."""
    return np.where(of[:, 0] > 0, at_levels.argmax(axis=1) / 255, np.nan)


def share_at_best(of: Totals, at_levels: Totals, others: Totals) -> Float64[np.ndarray, " r"]:
    """Another count at the level that is best by the first."""
    return _share(others[np.arange(len(others)), at_levels.argmax(axis=1)], of[:, 0])


def mean_of_best_shares(of: Totals, *at_levels: Totals) -> Float64[np.ndarray, " r"]:
    """The mean over several counts, each at its own best level."""
    return np.mean([best_share(of, each) for each in at_levels], axis=0)


def mean_share(of: Totals, at: Totals) -> Float64[np.ndarray, " r"]:
    """The mean over the columns of a count."""
    return np.mean([_share(column, of[:, 0]) for column in at.T], axis=0)


def _share(count: Float64[np.ndarray, " r"], of: Float64[np.ndarray, " r"]) -> Float64[np.ndarray, " r"]:
    return np.divide(count, of, out=np.full_like(count, np.nan), where=of > 0)


def top_k_loc(k: int) -> Metric:
    """Top-k Loc for any k; the registered ones are those of 1 and 5."""
    return Metric(f"top{k}_loc", (boxed, right_in_top(k)), share, ("boxes", "classes"))
