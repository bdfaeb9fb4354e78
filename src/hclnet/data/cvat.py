"""CVAT for images 1.1 (https://docs.cvat.ai/docs/other/xml_format): an XML file, as CVAT exports it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from hclnet.data.annotated import Annotated, Places, as_dataset, head, labels_alone, unreadable
from hclnet.data.splits import split_of
from hclnet.documents import xml_elements
from hclnet.types import Box, DataSet

KIND = "CVAT for images"
LOOKED_FOR = "an .xml file that CVAT exported as CVAT for images 1.1, or a folder with annotations.xml"

_FILE = "annotations.xml"
_MODEL = "hclnet"  # an element of the meta data: the fingerprint of the model whose boxes a person reviewed


def recognize(root: Path) -> bool:
    file = root / _FILE if root.is_dir() else root
    return file.suffix.lower() == ".xml" and "<annotations>" in head(file)


def read(root: Path, seed: int = 0) -> DataSet:
    """The data set. Of an image without a box, outlines and masks are taken by their extent. Where no image has one, a
    tag is the class of an image.

    Raises:
        ValueError: the file is not as it has to be, has tracks of a video, or images are not there.
    """
    file = root / _FILE if root.is_dir() else root
    places = Places.beside(file)
    try:
        images = list(_images(file, places))
    except (KeyError, ValueError, OverflowError) as error:
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise unreadable(file, KIND, reason) from None
    return as_dataset(root, KIND, labels_alone(images), seed, places)


def _images(file: Path, places: Places) -> Iterator[Annotated]:
    model = ""
    for element in xml_elements(file):
        if element.tag == "track":
            raise ValueError("it has tracks of a video; export it as CVAT for images 1.1")
        if element.tag == _MODEL:
            model = element.text or ""
        if element.tag != "image":
            continue
        name = element.attrib["name"]
        boxes = [(shape.attrib["label"], _corners(shape)) for shape in element.iter("box")]
        if not boxes:
            others = [shape for kind in ("polygon", "mask") for shape in element.iter(kind)]
            boxes = [(shape.attrib["label"], _extent(shape)) for shape in others]
        width, height = element.get("width"), element.get("height")
        size = (int(width), int(height)) if width and height else None
        tags = {tag.attrib["label"] for tag in element.iter("tag")}
        label = next(iter(tags)) if len(tags) == 1 else None
        split = split_of(element.get("subset", ""))
        shapes = [shape for shape in element if shape.tag in ("box", "polygon", "mask")]
        unchanged = model if all(shape.get("source") == "auto" for shape in shapes) else ""
        yield Annotated(name, places.find(name, shorten=True), boxes, size, split, label, unchanged)
        element.clear()


def _corners(shape: ElementTree.Element) -> Box:
    x0, y0, x1, y1 = (float(shape.attrib[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
    return x0, y0, x1, y1


def _extent(shape: ElementTree.Element) -> Box:
    if shape.tag == "mask":
        left, top, width, height = (float(shape.attrib[name]) for name in ("left", "top", "width", "height"))
        return left, top, left + width, top + height
    points = [tuple(map(float, point.split(","))) for point in shape.attrib["points"].split(";")]
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    return min(xs), min(ys), max(xs), max(ys)
