"""`boxes.json` and `reviewed.json`, which hclnet writes: an entry for each image that was located or reviewed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hclnet.data.annotated import Annotated, Places, as_dataset, head, unreadable
from hclnet.data.files import read_text
from hclnet.documents import parse_json
from hclnet.types import DataSet

KIND = "boxes of hclnet"
LOOKED_FOR = "boxes.json or reviewed.json, which hclnet wrote"


def recognize(root: Path) -> bool:
    if not root.is_file() or root.suffix.lower() != ".json":
        return False
    return head(root).partition("[")[2].partition("{")[2].lstrip().startswith('"path"')


def read(root: Path, seed: int = 0) -> DataSet:
    """The data set: the images that a person has looked at, or where there is none all of them, and a note says so.

    Raises:
        ValueError: the file is not as it has to be, or images are not there.
    """
    places = Places.beside(root)
    try:
        rows = parse_json(read_text(root))
        reviewed = any(row.get("reviewed") for row in rows)
        images = [_image(row, places) for row in rows if row.get("reviewed") or not reviewed]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise unreadable(root, KIND, reason) from None
    notes = [] if reviewed else ["nobody has looked at these boxes: they are predictions"]
    return as_dataset(root, KIND, images, seed, places, notes)


def _image(row: dict[str, Any], places: Places) -> Annotated:
    boxes = [(str(found["label"]), tuple(map(float, found["box"]))) for found in row["objects"]]
    name = row.get("name") or row["path"]
    path = places.find(row.get("file") or name) or places.find(name) or Places([Path()]).find(row["path"])
    width, height = row["size"]
    if any(len(box) != 4 for _, box in boxes):
        raise ValueError(f"a box of {name} has not four numbers")
    as_they_were = all(found.get("source") == "model" for found in row["objects"])
    model = str(row.get("model", "")) if as_they_were else ""
    return Annotated(name, path, boxes, (int(width), int(height)), None, row.get("label"), model)  # type: ignore[arg-type]
