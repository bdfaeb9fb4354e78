"""YOLO in Ultralytics' layout (https://docs.ultralytics.com/datasets/detect): `data.yaml`, images, and a text file of
labels for each.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hclnet.data.annotated import Annotated, Places, as_dataset, head, unreadable
from hclnet.data.files import image_files, is_file, is_folder, is_image_name, is_there, read_lines, read_text, shown
from hclnet.documents import parse_yaml
from hclnet.types import FRACTIONS, Box, DataSet

KIND = "YOLO"
LOOKED_FOR = "a .yaml file, or a folder with data.yaml, that has names, and train, val or test; labels/ beside images/"

_FILES = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml")
_SPLITS = {"train": "train", "val": "val", "validation": "val", "valid": "val", "test": "test"}


def recognize(root: Path) -> bool:
    if root.is_file():
        return root.suffix.lower() in (".yaml", ".yml")
    file = _file(root)
    text = head(file) if file else ""
    return all(re.search(rf"^({keys})\s*:", text, re.M) for keys in ("names", "|".join(_SPLITS)))


def read(root: Path, seed: int = 0) -> DataSet:
    """The data set. Polygons are taken by their extent. If `train` and `val` are the same images, a split is made.

    Raises:
        ValueError: a file is not as it has to be.
    """
    file = root if root.is_file() else _file(root)
    assert file is not None
    about = _about(file)
    names = _names(file, about)
    found = {split: list(_images_of(file, about, key)) for key, split in _SPLITS.items() if about.get(key)}
    if len(found) > 1 and len({frozenset(paths) for paths in found.values()}) == 1:
        found = {"": next(iter(found.values()))}
    images = [
        Annotated(path.name, path, _boxes(path, names), FRACTIONS, split or None)
        for split, paths in found.items()
        for path in paths
    ]
    return as_dataset(root, KIND, images, seed, Places())


def _file(root: Path) -> Path | None:
    return next((root / name for name in _FILES if (root / name).is_file()), None)


def _about(file: Path) -> dict[str, Any]:
    text = read_text(file)
    try:
        about = parse_yaml(text)
    except ValueError as error:
        raise unreadable(file, "YAML", str(error)) from None
    if not isinstance(about, dict) or "names" not in about or not about.keys() & _SPLITS.keys():
        raise unreadable(file, "a data set for YOLO", "it needs names, and train, val or test")
    return about


def _names(file: Path, about: dict[str, Any]) -> dict[int, str]:
    names = about["names"]
    try:
        return {int(k): str(name) for k, name in (names.items() if isinstance(names, dict) else enumerate(names))}
    except (TypeError, ValueError):
        raise unreadable(file, "a data set for YOLO", "names is neither a list nor numbers with names") from None


def _images_of(file: Path, about: dict[str, Any], key: str) -> Iterator[Path]:
    """The images of a split: those in folders, or in lists of files.

    Raises:
        ValueError: a folder, list or image is not there.
    """
    base = file.parent / str(about.get("path") or "")
    bases = [base if is_folder(base) else file.parent, file.parent]
    for entry in about[key] if isinstance(about[key], list) else [about[key]]:
        names = [str(entry), str(entry).removeprefix("../")]  # Ultralytics tries both
        place = next((base / name for base in bases for name in names if is_there(base / name)), None)
        if place is None:
            raise ValueError(
                f"{shown(file)}: there is no {shown(bases[0] / str(entry))}, which {key} names. Put the images there."
            )
        if is_folder(place):
            yield from image_files(place)
            continue
        for number, line in read_lines(place):
            path = next((p for p in (place.parent / line, bases[0] / line) if is_file(p)), None)
            if path is None or not is_image_name(path):
                raise ValueError(f"{shown(place)}, line {number}: there is no image {shown(line)}.")
            yield path


def _boxes(image: Path, names: dict[int, str]) -> list[tuple[str, Box]]:
    """The boxes of an image, as fractions of it; none without a file of labels."""
    before, slash, after = str(image).rpartition(f"{os.sep}images{os.sep}")
    beside = f"{before}{os.sep}labels{os.sep}{after}" if slash else str(image)
    file = Path(beside).with_suffix(".txt")
    return [_box(file, number, line.split(), names) for number, line in read_lines(file)] if file.is_file() else []


def _box(file: Path, number: int, words: list[str], names: dict[int, str]) -> tuple[str, Box]:
    """Raises:
    ValueError: a line is neither a box, with a confidence or without, nor a polygon.
    """
    try:
        label, *values = names[int(float(words[0]))], *map(float, words[1:])
        if not all(map(math.isfinite, values)):
            raise ValueError
        if len(values) in (4, 5):
            x, y, width, height = values[:4]
            return label, (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        if len(values) < 6 or len(values) % 2:
            raise ValueError
        return label, (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))
    except (ValueError, KeyError, OverflowError):
        raise ValueError(
            f"{shown(file)}, line {number}: {shown(' '.join(words)[:60])} is no box of a known class. A line is the "
            "class's number, and center, width and height as fractions of the image."
        ) from None
