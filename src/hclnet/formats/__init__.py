"""Results of locating -> files that other tools read. No torch in here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from hclnet.formats import coco, cvat, label_studio, plain, table, voc, yolo
from hclnet.formats.results import ImageResult, ObjectResult, Results, Target

Writer = Callable[[Results, Target], list[Path]]
"""Writes one format, of all results; returns the files and folders that it wrote."""

WRITERS: dict[str, Writer] = {
    "json": plain.write,
    "coco": coco.write,
    "yolo": yolo.write,
    "voc": voc.write,
    "cvat": cvat.write,
    "label-studio": label_studio.write,
    "csv": table.write_csv,
    "parquet": table.write_parquet,
}

__all__ = ["WRITERS", "ImageResult", "ObjectResult", "Results", "Target", "Writer", "check_formats", "write_formats"]


def check_formats(formats: Iterable[str]) -> None:
    """Find out before the work whether these can be written.

    Raises:
        ValueError: a package that one needs is not installed.
    """
    if "parquet" in formats:
        table.check_parquet()


def write_formats(results: Results, formats: Iterable[str], target: Target) -> list[Path]:
    """Write results in each of these formats; returns the files and folders that were written.

    Raises:
        Unwritable: one can't be written.
    """
    return [path for name in formats for path in WRITERS[name](results, target)]
