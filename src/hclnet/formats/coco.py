"""A COCO data set (https://cocodataset.org/#format-data) with scores, and with masks where there are any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hclnet.formats.masks import run_lengths
from hclnet.formats.results import ObjectResult, Results, Target
from hclnet.storage import write_json


def coco_dataset(results: Results) -> dict[str, Any]:
    """Images, categories and annotations; ids count from 1, `bbox` is x, y, width, height in pixels.

    An object with a mask has it as `segmentation`, run lengths not compressed, which `pycocotools` reads. Of one
    without, it is the box as a polygon of four corners. `area` is that of the mask, or of the box. Categories are all
    classes of the model, so that ids stay the same from one call to the next.
    """
    category = {name: k for k, name in enumerate(results.labels, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, one in enumerate(results.images, 1):
        width, height = one.size
        images.append({"id": image_id, "file_name": one.name, "width": width, "height": height})
        for found in one.objects:
            about = {"id": len(annotations) + 1, "image_id": image_id, "category_id": category[found.label]}
            annotations.append(about | _annotation(found, one.size))
    return {
        "info": {
            "description": "Boxes located by hclnet from class labels",
            "version": results.model_version,
            "model": results.fingerprint,
        },
        "licenses": [],
        "images": images,
        "categories": [{"id": k, "name": name} for name, k in category.items()],
        "annotations": annotations,
    }


def coco_results(dataset: dict[str, Any]) -> list[dict[str, Any]]:
    """The annotations with a score as a list of results (https://cocodataset.org/#format-results), for `loadRes`.

    Args:
        dataset: as `coco_dataset` makes it, which has the ids.
    """
    kept = ("image_id", "category_id", "bbox", "score", "agreement")
    rows = []
    for annotation in dataset["annotations"]:
        if "score" in annotation:
            row = {key: annotation[key] for key in kept if key in annotation}
            is_mask = isinstance(annotation["segmentation"], dict)
            rows.append(row | {"segmentation": annotation["segmentation"]} if is_mask else row)
    return rows


def write(results: Results, target: Target) -> list[Path]:
    """The data set as `coco.json`, the list of results as `coco-results.json`."""
    dataset, path, plain_list = coco_dataset(results), target.path("coco.json"), target.path("coco-results.json")
    write_json(path, dataset)
    write_json(plain_list, coco_results(dataset))
    return [path, plain_list]


def _annotation(found: ObjectResult, size: tuple[int, int]) -> dict[str, Any]:
    x0, y0, x1, y1 = (round(v, 2) for v in found.box)
    w, h = round(x1 - x0, 2), round(y1 - y0, 2)
    row: dict[str, Any] = {"bbox": [x0, y0, w, h], "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]]}
    row |= {"area": round(w * h, 2), "iscrowd": 0}
    if (mask := found.pixels(size)) is not None:
        row |= {"segmentation": run_lengths(mask), "area": int(mask.sum())}
    if found.score is not None:
        row["score"] = round(found.score, 6)
    if found.agreement is not None:
        row["agreement"] = round(found.agreement, 3)
    if found.source is not None:
        row["source"] = found.source
    return row
