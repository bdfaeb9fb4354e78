"""Figures: every metric as a reduction of the records, in fractions 0..1."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64, Real

from hclnet.metrics.masks import pxap
from hclnet.types import Records

V2_IOUS = (0.3, 0.5, 0.7)
COUNTS = ("images", "images_with_boxes", "images_with_masks")

# What tables call the figures, and what they say.
MEANINGS = {
    "top1_cls": ("Top-1 classification", "the true class is the most probable"),
    "top5_cls": ("Top-5 classification", "it is among the five most probable"),
    "top1_loc": ("Top-1 Loc", "right class first, and box IoU >= 0.5"),
    "top5_loc": ("Top-5 Loc", "class in the five, and box IoU >= 0.5"),
    "gt_known": ("GT-known Loc", "box IoU >= 0.5, whatever the prediction"),
    "max_box_acc": ("MaxBoxAcc", "the same at the one best threshold"),
    "max_box_acc_v2": ("MaxBoxAccV2", "any component, mean of IoU .3, .5, .7"),
    "top1_loc_best": ("Top-1 Loc, best t", "at the threshold of MaxBoxAcc"),
    "pxap": ("PxAP", "area under the pixels' precision-recall"),
}


def figures(records: Records, iou_threshold: float = 0.5) -> dict[str, int | float]:
    """The field's metrics of some records.

    `images`, `top1_cls` and `top5_cls` are over all images; the latter are missing if nothing was classified, and so
    are the figures below that depend on it. The others are over the images with a true box, and there only if there
    are any:

    - `images_with_boxes`: how many these are.
    - `top1_loc`, `top5_loc`: the true class is in the top 1, top 5, and its box has an IoU >= `iou_threshold`.
    - `gt_known`: that box, whatever was predicted.
    - `max_box_acc`: GT-known of the largest component's box at the one level t that is best for all images together
      (MaxBoxAcc, Choe et al. 2020); `max_box_acc_threshold`: the smallest such t, as t / 255.
    - `max_box_acc_v2`: any component may match; mean over IoU 0.3, 0.5, 0.7 of the accuracy at the level best for each
      (MaxBoxAccV2), whatever `iou_threshold` is.
    - `top1_loc_best`: `top1_loc` at the level of `max_box_acc_threshold` in place of the box rule's.

    And over the pixels of the images with a true mask, if there are any (`images_with_masks`):

    - `pxap`: area under the precision-recall curve of the pixels' scores (PxAP).

    With fewer than five classes every class is in the top 5.

    Args:
        records: at least one row.
        iou_threshold: smallest IoU of a correct box.

    Raises:
        ValueError: there are no rows.
    """
    if not len(records):
        raise ValueError("there are no records, so no figures; evaluate at least one image.")
    once = weighted_figures(records, np.ones((1, len(records))), iou_threshold)
    return {name: int(value[0]) if name in COUNTS else float(value[0]) for name, value in once.items()}


def weighted_figures(
    records: Records, weights: Real[np.ndarray, "r n"], iou_threshold: float = 0.5
) -> dict[str, Float64[np.ndarray, " r"]]:
    """The figures of tables in which row i of the records occurs `weights[:, i]` times, as in a bootstrap resample.

    What is best over all images, such as a level, is chosen anew in each. A figure without an image to stand on is NaN.
    """
    total = _totals(records, weights, iou_threshold)
    images = total["images"][:, 0]
    result = {"images": images}
    classified = records.top_classes.shape[1] > 0
    if classified:
        result |= {name: _share(total[name][:, 0], images) for name in ("top1_cls", "top5_cls")}
    if not np.isnan(records.iou).all():
        known, rows = total["known"][:, 0], np.arange(len(images))
        best = total["level"].argmax(axis=1)  # the first of equal ones, hence the smallest t
        v2 = [_share(total[f"best at {iou}"].max(axis=1), known) for iou in V2_IOUS]
        result |= {"images_with_boxes": known}
        if classified:
            result |= {name: _share(total[name][:, 0], known) for name in ("top1_loc", "top5_loc")}
        result |= {
            "gt_known": _share(total["gt_known"][:, 0], known),
            "max_box_acc": _share(total["level"][rows, best], known),
            "max_box_acc_threshold": np.where(known > 0, best / 255, np.nan),
            "max_box_acc_v2": np.mean(v2, axis=0),
        }
        if classified:
            result["top1_loc_best"] = _share(total["top1 at level"][rows, best], known)
    if records.inside.any():
        result["images_with_masks"] = total["masked"][:, 0]
        result["pxap"] = pxap(total["inside"], total["outside"])
    return result


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


def describe_protocol(figures: dict[str, Any]) -> str:
    """In a sentence or two, how the figures of one evaluation were measured, or why there is no localisation."""
    told = f"Percent of {figures['images']} images"
    if "intervals" in figures:
        told += ", with 95 % intervals over images"
    if "protocol" not in figures:
        return f"{told}. There are no true boxes here: classification only."
    protocol = figures["protocol"]
    told += f". Protocol {protocol['name']}: maps of {protocol['map_size']} px, {protocol['upsampling']} upsampling"
    if "max_box_acc_threshold" in figures:
        best = figures["max_box_acc_threshold"]
        told += f", box rule {protocol['rule']}; the best threshold is {best:.2f} of the maximum"
    if "crops" in figures:
        told += f"; classified by {figures['crops']} crops"
    if "looks" in figures:
        told += f"; images seen {figures['looks']}"
    return told + "."


_CHUNK = 1024


def _totals(
    records: Records, weights: Real[np.ndarray, "r n"], iou_threshold: float
) -> dict[str, Float64[np.ndarray, "r _"]]:
    """Weighted sums over the images of all that the figures are made of; a chunk of images at a time."""
    total: dict[str, np.ndarray] = {}
    for start in range(0, len(records), _CHUNK):
        rows = slice(start, start + _CHUNK)
        # In single precision sums of ones are exact up to 2^24 images; those of pixels need double.
        ones, pixels = weights[:, rows].astype(np.float32), weights[:, rows].astype(np.float64)
        for name, column in _columns(records, rows, iou_threshold).items():
            double = name in ("inside", "outside")
            part = (pixels if double else ones) @ column.astype(np.float64 if double else np.float32)
            total[name] = total[name] + part if name in total else part.astype(np.float64)
    return total


def _columns(records: Records, rows: slice, iou_threshold: float) -> dict[str, np.ndarray]:
    rank = records.rank[rows, None]
    top1, top5 = rank == 0, (rank >= 0) & (rank < 5)
    known = ~np.isnan(records.iou[rows, None])
    found = records.iou[rows, None] >= iou_threshold  # NaN is not
    columns = {"images": np.ones_like(known), "top1_cls": top1, "top5_cls": top5, "known": known}
    columns |= {"top1_loc": top1 & found, "top5_loc": top5 & found, "gt_known": found}
    if not np.isnan(records.iou).all():
        level_best = records.level_best[rows]
        columns["level"] = records.level_iou[rows] >= iou_threshold
        columns["top1 at level"] = top1 & columns["level"]
        columns |= {f"best at {iou}": level_best >= iou for iou in V2_IOUS}
    if records.inside.shape[1]:
        inside, outside = records.inside[rows], records.outside[rows]
        columns |= {"inside": inside, "outside": outside}
        columns["masked"] = (inside.any(axis=1) | outside.any(axis=1))[:, None]
    return columns


def _share(count: Float64[np.ndarray, " r"], of: Float64[np.ndarray, " r"]) -> Float64[np.ndarray, " r"]:
    return np.divide(count, of, out=np.full_like(count, np.nan), where=of > 0)
