"""Label Studio: tasks with predictions (https://labelstud.io/guide/predictions), and the labelling configuration that
they fit, `label-studio.xml`.

Images are files of Label Studio's local storage, which is the image root. Label Studio wants a storage to be a folder
in its document root, and addresses relative to that: they begin with the image root's name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from hclnet.formats.outlines import polygons
from hclnet.formats.results import ImageResult, ObjectResult, Results, Target
from hclnet.formats.xml_files import indented, plain
from hclnet.storage import write_json, write_text

IMAGE, BOXES, OUTLINES = "image", "label", "outline"
"""Names of the tags in the configuration: the image, its boxes, and the outlines of masks where there are any."""


def write(results: Results, target: Target) -> list[Path]:
    """`label-studio.json` and `label-studio.xml`.

    A task has one prediction with all objects, or, where a person has looked at the image, one annotation. The score of
    a region is the class probability, that of a prediction the lowest of its regions: sorted by it, the least certain
    come first.
    """
    tasks, config = target.path("label-studio.json"), target.path("label-studio.xml")
    write_json(tasks, [_task(one, results) for one in results.images], indent=1)
    write_text(config, indented(configuration(results), declared=False))  # its parser takes text without one alone
    return [tasks, config]


def configuration(results: Results) -> ElementTree.Element:
    """The labelling configuration: an image, and a label for each class."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name=IMAGE, value="$image")
    tags = {BOXES: "RectangleLabels"}
    if any(found.mask for one in results.images for found in one.objects):
        tags[OUTLINES] = "PolygonLabels"
    for name, tag in tags.items():
        control = ElementTree.SubElement(view, tag, name=name, toName=IMAGE)
        for label in results.labels:
            ElementTree.SubElement(control, "Label", value=plain(label))
    return view


def _task(one: ImageResult, results: Results) -> dict[str, Any]:
    path = f"{results.root.name}/{one.name}" if results.root and results.root.name else one.name
    address = f"/data/local-files/?d={quote(path, safe='/', errors='surrogateescape')}"
    regions = [region for k, found in enumerate(one.objects) for region in _regions(one, k, found)]
    # Name and model come back with what is exported.
    data = {"image": address, "name": one.name, "model": results.fingerprint}
    if one.reviewed:
        return {"data": data, "annotations": [{"result": regions}]}
    scores = [found.score for found in one.objects if found.score is not None]
    prediction = {
        "model_version": results.model_version,
        "score": round(min(scores, default=0.0), 6),
        "result": regions,
    }
    return {"data": data, "predictions": [prediction]}


def _regions(one: ImageResult, k: int, found: ObjectResult) -> Iterator[dict[str, Any]]:
    """The box of an object, and the outlines of its mask."""
    width, height = one.size
    x0, x1 = (100 * min(max(v, 0), width) / width for v in found.box[::2])
    y0, y1 = (100 * min(max(v, 0), height) / height for v in found.box[1::2])
    about: dict[str, Any] = {"to_name": IMAGE, "original_width": width, "original_height": height, "image_rotation": 0}
    about["origin"] = "manual" if found.source == "person" else "prediction"
    if found.score is not None:
        about["score"] = round(found.score, 6)
    if found.agreement is not None:
        about["meta"] = {"agreement": round(found.agreement, 3)}
    label = [plain(found.label)]
    box = {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "rotation": 0, "rectanglelabels": label}
    yield {"id": _id(one, k), "from_name": BOXES, "type": "rectanglelabels", "value": box, **about}
    for n, points in enumerate(polygons(found), 1):
        percent = [[round(100 * x, 4), round(100 * y, 4)] for x, y in points]
        outline = {"points": percent, "closed": True, "polygonlabels": label}
        yield {"id": _id(one, k, n), "from_name": OUTLINES, "type": "polygonlabels", "value": outline, **about}


def _id(one: ImageResult, *numbers: int) -> str:
    """The id of a region: the same in each call."""
    name = "/".join([one.name, *map(str, numbers)])
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:10]
