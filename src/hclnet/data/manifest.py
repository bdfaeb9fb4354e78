"""A manifest: one table, as CSV or Parquet, that names every image, its class, and what else is known of it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hclnet.data.classes import in_order
from hclnet.data.columns import BOX, SPLIT_OTHERS, columns_of
from hclnet.data.files import is_file, shown
from hclnet.data.splits import NAMES, held_out, made_note, split_of
from hclnet.data.table import Row, Table, read_table
from hclnet.types import DataSet, GroundTruth, MaskFiles, Sample

KIND = "manifest"
LOOKED_FOR = (
    "a .csv or .parquet file, or a folder with manifest.csv or manifest.parquet, with columns path and label, and "
    "where present split, x0, y0, x1, y1, mask, ignore"
)
_FILES = ("manifest.csv", "manifest.parquet")


@dataclass(slots=True)
class _Image:
    """What the rows of one image say; the first of them is `row`."""

    row: int
    path: Path
    label: str
    split: str
    boxes: list[list[float]] = field(default_factory=list)
    models: set[str] = field(default_factory=set)  # that made the boxes; empty where no model did
    masks: list[Path] = field(default_factory=list)
    ignore: Path | None = None


def recognize(root: Path) -> bool:
    if root.is_file():
        return root.suffix.lower() in (".csv", ".parquet")
    return any((root / name).is_file() for name in _FILES)


def read(root: Path, seed: int = 0) -> DataSet:
    """The data set that a manifest lists.

    Paths are relative to the manifest's folder, or absolute. An image may have several rows: a box or a mask each; its
    label and its split are the same in all of them. Boxes are in pixels of the upright image. Without a column
    `split`, a fifth of each class is held out as `test`: stratified, and a function of the seed and the paths only.
    CSV may be divided by commas, semicolons or tabs, as its first line is.

    Raises:
        ValueError: a column is missing, or a row is not as it has to be; the message names the row and what it needs.
            Or it is a Parquet file and pyarrow is not installed.
    """
    file = _file(root)
    table = read_table(file)
    columns = columns_of(file, table.columns, _split_column(table))
    has_split = "split" in columns.wanted.values()
    images: dict[str, _Image] = {}
    for number, row in table.rows(columns.wanted):
        try:
            _add(images, file.parent, number, row, has_split, columns.extents)
        except ValueError as error:
            raise ValueError(f"{shown(file)}, row {number}: {error}") from None
    if not images:
        raise ValueError(f"{shown(file)} has no row below its header. Add one for each image.")
    classes = sorted({image.label for image in images.values()}, key=in_order)
    index = {name: k for k, name in enumerate(classes)}
    notes = [*columns.notes]
    if not has_split:
        notes.append(made_note("no column split in it", seed))
        for name in classes:
            ids = [key for key, image in images.items() if image.label == name]
            test = held_out(ids, name, seed)
            for key in ids:
                images[key].split = "test" if key in test else "train"
    samples = tuple(Sample(key, i.path, index[i.label], i.split) for key, i in images.items())
    boxes = {key: np.array(i.boxes, dtype=np.float64) for key, i in images.items() if i.boxes}
    masks = {key: MaskFiles(tuple(i.masks), i.ignore) for key, i in images.items() if i.masks}
    unchanged = {key: next(iter(i.models)) for key, i in images.items() if len(i.models) == 1 and "" not in i.models}
    truth = GroundTruth(boxes, masks, unchanged=unchanged)
    return DataSet(root, KIND, tuple(classes), samples, truth, tuple(notes))


def _file(root: Path) -> Path:
    if root.is_file():
        return root
    found = [root / name for name in _FILES if (root / name).is_file()]
    if len(found) > 1:
        raise ValueError(f"{root} has {' and '.join(_FILES)}. Keep one of them, or give the file itself as DATA.")
    return found[0]


def _split_column(table: Table) -> str | None:
    """A column of another name that has nothing but splits in it."""
    for column in SPLIT_OTHERS:
        if "split" not in table.columns and table.columns.count(column) == 1:
            values = [split_of(row["split"]) for _, row in table.rows({column: "split"})]
            if values and all(values):
                return column
    return None


def _add(images: dict[str, _Image], home: Path, number: int, row: Row, has_split: bool, extents: bool) -> None:
    """Take in one row."""
    for needed in ("path", "label"):
        if not row[needed]:
            raise ValueError(f"{needed} is empty. Fill it in or remove the row.")
    split = split_of(row["split"]) if has_split else ""
    if split is None:
        raise ValueError(f"split is {shown(row['split'])!r}; it must be one of {NAMES}.")
    name = path_here(home, row["path"])
    key = _id(home, name)
    image = images.get(key)
    if image is None:
        image = images[key] = _Image(number, _existing(home, name, "image"), row["label"], split)
    for what, before, now in (("label", image.label, row["label"]), ("split", image.split, split)):
        if before != now:
            raise ValueError(
                f"{shown(key)} has {what} {shown(now)!r} here and {shown(before)!r} in row {image.row}. "
                "All rows of an image must have the same."
            )
    if box := _box(row, extents):
        image.boxes.append(box)
        image.models.add(row["model"] if row.get("source") == "model" else "")
    if row.get("mask"):
        image.masks.append(_existing(home, row["mask"], "mask"))
    if row.get("ignore"):
        ignore = _existing(home, row["ignore"], "ignore mask")
        if not image.masks or image.ignore not in (None, ignore):
            found = "another one in a row above" if image.masks else "no mask"
            raise ValueError(
                f"{shown(key)} has an ignore mask, and {found}. An image has masks and at most one ignore mask."
            )
        image.ignore = ignore


def _id(home: Path, name: str) -> str:
    """The path as the manifest has it, without dots; an absolute one from the manifest's folder on, or from `/`."""
    path, folder = Path(os.path.normpath(name)), Path(os.path.abspath(home))  # noqa: PTH100, links stay as they are
    if path.is_absolute():
        path = path.relative_to(folder if path.is_relative_to(folder) else path.anchor)
    return path.as_posix()


def path_here(home: Path, name: str) -> str:
    """A path as it is here: with slashes, where it was written on Windows and there is no file of the other name."""
    return name.replace("\\", "/") if "\\" in name and not is_file(home / name) else name


def _existing(home: Path, name: str, what: str) -> Path:
    path = home / path_here(home, name)
    if not is_file(path):
        raise ValueError(f"there is no {what} {shown(path)}. Paths are relative to the manifest's folder.")
    return path


def _box(row: Row, extents: bool) -> list[float] | None:
    """The box of a row, if it has one; with `extents`, x1 and y1 are width and height."""
    values = [row.get(name, "") for name in BOX]
    if not any(values):
        return None
    found = ", ".join(f"{name} {shown(value) or 'empty'}" for name, value in zip(BOX, values))
    try:
        x0, y0, x1, y1 = box = [float(value) for value in values]
    except ValueError:
        raise ValueError(f"a box needs four numbers; found {found}. Fill in all four or none.") from None
    if extents:
        x1, y1 = x0 + x1, y0 + y1
        found, box = f"{found} as left, top, width, height", [x0, y0, x1, y1]
    if not all(map(math.isfinite, box)) or x1 <= x0 or y1 <= y0:
        raise ValueError(f"a box needs x0 < x1 and y0 < y1, in pixels; found {found}.")
    return box
