"""A manifest: one table, as CSV or Parquet, that names every image, its class, and what else is known of it."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hclnet.data.classes import in_order
from hclnet.data.files import read_text, shown
from hclnet.data.splits import NAMES, held_out, made_note, split_of
from hclnet.types import DataSet, MaskFiles, Sample, Truth

KIND = "manifest"
LOOKED_FOR = (
    "a .csv or .parquet file, or a folder with manifest.csv or manifest.parquet, with columns path and label, and "
    "where present split, x0, y0, x1, y1, mask, ignore"
)
_FILES = ("manifest.csv", "manifest.parquet")
_BOX = ("x0", "y0", "x1", "y1")
_COLUMNS = ("path", "label", "split", *_BOX, "mask", "ignore")

Row = Mapping[str, str]


@dataclass(slots=True)
class _Image:
    """What the rows of one image say; the first of them is `row`."""

    row: int
    path: Path
    label: str
    split: str
    boxes: list[list[float]] = field(default_factory=list)
    masks: list[Path] = field(default_factory=list)
    ignore: Path | None = None


def recognise(root: Path) -> bool:
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
    columns, rows = _parquet(file) if file.suffix.lower() == ".parquet" else _csv(file)
    _check_columns(file, columns)
    images: dict[str, _Image] = {}
    for number, row in rows:
        try:
            _add(images, file.parent, number, row, "split" in columns)
        except ValueError as error:
            raise ValueError(f"{shown(file)}, row {number}: {error}") from None
    if not images:
        raise ValueError(f"{shown(file)} has no row under its header: it needs one for each image.")
    classes = sorted({image.label for image in images.values()}, key=in_order)
    index = {name: k for k, name in enumerate(classes)}
    notes = [f"columns that are not used: {', '.join(shown(c) for c in extra)}"] if (extra := _extra(columns)) else []
    if "split" not in columns:
        notes.append(made_note("no column split in it", seed))
        for name in classes:
            ids = [key for key, image in images.items() if image.label == name]
            test = held_out(ids, name, seed)
            for key in ids:
                images[key].split = "test" if key in test else "train"
    samples = tuple(Sample(key, i.path, index[i.label], i.split) for key, i in images.items())
    boxes = {key: np.array(i.boxes, dtype=np.float64) for key, i in images.items() if i.boxes}
    masks = {key: MaskFiles(tuple(i.masks), i.ignore) for key, i in images.items() if i.masks}
    return DataSet(root, KIND, tuple(classes), samples, Truth(boxes, masks), tuple(notes))


def _file(root: Path) -> Path:
    if root.is_file():
        return root
    found = [root / name for name in _FILES if (root / name).is_file()]
    if len(found) > 1:
        raise ValueError(f"{root} has {' and '.join(_FILES)}. Keep one of them, or give the file itself as DATA.")
    return found[0]


def _csv(file: Path) -> tuple[list[str], Iterator[tuple[int, Row]]]:
    """The columns, and rows with their numbers; the header is row 1."""
    text = read_text(file)
    header = text.partition("\n")[0]
    table = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count))

    def next_row(number: int) -> list[str] | None:
        try:
            return next(table, None)
        except csv.Error as error:
            raise ValueError(f"{shown(file)}, row {number}: {error}. Write it again as CSV.") from None

    columns = [name.strip().lower() for name in next_row(1) or []]

    def rows() -> Iterator[tuple[int, Row]]:
        number = 1
        while (values := next_row(number := number + 1)) is not None:
            if not any(value.strip() for value in values):
                continue
            if len(values) != len(columns):
                raise ValueError(
                    f"{shown(file)}, row {number}: {len(values)} values for {len(columns)} columns. Put a value that "
                    'holds the separator into "quotes".'
                )
            yield number, {name: value.strip() for name, value in zip(columns, values)}

    return columns, rows()


def _parquet(file: Path) -> tuple[list[str], Iterator[tuple[int, Row]]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise ValueError(
            f"{shown(file)} is a Parquet file. Install what reads it:  pip install 'hclnet[parquet]'\n"
            "or save it as CSV."
        ) from None
    try:
        table = parquet.ParquetFile(file).read()
    except (ArrowException, OSError) as error:
        raise ValueError(f"{shown(file)} can't be read as Parquet: {error}. Write it again.") from None
    columns = [name.strip().lower() for name in table.column_names]
    kept = [(name, table.column(k).to_pylist()) for k, name in enumerate(columns) if name in _COLUMNS]

    def rows() -> Iterator[tuple[int, Row]]:
        for number in range(table.num_rows):
            yield number + 1, {name: _as_text(values[number]) for name, values in kept}

    return columns, rows()


def _as_text(value: object) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else str(value).strip()


def _check_columns(file: Path, columns: list[str]) -> None:
    has = f"it has {', '.join(shown(c) for c in columns if c) or 'none'}"
    if missing := [name for name in ("path", "label") if name not in columns]:
        raise ValueError(f"{shown(file)} has no column {' and no column '.join(missing)}; {has}. Name them so.")
    if twice := [name for name in _COLUMNS if columns.count(name) > 1]:
        raise ValueError(f"{shown(file)} has the column {twice[0]} twice. Rename one of the two.")
    if (corners := [name for name in _BOX if name in columns]) and len(corners) < 4:
        raise ValueError(f"{shown(file)} has {', '.join(corners)} alone; a box needs all of x0, y0, x1, y1.")
    if "ignore" in columns and "mask" not in columns:
        raise ValueError(f"{shown(file)} has a column ignore and no column mask: ignoring is a matter of masks.")


def _extra(columns: list[str]) -> list[str]:
    return [name for name in columns if name and name not in _COLUMNS]


def _add(images: dict[str, _Image], home: Path, number: int, row: Row, has_split: bool) -> None:
    """Take in one row."""
    for name in ("path", "label"):
        if not row[name]:
            raise ValueError(f"{name} is empty. Fill it in or remove the row.")
    split = split_of(row["split"]) if has_split else ""
    if split is None:
        raise ValueError(f"split is {shown(row['split'])!r}; it has to be one of {NAMES}.")
    key = _id(home, row["path"])
    image = images.get(key)
    if image is None:
        image = images[key] = _Image(number, _existing(home, row["path"], "image"), row["label"], split)
    for name, before, now in (("label", image.label, row["label"]), ("split", image.split, split)):
        if before != now:
            raise ValueError(
                f"{shown(key)} has {name} {shown(now)!r} here and {shown(before)!r} in row {image.row}. "
                "All rows of an image have the same."
            )
    if box := _box(row):
        image.boxes.append(box)
    if row.get("mask"):
        image.masks.append(_existing(home, row["mask"], "mask"))
    if row.get("ignore"):
        ignore = _existing(home, row["ignore"], "mask to ignore")
        if not image.masks or image.ignore not in (None, ignore):
            told = "another one above" if image.masks else "no mask beside it"
            raise ValueError(f"{shown(key)} has a mask to ignore, and {told}. An image has masks, and one to ignore.")
        image.ignore = ignore


def _id(home: Path, name: str) -> str:
    """The path as the manifest has it, without dots; an absolute one from the manifest's folder on, or from `/`."""
    path, folder = Path(os.path.normpath(name)), Path(os.path.abspath(home))  # noqa: PTH100, links stay as they are
    if path.is_absolute():
        path = path.relative_to(folder if path.is_relative_to(folder) else path.anchor)
    return path.as_posix()


def _existing(home: Path, name: str, what: str) -> Path:
    path = home / name
    if not path.is_file():
        raise ValueError(f"there is no {what} {shown(path)}. Paths are relative to the manifest's folder.")
    return path


def _box(row: Row) -> list[float] | None:
    values = [row.get(name, "") for name in _BOX]
    if not any(values):
        return None
    told = ", ".join(f"{name} {shown(value) or 'empty'}" for name, value in zip(_BOX, values))
    try:
        x0, y0, x1, y1 = box = [float(value) for value in values]
    except ValueError:
        raise ValueError(f"a box is four numbers, or none of them; found {told}.") from None
    if not all(map(math.isfinite, box)) or x1 <= x0 or y1 <= y0:
        raise ValueError(f"a box has x0 < x1 and y0 < y1 in pixels; found {told}.")
    return box
