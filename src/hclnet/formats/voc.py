"""Pascal VOC (http://host.robots.ox.ac.uk/pascal/VOC): `voc/Annotations`, `JPEGImages` and `ImageSets/Main`.

Images are links, under names of which no two have one stem, since an annotation is found by the stem of its image.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from hclnet.formats.results import ImageResult, ObjectResult, Results, Target
from hclnet.formats.tree import stems_of, tree
from hclnet.formats.xml_files import indented, plain


def write(results: Results, target: Target) -> list[Path]:
    """The folder `voc`, with all images in `ImageSets/Main/trainval.txt`.

    Corners are whole pixels that count from 1 and belong to the box. `score` and `agreement` are attributes, which
    Datumaro and CVAT read and others pass over.
    """
    folder = target.path("voc")
    stems = stems_of(results)
    with tree(folder) as made:
        for one, stem in zip(results.images, stems):
            name = f"{stem}{PurePosixPath(one.name).suffix}"
            made.link(f"JPEGImages/{name}", one.file)
            made.write(f"Annotations/{stem}.xml", indented(_annotation(one, name)))
        made.write("ImageSets/Main/trainval.txt", "".join(f"{stem}\n" for stem in stems))
        labels = "".join(f"{plain(label)}:::\n" for label in ("background", *results.labels))
        made.write("labelmap.txt", f"# label:color_rgb:parts:actions\n{labels}")
    return [folder]


def _annotation(one: ImageResult, name: str) -> ElementTree.Element:
    root = ElementTree.Element("annotation")
    _add(root, folder="voc", filename=name)
    _add(ElementTree.SubElement(root, "source"), database="hclnet")
    width, height = one.size
    _add(ElementTree.SubElement(root, "size"), width=width, height=height, depth=3)
    _add(root, segmented=0)
    for found in one.objects:
        _add_object(root, found, one.size)
    return root


def _add_object(root: ElementTree.Element, found: ObjectResult, size: tuple[int, int]) -> None:
    element = ElementTree.SubElement(root, "object")
    x0, y0, x1, y1 = whole_pixels(found, size)
    _add(element, name=found.label, pose="Unspecified", truncated=0, difficult=0, occluded=0)
    _add(ElementTree.SubElement(element, "bndbox"), xmin=x0 + 1, ymin=y0 + 1, xmax=x1, ymax=y1)
    known = {
        name: value for name, value in (("score", found.score), ("agreement", found.agreement)) if value is not None
    }
    if known:
        attributes = ElementTree.SubElement(element, "attributes")
        for attribute, value in known.items():
            _add(ElementTree.SubElement(attributes, "attribute"), name=attribute, value=f"{value:.6g}")


def whole_pixels(found: ObjectResult, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box in whole pixels within the image, from 0 and half-open, at least one pixel wide and high."""
    (x0, x1), (y0, y1) = (_rounded(low, high, side) for low, high, side in zip(found.box[:2], found.box[2:], size))
    return x0, y0, x1, y1


def _rounded(low: float, high: float, side: int) -> tuple[int, int]:
    start = min(max(round(low), 0), side - 1)
    return start, min(max(round(high), start + 1), side)


def _add(element: ElementTree.Element, **texts: object) -> None:
    for tag, text in texts.items():
        ElementTree.SubElement(element, tag).text = plain(str(text))
