"""COCO detection data (https://cocodataset.org/#format-data): a JSON file, or a folder with one for each split."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hclnet.data.annotated import Annotated, Places, as_dataset, head, unreadable
from hclnet.data.files import read_text, shown
from hclnet.data.splits import split_of
from hclnet.documents import parse_json
from hclnet.types import Box, DataSet

KIND = "COCO"
LOOKED_FOR = (
    "a .json file with images, annotations and categories, or a folder with annotations/instances_<split>.json, "
    "_annotations.coco.json, or <split>/_annotations.coco.json"
)

_HEAD = 1 << 16  # bytes of a file in which one of these keys comes, behind `info` and `licenses`
_KEYS = re.compile(r'\{.*"(images|annotations|categories)"\s*:', re.S)


def recognize(root: Path) -> bool:
    if root.is_file():
        return root.suffix.lower() == ".json" and head(root).startswith("{")
    return any(_KEYS.match(head(file, _HEAD)) for file in _files(root))


def read(root: Path, seed: int = 0) -> DataSet:
    """The data set; a file's split is that of its name or folder, and made where neither says one. Crowds are left out.

    Raises:
        ValueError: a file is not as it has to be, or images are not there.
    """
    files = [root] if root.is_file() else _files(root)
    images: list[Annotated] = []
    all_places = Places()
    crowds = 0
    for file in files:
        data = _loaded(file)
        if len(files) > 1 and "annotations" not in data:
            continue  # such as image_info_test2017.json
        split = _split(file)
        places = Places.beside(file, *_elsewhere(file))
        all_places.folders += places.folders
        try:
            images += _images(data, places, split)
            crowds += sum(bool(one.get("iscrowd")) for one in data["annotations"])
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
            reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
            raise unreadable(file, "COCO detection data", reason) from None
    notes = [f"{crowds:,} box{'es' * (crowds > 1)} of crowds left out"] if crowds else []
    return as_dataset(root, KIND, images, seed, all_places, notes)


def _files(root: Path) -> list[Path]:
    """The files of annotations in a folder: those of instances, where there are such."""
    for pattern in ("annotations/instances_*.json", "annotations/*.json", "*/_annotations.coco.json"):
        if found := sorted(root.glob(pattern)):
            return found
    return sorted(root.glob("_annotations.coco.json"))


def _loaded(file: Path) -> dict[str, Any]:
    text = read_text(file)
    try:
        data = parse_json(text)
    except ValueError as error:
        raise unreadable(file, "JSON", str(error)) from None
    if not isinstance(data, dict) or "images" not in data:
        has = ", ".join(map(shown, list(data)[:6])) if isinstance(data, dict) else "a list"
        raise unreadable(file, "COCO detection data", f"it has {has or 'nothing'} and not images")
    return data


def _split(file: Path) -> str | None:
    """The split that a file is of, by a word in its name, or by its folder."""
    words = re.findall("[a-z]+", file.stem.lower())
    found = [split for word in words if (split := split_of(word))]
    return found[0] if found else split_of(file.parent.name)


def _elsewhere(file: Path) -> Iterator[Path]:
    """Where images are beside a folder `annotations`: in a folder of the split's name, such as `train2017`."""
    home, part = file.parent.parent, file.stem.rpartition("_")[2]
    for base in (home, home / "images"):
        yield from (base, base / part)


def _images(data: dict[str, Any], places: Places, split: str | None) -> Iterator[Annotated]:
    names = {category["id"]: str(category["name"]) for category in data["categories"]}
    boxes: dict[Any, list[tuple[str, Box]]] = defaultdict(list)
    not_the_models = set()  # images with a box that no model made, or that nobody has looked at
    info = data.get("info")
    model = info.get("model") if isinstance(info, dict) else None
    for one in data["annotations"]:
        if one.get("iscrowd") or "bbox" not in one:
            continue
        if one["category_id"] not in names:
            raise ValueError(f"there is no category {one['category_id']}, which annotation {one.get('id')} has")
        x, y, width, height = map(float, one["bbox"])
        if not all(map(math.isfinite, (x, y, width, height))):
            raise ValueError(f"the box of annotation {one.get('id')} is not finite")
        boxes[one["image_id"]].append((names[one["category_id"]], (x, y, x + width, y + height)))
        if one.get("source") != "model":
            not_the_models.add(one["image_id"])
    for image in data["images"]:
        name = str(image["file_name"])
        width, height = image.get("width"), image.get("height")
        size = (int(width), int(height)) if width and height else None
        unchanged = "" if image["id"] in not_the_models else str(model or "")
        yield Annotated(name, places.find(name), boxes.get(image["id"], ()), size, split, unchanged=unchanged)
