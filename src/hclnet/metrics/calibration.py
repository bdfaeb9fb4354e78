"""One threshold for all maps, chosen on whatever ground-truth boxes there are, and how sure that is.

The level at which most boxes have an IoU of 0.5 is what MaxBoxAcc names, and on twenty images it is a bad choice: the
first of many equally good ones, found where one image more or less tips over. So each image counts by how far its IoU
is to either side of 0.5, as 1 / (1 + exp(-(IoU - 0.5) / 0.1)). On 20 images of `photos` that costs 1.0 point against
the level that is best on all the others, where counting boxes costs 4.1 (docs/ablations.md).

How sure it is, a bootstrap over the images says. In each resample the level is chosen anew, and tried on the images
that the resample left out: an image's share of right boxes among those trials is what the threshold does for an image
that had no part in choosing it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, UInt8

from hclnet.metrics.intervals import interval, resamples
from hclnet.types import Records

FEWEST = 5
"""Images, below which nothing can be said."""

_WIDTH = 0.1  # of IoU
_ROWS = 64  # of resamples at a time


@dataclass(frozen=True, slots=True)
class Calibration:
    """A threshold, and how sure it is; intervals are of 95 %.

    Attributes:
        threshold: share of the maximum, to three digits.
        threshold_interval: where it would lie on other images of the same kind.
        images: with ground-truth boxes, that it was chosen on.
        gt_known: at the threshold on images that had no part in choosing it, 0..1, and its interval.
        rule_gt_known: of the rule that the records were made with, on the same images.
        difference: by how much `gt_known` exceeds that, and the paired interval.
    """

    threshold: float
    threshold_interval: tuple[float, float]
    images: int
    gt_known: tuple[float, float, float]
    rule_gt_known: float
    difference: tuple[float, float, float]


def choose_threshold(records: Records) -> Calibration:
    """The threshold for the maps that records are of; images without a ground-truth box are left out.

    Raises:
        ValueError: there are fewer than `FEWEST` images with a ground-truth box.
    """
    known = ~np.isnan(records.iou)
    count = int(known.sum())
    if count < FEWEST:
        raise ValueError(
            f"Only {count} of these {len(records)} images have a ground-truth box; a threshold takes {FEWEST}, and "
            "twenty are better. Draw some more, or use the rule auto, which takes none."
        )
    iou, right_by_rule = records.level_iou[known].astype(np.float64), records.iou[known] >= 0.5
    score = 1 / (1 + np.exp((0.5 - iou) / _WIDTH))
    right = iou >= 0.5
    drawn = resamples(count)
    levels, trials, hits = [], np.zeros(count), np.zeros(count)
    for start in range(0, len(drawn), _ROWS):
        some = drawn[start : start + _ROWS]
        chosen = (some @ score).argmax(1)
        levels.append(chosen)
        left_out = some == 0
        trials += left_out.sum(0)
        hits += (left_out & right[:, chosen].T).sum(0)
    share = hits / np.maximum(trials, 1)
    level, *others = np.concatenate(levels).tolist()
    low, high = interval(np.array(others) / 255)
    return Calibration(
        round(level / 255, 3),
        (low, high),
        count,
        _mean(share, drawn),
        float(right_by_rule.mean()),
        _mean(share - right_by_rule, drawn),
    )


def _mean(values: Float[np.ndarray, " n"], drawn: UInt8[np.ndarray, "r n"]) -> tuple[float, float, float]:
    means: Float64[np.ndarray, " r"] = drawn @ values / len(values)
    low, high = interval(means[1:])
    return float(means[0]), low, high
