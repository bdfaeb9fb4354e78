"""`boxes.csv` and `boxes.parquet`: a row for each box, and one for each image without a box.

Both are manifests that `hclnet.read` takes, so predictions can become somebody's ground truth: `path` is relative to
the table's folder. An image in which a person saw nothing has no class, and so no row.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hclnet.formats.results import ImageResult, Results, Target
from hclnet.storage import whole, write_text

COLUMNS = {
    "path": "string",
    "label": "string",
    "x0": "float64",
    "y0": "float64",
    "x1": "float64",
    "y1": "float64",
    "score": "float64",
    "agreement": "float64",
    "source": "string",
    "model": "string",
    "name": "string",
}
"""Of the tables, with their types in Parquet."""


def write_csv(results: Results, target: Target) -> list[Path]:
    """Boxes are x0, y0, x1, y1 in pixels of the upright image, 0-based, half-open; what is not known is empty.

    Where a person has accepted a box unchanged, `model` is the fingerprint of the model that made it.
    """
    path = target.path("boxes.csv")
    lines = io.StringIO(newline="")
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_rows(results, path.parent))
    write_text(path, lines.getvalue())
    return [path]


def write_parquet(results: Results, target: Target) -> list[Path]:
    """The same with types.

    Raises:
        ValueError: the package that writes it is not installed, or a name is not in Unicode.
    """
    check_parquet()
    import pyarrow
    from pyarrow import parquet

    path = target.path("boxes.parquet")
    rows = list(_rows(results, path.parent))
    columns = zip(COLUMNS.items(), zip(*rows) if rows else [[]] * len(COLUMNS))
    try:
        table = pyarrow.table({name: pyarrow.array(list(values), kind) for (name, kind), values in columns})
    except UnicodeEncodeError:
        raise ValueError(
            "Parquet holds only names in Unicode, and an image has another one. Rename it, or write --format csv."
        ) from None
    with whole(path) as part:
        parquet.write_table(table, part)
    return [path]


def check_parquet() -> None:
    """Raises:
    ValueError: the package that writes Parquet is not installed.
    """
    if find_spec("pyarrow") is None:
        raise ValueError("Parquet files need one more package:  pip install 'hclnet[parquet]'\nor write --format csv.")


def _rows(results: Results, folder: Path) -> Iterator[tuple[Any, ...]]:
    for one in results.images:
        path = _from(folder, one)
        if not one.objects and one.label is not None:  # a manifest has a class for each image
            yield path, one.label, None, None, None, None, _rounded(one.score, 6), None, None, None, one.name
        for found in one.objects:
            box = (round(v, 2) for v in found.box)
            score, agreement = _rounded(found.score, 6), _rounded(found.agreement, 3)
            model = results.fingerprint if found.source == "model" else None
            yield path, found.label, *box, score, agreement, found.source, model, one.name


def _from(folder: Path, one: ImageResult) -> str:
    """The path of an image from a folder, with slashes; the whole path where it is on another drive."""
    with suppress(ValueError):
        return Path(os.path.relpath(one.file, folder.absolute())).as_posix()
    return one.file.as_posix()


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
