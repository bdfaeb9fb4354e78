"""Records, one row an image: made, kept on disk and put together."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import fields
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int32, Real, UInt8

from hclnet.boxes import ComponentTree, Rule, iou
from hclnet.types import Records

_COLUMNS = tuple(field.name for field in fields(Records))


def localisation_row(
    levels: UInt8[np.ndarray, "h w"], tree: ComponentTree, true_boxes: Real[np.ndarray, "m 4"], rule: Rule
) -> tuple[Int32[np.ndarray, " 4"], float, Float64[np.ndarray, " 256"], Float64[np.ndarray, " 256"]]:
    """What one map contributes to the records: the box, its IoU, and the IoUs at every level.

    Args:
        levels: the level map of the true class.
        tree: its component tree.
        true_boxes: half-open, in pixels of the map, as they are: neither rounded nor clipped.
        rule: the box rule.

    Returns:
        The box at the rule, map pixels, zeros if the mask is empty. Its best IoU with a true box. At each level t the
        same for the largest component of `levels > t`. At each level the best IoU of any component with a true box.
        Without true boxes all but the box is NaN.
    """
    level = rule.level(levels, tree)
    boxes = tree.largest_boxes()
    if not len(true_boxes):
        nothing = np.full(len(boxes), np.nan)
        return boxes[level], float("nan"), nothing, nothing.copy()
    level_iou = iou(boxes, true_boxes).max(axis=1)
    return boxes[level], float(level_iou[level]), level_iou, tree.best_iou(true_boxes)


def concatenate(parts: Sequence[Records]) -> Records:
    """All rows of all parts, in order.

    Raises:
        ValueError: there are no parts, or they are about different numbers of classes.
    """
    if not parts:
        raise ValueError("there are no records to put together; pass at least one part, which may have no rows.")
    widths = sorted({part.top_classes.shape[1] for part in parts})
    if len(widths) > 1:
        raise ValueError(
            f"the parts hold the top {' and the top '.join(map(str, widths))} classes, so they come from different "
            "classifiers; put together only records of one model."
        )
    columns = {}
    for name in _COLUMNS:
        values = [getattr(part, name) for part in parts]
        columns[name] = list(chain(*values)) if isinstance(values[0], list) else np.concatenate(values)
    return Records(**columns)


def save(records: Records, path: str | Path) -> None:
    """Write the records as one `.npz` at exactly `path`. What stood there is replaced whole or, on error, not at all.

    Raises:
        OSError: the folder is missing or not writable.
    """
    path = Path(path)
    columns = {name: getattr(records, name) for name in _COLUMNS}
    # Text as fixed-width unicode: a list of str would be pickled.
    columns = {name: np.array(c, dtype=np.str_) if isinstance(c, list) else c for name, c in columns.items()}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # An open file, since `savez` appends .npz to a name that lacks it.
        with unfinished.open("wb") as file:
            np.savez(file, **columns)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def load_records(path: str | Path) -> Records:
    """The records that `save` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or its columns are not those of records.
    """
    path = Path(path)
    with path.open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as stored:
                columns = {name: stored[name] for name in stored.files}
        except (ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is not a readable records file ({error}); run the evaluation again.") from error
    if set(columns) != set(_COLUMNS):
        missing, extra = sorted(set(_COLUMNS) - set(columns)), sorted(set(columns) - set(_COLUMNS))
        raise ValueError(
            f"{path} does not hold records of this version: missing columns {missing}, unknown columns {extra}; run "
            "the evaluation again."
        )
    if len({len(column) for column in columns.values()}) != 1:
        raise ValueError(f"{path} has columns of different lengths, so it is damaged; run the evaluation again.")
    return Records(**{name: c.tolist() if c.dtype.kind == "U" else c for name, c in columns.items()})
