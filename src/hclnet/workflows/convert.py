"""`hclnet convert`: what was located before -> files for other tools, from the journal alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hclnet.formats import WRITERS, Target, check_formats, write_formats
from hclnet.formats.journal import FILE, read_journal
from hclnet.formats.results import Results, file_of, given_root, results_of
from hclnet.formats.shards import HEADER, read_header, read_rows, shard_files
from hclnet.formats.table import check_parquet
from hclnet.storage import check_writable, locked
from hclnet_runtime.request import as_names
from hclnet_runtime.text import shown


@dataclass(frozen=True, slots=True)
class Converted:
    """What `convert` wrote.

    Attributes:
        images: how many images are in each of the files.
        boxes: and how many boxes.
        written: the files and folders.
        missing: how many of the images are not where they were located: `yolo/` and `voc/` have no links to them.
    """

    images: int
    boxes: int
    written: list[Path]
    missing: int = 0


def convert(
    located: str | Path = "located",
    formats: Sequence[str] = ("json", "coco"),
    out: str | Path | None = None,
    *,
    image_root: str | Path | None = None,
) -> Converted:
    """Write what `locate_files` found in other formats. Nothing is located, and no model is needed.

    Args:
        located: a folder of results, with `located.jsonl` or with shards.
        formats: of the files with boxes: json, coco, yolo, voc, cvat, label-studio, csv, parquet.
        out: the folder for the files; `located` by default.
        image_root: the folder that names of images in the files are relative to; by default that of the last `locate`,
            or one that all images have in common.

    Raises:
        ValueError: there are no results, or no such format, or an image is not in `image_root`.
        Unwritable: the files can't be written.
    """
    formats = as_names("format", formats, tuple(WRITERS))
    check_formats(formats)
    folder = Path(located)
    out = folder if out is None else Path(out)
    results = read_results(folder, image_root)
    check_writable(out)
    with locked(out, "converting"):
        written = write_formats(results, formats, Target(out))
    missing = sum(not one.file.is_file() for one in results.images)
    return Converted(len(results.images), sum(len(one.objects) for one in results.images), written, missing)


def read_results(folder: Path, image_root: str | Path | None = None) -> Results:
    """What is in the journal of a folder, in the order of the images' names.

    Raises:
        ValueError: there is no journal, or an image is not in `image_root`.
    """
    header, rows = _of_shards(folder) if (folder / HEADER).is_file() else _of_journal(folder)
    last = {file_of(row): row for row in rows if "left_out" not in row}  # an image may have been named twice
    found = [last[file] for file in sorted(last)]
    root = None if image_root is None else given_root(image_root, {row["path"]: file_of(row) for row in found})
    return results_of(header, found, root)


def _of_journal(folder: Path) -> tuple[dict[str, Any], Iterable[dict[str, Any]]]:
    header, rows, _ = read_journal(folder / FILE)
    if header is None:
        raise ValueError(
            f"{shown(folder)} has no results: there is no {FILE} in it. Name a folder that `hclnet locate` made."
        )
    return header, rows.values()


def _of_shards(folder: Path) -> tuple[dict[str, Any], Iterable[dict[str, Any]]]:
    """Of the finished shards."""
    check_parquet()
    header = read_header(folder / HEADER)
    assert header is not None, "it is there"
    files = shard_files(folder)
    if not files:
        raise ValueError(f"{shown(folder)} has no finished shard yet. Let `hclnet locate` finish one.")
    return header, read_rows(files, header)
