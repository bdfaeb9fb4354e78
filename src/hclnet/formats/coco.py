"""A COCO data set (https://cocodataset.org/#format-data) with scores, and with masks where there are any."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hclnet.formats.masks import at_size, run_lengths
from hclnet.storage import write_json
from hclnet.types import Localization


def coco_dataset(
    localizations: Sequence[Localization], classes: Sequence[str], root: Path | None = None
) -> dict[str, Any]:
    """Images, categories and annotations; ids count from 1, `bbox` is x, y, width, height in pixels.

    An object with a mask has it as `segmentation`, run lengths not compressed, which `pycocotools` reads. Of one
    without, it is the box as a polygon of four corners. `area` is that of the mask, or of the box.

    Args:
        localizations: one per image.
        classes: the localizer's. Categories are all of them, so that ids stay the same from one call to the next.
        root: the folder that `file_name` is relative to, with slashes; without one it is the path as it was given.
    """
    category = {name: k for k, name in enumerate(classes, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, one in enumerate(localizations, 1):
        width, height = one.size
        images.append({"id": image_id, "file_name": _file_name(one.path, root), "width": width, "height": height})
        for found in one.objects:
            x0, y0, x1, y1 = (round(v, 2) for v in found.box)
            w, h = round(x1 - x0, 2), round(y1 - y0, 2)
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": category[found.label],
                "bbox": [x0, y0, w, h],
                "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
                "area": round(w * h, 2),
                "iscrowd": 0,
                "score": round(found.score, 6),
            }
            if found.mask is not None:
                mask = at_size(found.mask, one.size)
            if found.mask is not None and mask.any():
                annotation |= {"segmentation": run_lengths(mask), "area": int(mask.sum())}
            annotations.append(annotation)
    return {
        "info": {"description": "Boxes located by hclnet from class labels"},
        "licenses": [],
        "images": images,
        "categories": [{"id": k, "name": name} for name, k in category.items()],
        "annotations": annotations,
    }


def write_coco(
    localizations: Sequence[Localization], classes: Sequence[str], path: Path, root: Path | None = None
) -> None:
    """`coco_dataset` as a file."""
    write_json(path, coco_dataset(localizations, classes, root))


def _file_name(path: str, root: Path | None) -> str:
    if root is None:
        return path
    return Path(os.path.relpath(os.path.abspath(path), os.path.abspath(root))).as_posix()  # noqa: PTH100
