"""CVAT for images 1.1 (https://docs.cvat.ai/docs/other/xml_format): `cvat.xml`, and the labels that a task must have,
`cvat-labels.json`.

CVAT finds images by their names. It drops attributes that the task's labels don't declare, so make the task with these.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from hclnet.formats.masks import row_lengths
from hclnet.formats.results import ImageResult, ObjectResult, Results, Target
from hclnet.formats.xml_files import indented, plain
from hclnet.storage import write_json, write_text

_ATTRIBUTES = ("score", "agreement")  # CVAT's own attribute `source` can't be imported: it becomes "file"


def write(results: Results, target: Target) -> list[Path]:
    """`cvat.xml` and `cvat-labels.json`. An object with a mask has it in one group with its box."""
    annotations, labels = target.path("cvat.xml"), target.path("cvat-labels.json")
    write_text(annotations, indented(document(results)))
    write_json(labels, label_list(results), indent=1)
    return [annotations, labels]


def label_list(results: Results) -> list[dict[str, Any]]:
    """What to paste under Raw where a task's labels are made."""
    attribute = {"mutable": False, "input_type": "text", "default_value": "", "values": [""]}
    attributes = [{"name": name, **attribute} for name in _ATTRIBUTES]
    return [{"name": plain(label), "type": "any", "attributes": attributes} for label in results.labels]


def document(results: Results) -> ElementTree.Element:
    """The annotations of all images."""
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    meta = ElementTree.SubElement(root, "meta")
    task = ElementTree.SubElement(meta, "task")
    about = {"name": results.model_version, "size": str(len(results.images)), "mode": "annotation"}
    for tag, text in about.items():
        ElementTree.SubElement(task, tag).text = plain(text)
    labels = ElementTree.SubElement(task, "labels")
    for one in label_list(results):
        label = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(label, "name").text = one["name"]
        ElementTree.SubElement(label, "type").text = one["type"]
        attributes = ElementTree.SubElement(label, "attributes")
        for declared in one["attributes"]:
            attribute = ElementTree.SubElement(attributes, "attribute")
            ElementTree.SubElement(attribute, "name").text = declared["name"]
            ElementTree.SubElement(attribute, "mutable").text = "False"
            ElementTree.SubElement(attribute, "input_type").text = declared["input_type"]
            ElementTree.SubElement(attribute, "default_value")
            ElementTree.SubElement(attribute, "values")
    if any(image.reviewed for image in results.images):  # boxes whose source is `auto` are this model's, and accepted
        ElementTree.SubElement(meta, "hclnet").text = results.fingerprint
    for number, image in enumerate(results.images):
        _add_image(root, number, image)
    return root


def _add_image(root: ElementTree.Element, number: int, one: ImageResult) -> None:
    width, height = map(str, one.size)
    image = ElementTree.SubElement(root, "image", id=str(number), name=plain(one.name), width=width, height=height)
    for k, found in enumerate(one.objects, 1):
        mask = found.pixels(one.size)
        source = "manual" if found.source == "person" else "auto"
        about = {"label": plain(found.label), "source": source, "occluded": "0", "z_order": "0"}
        if mask is not None:
            about["group_id"] = str(k)
        corners = {name: f"{v:.2f}" for name, v in zip(("xtl", "ytl", "xbr", "ybr"), found.box)}
        _add_attributes(ElementTree.SubElement(image, "box", {**about, **corners}), found)
        if mask is not None:
            ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            part = mask[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
            place = {"left": xs[0], "top": ys[0], "width": part.shape[1], "height": part.shape[0]}
            about["rle"] = ", ".join(map(str, row_lengths(part)))
            shape = ElementTree.SubElement(image, "mask", about | {name: str(value) for name, value in place.items()})
            _add_attributes(shape, found)


def _add_attributes(shape: ElementTree.Element, found: ObjectResult) -> None:
    for name, value in zip(_ATTRIBUTES, (found.score, found.agreement)):
        if value is not None:
            ElementTree.SubElement(shape, "attribute", name=name).text = f"{value:.6f}".rstrip("0").rstrip(".")
