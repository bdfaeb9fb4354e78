"""How well several objects an image are found: recall and AP50 by pycocotools."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np

from hclnet_runtime.data.images import image_size
from real_sets import RealSet


def object_metrics(real: RealSet, found: Sequence[Mapping[str, Sequence[Sequence[float]]]]) -> dict[str, float]:
    """`recall`, the share of all ground-truth boxes that a found box of their own matches (IoU >= 0.5, at most 100 an
    image), and `ap50`, the mean over the classes of the average precision at that IoU (COCO's).

    Objects are looked for in the images of their class only, and images without a ground-truth box are left out.

    Args:
        real: the set.
        found: for each of its parts x0, y0, x1, y1 and score of what was found, by the image's id.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    by_part = {id(part): objects for part, objects in zip(real.parts, found)}
    images: list[dict[str, Any]] = []
    true: list[dict[str, Any]] = []
    ours: list[dict[str, Any]] = []
    for number, (part, sample) in enumerate(real.boxed, 1):
        size = image_size(sample.path)
        images.append({"id": number, "width": size[0], "height": size[1]})
        shared = {"image_id": number, "category_id": sample.label + 1}
        for box in part.ground_truth.boxes_in(sample.id, size).tolist():
            # Numbers begin at 1: pycocotools takes a match with annotation 0 for none.
            true.append({**shared, **_as_coco(box), "id": len(true) + 1})
        ours += [{**shared, **_as_coco(box), "score": score} for *box, score in by_part[id(part)].get(sample.id, ())]
    if not ours:
        return {"recall": 0.0, "ap50": 0.0}
    classes = [{"id": k + 1, "name": name} for k, name in enumerate(real.parts[0].classes)]
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pycocotools' own arrays, in NumPy 2
        truth = COCO()
        truth.dataset = {"info": {}, "images": images, "annotations": true, "categories": classes}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(ours), "bbox")
        evaluation.params.iouThrs = np.array([0.5])
        evaluation.params.maxDets = [100]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    matched = sum(int((image["gtMatches"] > 0).sum()) for image in evaluation.evalImgs if image)
    precision = evaluation.eval["precision"]
    return {"recall": matched / len(true), "ap50": float(precision[precision > -1].mean())}


def _as_coco(box: Sequence[float]) -> dict[str, Any]:
    x0, y0, x1, y1 = box
    return {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "iscrowd": 0}
