"""A shard: what was located in some thousands of images, as a Parquet file. Every image has a row, also a broken one.

| column | type | |
|---|---|---|
| id | int64 | the image's place in the whole list, from 0 |
| path | string | as it is in the manifest, or as it was found |
| file | string | absolute |
| error | string | why it was left out; null of an image that was located |
| width, height | int32 | of the upright image, pixels |
| predictions | list of {label, score} | the most probable classes, the best first |
| objects | list of {label, score, x0, y0, x1, y1, agreement} | in pixels of the upright image, from 0, half-open |

The file's metadata has the key `hclnet`: JSON with version, model, settings and classes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hclnet.data.listing import Entry
from hclnet.documents import parse_json
from hclnet.formats.lines import is_header
from hclnet.storage import whole
from hclnet_runtime.text import as_clause, shown

HEADER = "located-shards.json"
"""In a folder of shards: what they have in common."""

FORMAT = 1
_WAY = "Name another folder with --out, or delete it and the folder shards/ beside it."
_CORNERS = ("x0", "y0", "x1", "y1")


def shard_file(folder: Path, number: int) -> Path:
    """Where a shard is, numbered from 0."""
    return folder / "shards" / f"{number:06d}.parquet"


def shard_files(folder: Path) -> list[Path]:
    """The finished shards, in order."""
    return sorted((folder / "shards").glob("[0-9]*.parquet"))


def write_shard(
    file: Path, first: int, entries: Sequence[Entry], rows: Iterable[dict[str, Any]], header: dict[str, Any]
) -> None:
    """Write a shard, whole or not at all.

    Args:
        file: its place.
        first: the id of the first image.
        entries: the images, in order.
        rows: a line of a journal for each of them.
        header: for the metadata.

    Raises:
        Unwritable: the disk is full, or the file can't be written.
    """
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist(
        [_plain(first + k, *one) for k, one in enumerate(zip(entries, rows, strict=True))], _schema()
    )
    metadata = {"hclnet": json.dumps(header)}
    with whole(file) as part:
        parquet.write_table(table.replace_schema_metadata(metadata), part)


def read_header(file: Path) -> dict[str, Any] | None:
    """What the shards of a folder have in common, `HEADER`; None where there is no such file.

    Raises:
        ValueError: it can't be read, or is of another version.
    """
    try:
        found = parse_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ValueError(f"{shown(file)} can't be read: {as_clause(error)}. {_WAY}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT or not is_header(found):
        raise ValueError(f"{shown(file)} is of another version of hclnet. {_WAY}")
    return found


def read_rows(files: Iterable[Path], header: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The lines of a journal that shards were made from, without masks and peaks.

    Args:
        files: the shards.
        header: as `HEADER` has it.

    Raises:
        ValueError: a shard can't be read.
    """
    for file in files:
        for row in _table(file).to_pylist():
            yield _line(row, header)


def counts(file: Path) -> tuple[int, int]:
    """Of a shard, how many images it has and how many of them are left out.

    Raises:
        ValueError: it can't be read.
    """
    errors = _table(file, ["error"]).column(0)
    return len(errors), len(errors) - errors.null_count


def _table(file: Path, columns: list[str] | None = None) -> Any:
    from pyarrow import ArrowException, parquet

    try:
        return parquet.read_table(file, columns=columns)
    except (ArrowException, OSError) as error:
        raise ValueError(f"{shown(file)} can't be read: {as_clause(error)}. Delete it and locate again.") from None


def _plain(number: int, entry: Entry, row: dict[str, Any]) -> dict[str, Any]:
    names = {"id": number, "path": _text(entry.path), "file": _text(entry.file)}
    if "left_out" in row:
        return {**names, "error": _text(row["left_out"])}
    width, height = row["size"]
    return {
        **names,
        "width": width,
        "height": height,
        "predictions": [{"label": label, "score": score} for label, score in row["predictions"]],
        "objects": [
            {
                "label": one["label"],
                "score": one["score"],
                "agreement": one.get("agreement"),
                **dict(zip(_CORNERS, one["box"])),
            }
            for one in row["objects"]
        ],
    }


def _line(row: dict[str, Any], header: dict[str, Any]) -> dict[str, Any]:
    root = header.get("image_root")
    line = {
        "path": row["path"],
        "absolute": row["file"],
        "root": root if root and Path(root) in Path(row["file"]).parents else os.path.dirname(row["file"]),  # noqa: PTH120
    }
    if row["error"] is not None:
        return {**line, "left_out": row["error"]}
    return {
        **line,
        "size": [row["width"], row["height"]],
        "predictions": [[one["label"], one["score"]] for one in row["predictions"]],
        "objects": [
            {
                "label": one["label"],
                "score": one["score"],
                "agreement": one["agreement"],
                "box": [one[k] for k in _CORNERS],
            }
            for one in row["objects"]
        ],
    }


def _text(name: object) -> str:
    """Parquet holds Unicode alone: bytes of a name that are none are written as escapes."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def _schema() -> Any:
    import pyarrow as pa

    scored = [("label", pa.string()), ("score", pa.float64())]
    corners = [(name, pa.float64()) for name in _CORNERS]
    return pa.schema([
        ("id", pa.int64()),
        ("path", pa.string()),
        ("file", pa.string()),
        ("error", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("predictions", pa.list_(pa.struct(scored))),
        ("objects", pa.list_(pa.struct([*scored, *corners, ("agreement", pa.float64())]))),
    ])  # fmt: skip
