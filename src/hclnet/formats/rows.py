"""A localization as a line of the journal, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from hclnet.formats.masks import of_run_lengths, run_lengths
from hclnet.types import Localization, LocatedObject
from hclnet_runtime.results import plain


def row_of(one: Localization, masks: bool) -> dict[str, Any]:
    """What of a localization is kept: all but its maps.

    `peak` of an object is where in the image its heatmap is highest, x and y in pixels, and how high. A mask is in the
    heatmap's resolution over the whole image.

    Args:
        one: of a file.
        masks: whether to keep those of the objects.
    """
    values = plain(one)
    for row, found in zip(values["objects"], one.objects):
        if found.label in one.heatmaps:
            row["peak"] = _peak(found, one.heatmaps[found.label], one.size)
        if masks and found.mask is not None:
            row["mask"] = run_lengths(found.mask)
    return {"path": one.path, "asked": list(one.heatmaps), **values}


def localization_of(row: dict[str, Any], masks: bool = True) -> Localization:
    """What `row_of` kept, with masks or without."""
    objects = tuple(
        LocatedObject(
            found["label"],
            found["score"],
            tuple(found["box"]),
            of_run_lengths(found["mask"]) if masks and "mask" in found else None,
            found.get("agreement"),
        )
        for found in row["objects"]
    )
    predictions = tuple((name, score) for name, score in row["predictions"])
    return Localization(row["path"], tuple(row["size"]), objects, predictions, {}, {})


def _peak(found: LocatedObject, heatmap: np.ndarray, size: tuple[int, int]) -> list[float]:
    height, width = heatmap.shape
    if found.mask is not None and found.mask.any():
        inside = found.mask
    else:
        x0, y0, x1, y1 = np.array(found.box) * ((width / size[0], height / size[1]) * 2)
        inside = np.zeros((height, width), bool)
        inside[int(y0) : max(int(y0) + 1, round(y1)), int(x0) : max(int(x0) + 1, round(x1))] = True
    y, x = np.unravel_index(np.where(inside, heatmap, -1).argmax(), heatmap.shape)
    return [
        round((x + 0.5) * size[0] / width, 2),
        round((y + 0.5) * size[1] / height, 2),
        round(float(heatmap[y, x]), 6),
    ]
