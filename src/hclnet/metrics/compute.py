"""Every metric as a reduction of the records, in fractions 0..1."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64, Real

from hclnet.metrics.registry import is_count, present_metrics, total_counts, values
from hclnet.types import Records


def compute_metrics(records: Records, iou_threshold: float = 0.5) -> dict[str, int | float]:
    """The field's metrics of some records.

    `images`, `top1_cls` and `top5_cls` are over all images; the latter are missing if nothing was classified, and so
    are the metrics below that depend on it. The others are over the images with a ground-truth box, and there only if
    there are any:

    - `images_with_boxes`: how many these are.
    - `top1_loc`, `top5_loc`: the true class is in the top 1, top 5, and its box has an IoU >= `iou_threshold`.
    - `gt_known`: that box, whatever was predicted.
    - `box_acc_v2`: the mean over IoU 0.3, 0.5, 0.7 of the share of such boxes that reach it, whatever `iou_threshold`
      is. Unlike `max_box_acc_v2` it depends on the box rule.
    - `max_box_acc`: GT-known of the largest component's box at the one level t that is best for all images together
      (MaxBoxAcc, Choe et al. 2020); `max_box_acc_threshold`: the smallest such t, as t / 255.
    - `max_box_acc_v2`: any component may match; mean over IoU 0.3, 0.5, 0.7 of the accuracy at the level best for each
      (MaxBoxAccV2), whatever `iou_threshold` is.
    - `top1_loc_best`: `top1_loc` at the level of `max_box_acc_threshold` in place of the box rule's.

    And over the pixels of the images with a ground-truth mask, if there are any (`images_with_masks`):

    - `pxap`: area under the precision-recall curve of the pixels' scores (PxAP).

    With fewer than five classes every class is in the top 5.

    Args:
        records: at least one row.
        iou_threshold: smallest IoU of a correct box.

    Raises:
        ValueError: there are no rows.
    """
    if not len(records):
        raise ValueError("there are no records, so no metrics; evaluate at least one image.")
    once = weighted_metrics(records, np.ones((1, len(records))), iou_threshold)
    return {name: int(value[0]) if is_count(name) else float(value[0]) for name, value in once.items()}


def weighted_metrics(
    records: Records, weights: Real[np.ndarray, "r n"], iou_threshold: float = 0.5
) -> dict[str, Float64[np.ndarray, " r"]]:
    """The metrics of tables in which row i of the records occurs `weights[:, i]` times, as in a bootstrap resample.

    What is best over all images, such as a level, is chosen anew in each. A metric without an image to stand on is NaN.
    """
    metrics = present_metrics(records)
    counts = tuple(count for metric in metrics for count in metric.counts)
    return values(metrics, total_counts(records, weights, counts, iou_threshold))


def accuracy_by_level(records: Records, iou_threshold: float = 0.5) -> Float64[np.ndarray, " 256"]:
    """At each level t = 0..255, the share of right boxes if all images were cut there; its maximum is MaxBoxAcc.

    Args:
        records: at least one row with a ground-truth box; the others are left out.
        iou_threshold: smallest IoU of a correct box.

    Raises:
        ValueError: no row has a ground-truth box.
    """
    known = ~np.isnan(records.iou)
    if not known.any():
        raise ValueError("no image has a ground-truth box, so no box is right or wrong; score images that have one.")
    return (records.level_iou[known] >= iou_threshold).mean(axis=0)


def describe_protocol(metrics: dict[str, Any]) -> str:
    """In a sentence or two, how the metrics of one evaluation were measured, or why there is no localization."""
    text = f"Percent of {metrics['images']} images"
    if "intervals" in metrics:
        text += ", with 95 % intervals over images"
    if "protocol" not in metrics:
        return f"{text}. There are no ground-truth boxes here: classification only."
    protocol = metrics["protocol"]
    text += f". Protocol {protocol['name']}: maps of {protocol['map_size']} px, {protocol['upsampling']} upsampling"
    if "max_box_acc_threshold" in metrics:
        best = metrics["max_box_acc_threshold"]
        text += f", box rule {protocol['rule']}; the best threshold is {best:.2f} of the maximum"
    if "crops" in metrics:
        text += f"; classified by {metrics['crops']} crops"
    if "looks" in metrics:
        text += f"; test-time augmentation: images {metrics['looks']}"
    return text + "."
