"""What the columns of a manifest mean, by the names that they have with us and with others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hclnet.data.files import shown

BOX = ("x0", "y0", "x1", "y1")
OWN = ("path", "label", "split", *BOX, "mask", "ignore")
"""The names of columns as they are written here."""

OF_MODEL = ("source", "model")
"""Columns that tables of reviewed boxes have: whose a box is, and the model that made it."""

_OTHERS = {
    "path": ("file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img", "img_path"),
    "label": ("class", "class_name", "classname", "category", "category_name", "label_name"),
}
SPLIT_OTHERS = ("subset", "partition", "set")
"""What a column of splits is called too, if there are splits in it."""

_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("minx", "miny", "maxx", "maxy"),
    ("left", "top", "right", "bottom"),
    ("x1", "y1", "x2", "y2"),
    ("xtl", "ytl", "xbr", "ybr"),
)
_EXTENTS = (("left", "top", "width", "height"), ("xmin", "ymin", "width", "height"))
_UNCLEAR = (
    ("x", "y", "w", "h"),
    ("x", "y", "width", "height"),
    ("cx", "cy", "w", "h"),
    ("xcenter", "ycenter", "width", "height"),
    ("xcenter", "ycenter", "w", "h"),
)


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table are what.

    Attributes:
        wanted: our name of each column that is used, by its own.
        extents: the box's columns are left, top, width and height.
        notes: what is taken for what, and what is not used.
    """

    wanted: dict[str, str]
    extents: bool
    notes: tuple[str, ...]


def columns_of(file: Path, columns: Sequence[str], split: str | None = None) -> Columns:
    """Find out what the columns of a table mean.

    Args:
        file: for messages.
        columns: their names, in lower case.
        split: a column of another name that is known to be the split.

    Raises:
        ValueError: a column that is needed is missing, is there twice, or may be several things.
    """
    wanted: dict[str, str] = {}
    for name in ("path", "label", "split", "mask", "ignore"):
        if column := _column(file, columns, name):
            wanted[column] = name
    if split and "split" not in columns:
        wanted[split] = "split"
    corners, extents = _box_columns(file, columns)
    taken = [f"{shown(column)} for {name}" for column, name in wanted.items() if column != name]
    wanted |= dict(zip(corners, BOX))
    has = f"it has {', '.join(shown(c) for c in columns if c) or 'none'}"
    if missing := [name for name in ("path", "label") if name not in wanted.values()]:
        raise ValueError(f"{shown(file)} has no column {' and no column '.join(missing)}; {has}. Rename the columns.")
    if all(columns.count(name) == 1 for name in OF_MODEL):
        wanted |= {name: name for name in OF_MODEL}
    if twice := [column for column in wanted if columns.count(column) > 1]:
        raise ValueError(f"{shown(file)} has the column {twice[0]} twice. Rename one of the two.")
    if "ignore" in wanted and "mask" not in wanted:
        raise ValueError(f"{shown(file)} has a column ignore and no column mask. Add the masks, or remove the column.")
    return Columns(wanted, extents, tuple(_notes(columns, wanted, taken, corners)))


def path_column(file: Path, columns: Sequence[str]) -> str:
    """The column with the names of images.

    Args:
        file: for messages.
        columns: names in lower case.

    Raises:
        ValueError: there is none, or it is not clear which it is.
    """
    column = _column(file, columns, "path")
    if column is None:
        raise ValueError(
            f"{shown(file)} has no column path; it has {', '.join(map(shown, columns)) or 'none'}. Rename one."
        )
    if columns.count(column) > 1:
        raise ValueError(f"{shown(file)} has the column {column} twice. Rename one of the two.")
    return column


def _column(file: Path, columns: Sequence[str], name: str) -> str | None:
    """The column that is called so, or as others call it."""
    others = [other for other in _OTHERS.get(name, ()) if other in columns]
    if name in columns:
        return name
    if len(others) > 1:
        raise ValueError(f"{shown(file)}: which column is the {name}, {' or '.join(others)}? Name it {name}.")
    return others[0] if others else None


def _notes(columns: Sequence[str], wanted: dict[str, str], taken: list[str], corners: list[str]) -> Iterator[str]:
    if corners and tuple(corners) != BOX:
        taken = [*taken, f"{', '.join(map(shown, corners))} for the box, in pixels from 0"]
    if taken:
        yield f"understood: {'; '.join(taken)}"
    if extra := [name for name in columns if name and name not in wanted]:
        yield f"unused columns: {', '.join(map(shown, extra))}"


def _box_columns(file: Path, columns: Sequence[str]) -> tuple[list[str], bool]:
    """The four columns of the box, if there are any, and whether the last two are width and height."""
    if own := [name for name in BOX if name in columns]:
        if len(own) == 4:
            return own, False
        if own != ["x1", "y1"] or not {"x2", "y2"} <= set(columns):
            raise ValueError(f"{shown(file)} has only {', '.join(own)}; a box needs all of x0, y0, x1, y1.")
    by_name = {_plain(column): column for column in columns}
    found = [(names, form is _EXTENTS) for form in (_CORNERS, _EXTENTS) for names in form if by_name.keys() >= {*names}]
    found = [one for one in found if not one[1] or len(found) == 1]  # beside corners, width and height are the image's
    if len(found) > 1:
        found_as = " and as ".join(", ".join(by_name[n] for n in names) for names, _ in found)
        raise ValueError(f"{shown(file)} has boxes as {found_as}. Rename the columns to use to x0, y0, x1, y1.")
    if found:
        return [by_name[name] for name in found[0][0]], found[0][1]
    for names in _UNCLEAR:
        if by_name.keys() >= {*names}:
            found_as = ", ".join(by_name[name] for name in names)
            raise ValueError(
                f"{shown(file)} has boxes as {found_as}, where x and y may be a corner or the center. Write x0, y0, "
                "x1, y1, or left, top, width, height, in pixels of the image."
            )
    if part := [by_name[name] for name in _CORNERS[0] if name in by_name]:
        raise ValueError(f"{shown(file)} has only {', '.join(part)}; a box needs all of xmin, ymin, xmax, ymax.")
    return [], False


def _plain(column: str) -> str:
    """`bbox_x_min`, `X Min` and `x-min` as `xmin`."""
    return re.sub(r"^(b(nd)?box|box)(?=[xylrtbwh])|[\s_-]", "", re.sub(r"[\s_-]", "", column))
