"""Figures: every metric as a reduction of the records, in fractions 0..1."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64

from hclnet.types import Records

V2_IOUS = (0.3, 0.5, 0.7)

# What tables call the figures, and what they say.
MEANINGS = {
    "top1_cls": ("Top-1 classification", "the true class is the most probable"),
    "top5_cls": ("Top-5 classification", "it is among the five most probable"),
    "top1_loc": ("Top-1 Loc", "most probable, and its box has IoU >= 0.5"),
    "top5_loc": ("Top-5 Loc", "among the five, and its box has IoU >= 0.5"),
    "gt_known": ("GT-known Loc", "its box has IoU >= 0.5, whatever was predicted"),
    "max_box_acc": ("MaxBoxAcc", "the same at the one best threshold"),
    "max_box_acc_v2": ("MaxBoxAccV2", "every component, mean over IoU 0.3, 0.5, 0.7"),
    "top1_loc_best": ("Top-1 Loc, best threshold", "at the threshold of MaxBoxAcc"),
}


def figures(records: Records, iou_threshold: float = 0.5) -> dict[str, int | float]:
    """The field's metrics of some records.

    `images`, `top1_cls` and `top5_cls` are over all images. The others are over the images with a true box, and there
    only if there are any:

    - `images_with_boxes`: how many these are.
    - `top1_loc`, `top5_loc`: the true class is in the top 1, top 5, and its box has an IoU >= `iou_threshold`.
    - `gt_known`: that box, whatever was predicted.
    - `max_box_acc`: GT-known of the largest component's box at the one level t that is best for all images together
      (MaxBoxAcc, Choe et al. 2020); `max_box_acc_threshold`: the smallest such t, as t / 255.
    - `max_box_acc_v2`: any component may match; mean over IoU 0.3, 0.5, 0.7 of the accuracy at the level best for each
      (MaxBoxAccV2), whatever `iou_threshold` is.
    - `top1_loc_best`: `top1_loc` at the level of `max_box_acc_threshold` in place of the box rule's.

    With fewer than five classes every class is in the top 5.

    Args:
        records: at least one row.
        iou_threshold: smallest IoU of a correct box.

    Raises:
        ValueError: there are no rows.
    """
    if not len(records):
        raise ValueError("there are no records, so no figures; evaluate at least one image.")
    top1, top5 = records.rank == 0, records.rank < 5
    result: dict[str, int | float] = {
        "images": len(records),
        "top1_cls": float(top1.mean()),
        "top5_cls": float(top5.mean()),
    }
    known = ~np.isnan(records.iou)
    if not known.any():
        return result
    top1, top5 = top1[known], top5[known]
    found = records.iou[known] >= iou_threshold
    at_level = records.level_iou[known] >= iou_threshold
    accuracy = accuracy_by_level(records, iou_threshold)
    best = int(accuracy.argmax())  # the first of equal ones, hence the smallest t
    level_best = records.level_best[known]
    v2 = [(level_best >= threshold).mean(axis=0).max() for threshold in V2_IOUS]
    return result | {
        "images_with_boxes": int(known.sum()),
        "top1_loc": float((top1 & found).mean()),
        "top5_loc": float((top5 & found).mean()),
        "gt_known": float(found.mean()),
        "max_box_acc": float(accuracy[best]),
        "max_box_acc_threshold": best / 255,
        "max_box_acc_v2": float(np.mean(v2)),
        "top1_loc_best": float((top1 & at_level[:, best]).mean()),
    }


def accuracy_by_level(records: Records, iou_threshold: float = 0.5) -> Float64[np.ndarray, " 256"]:
    """At each level t = 0..255, the share of right boxes if all images were cut there; its maximum is MaxBoxAcc.

    Args:
        records: at least one row with a true box; the others are left out.
        iou_threshold: smallest IoU of a correct box.

    Raises:
        ValueError: no row has a true box.
    """
    known = ~np.isnan(records.iou)
    if not known.any():
        raise ValueError("no image has a true box, so no box is right or wrong; score images that have one.")
    return (records.level_iou[known] >= iou_threshold).mean(axis=0)


def protocol(map_size: int, upsampling: str, rule: str) -> dict[str, str | int]:
    """How the figures were measured, to be written beside them.

    Args:
        map_size: side of the level maps, pixels.
        upsampling: how class maps became that large, such as `bilinear`.
        rule: the box rule, as text.
    """
    return {
        "name": "hclnet",
        "map_size": map_size,
        "upsampling": upsampling,
        "levels": "floor(255 h) > t, t = 0..255",
        "components": "8-connected; the one with the most pixels, or for max_box_acc_v2 every one",
        "iou": "half-open boxes; true boxes scaled to the map, not rounded",
        "rule": rule,
    }


def describe_protocol(figures: dict[str, Any]) -> str:
    """In a sentence or two, how the figures of one evaluation were measured, or why there is no localisation."""
    if "protocol" not in figures:
        return f"Percent of {figures['images']} images. There are no true boxes here: classification only."
    protocol = figures["protocol"]
    return (
        f"Percent of {figures['images']} images. Protocol {protocol['name']}: maps of {protocol['map_size']} px, "
        f"{protocol['upsampling']} upsampling, box rule {protocol['rule']}; the best threshold is "
        f"{figures['max_box_acc_threshold']:.2f} of the maximum."
    )
