"""Label Studio's exports as JSON (https://labelstud.io/guide/export), with the corrections of people."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from hclnet.data.annotated import Annotated, Places, as_dataset, head, labels_alone, unreadable
from hclnet.data.files import read_text
from hclnet.documents import parse_json
from hclnet.types import Box, DataSet

KIND = "Label Studio"
LOOKED_FOR = "a .json file that Label Studio exported as JSON: tasks with annotations"

_KEYS = re.compile(r'^\[\s*\{\s*"(id|data|annotations|predictions|total_annotations|completed_by)"\s*:')
_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")  # what Label Studio puts before the name of a file that was uploaded


def recognize(root: Path) -> bool:
    return root.is_file() and root.suffix.lower() == ".json" and bool(_KEYS.match(head(root)))


def read(root: Path, seed: int = 0) -> DataSet:
    """The data set. Of several annotations of a task the last one counts that was not skipped.

    Where no task has a box, a choice is the class of an image. Where no task has an annotation, as in a file that
    hclnet wrote, the predictions count, and a note says so.

    Raises:
        ValueError: the file is not as it has to be, or images are not there.
    """
    places = Places.beside(root)
    try:
        tasks = parse_json(read_text(root))
        corrected = any(task.get("annotations") for task in tasks)
        open_ = sum(not _counted(task) for task in tasks) if corrected else 0
        chosen = [task for task in tasks if not corrected or _counted(task)]
        images = [_image(task, places, "annotations" if corrected else "predictions") for task in chosen]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise unreadable(root, "an export of Label Studio", reason) from None
    notes = [] if corrected else ["no task has an annotation: these are predictions"]
    if open_:
        notes.append(f"{open_:,} task{'' if open_ == 1 else 's'} without an annotation left out")
    return as_dataset(root, KIND, labels_alone(images), seed, places, notes)


def _counted(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The annotations of a task that were not skipped, the last one at the end."""
    found = [one for one in task.get("annotations", ()) if not one.get("was_cancelled")]
    return sorted(
        found, key=lambda one: (str(one.get("updated_at") or one.get("created_at") or ""), one.get("id") or 0)
    )


def _image(task: dict[str, Any], places: Places, key: str) -> Annotated:
    found = _counted(task) if key == "annotations" else task.get("predictions", [])
    regions = found[-1]["result"] if found else []
    boxes = list(_boxes(regions, "rectanglelabels")) or list(_boxes(regions, "polygonlabels"))
    sizes = {(int(one["original_width"]), int(one["original_height"])) for one in regions if "original_width" in one}
    choices = {name for one in regions if one.get("type") == "choices" for name in one["value"]["choices"]}
    names = list(_names(task["data"]))
    found_at = (places.find(name, shorten) for name, shorten in names)
    label = next(iter(choices)) if len(choices) == 1 else None
    # Once a region is changed, Label Studio calls its origin `prediction-changed`.
    as_predicted = key == "annotations" and all(one.get("origin") == "prediction" for one in regions)
    model = str(task["data"].get("model") or "") if as_predicted else ""
    path = next(filter(None, found_at), None)
    return Annotated(names[0][0], path, boxes, next(iter(sizes), None), None, label, model)


def _names(data: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """What the image of a task may be called, and whether that may have more folders than there are on the disk: the
    name that hclnet gave it, its address, and the name of a file before it was uploaded.
    """
    if isinstance(data.get("name"), str) and "image" in data:
        yield data["name"], False
    address = next((data[key] for key in ("image", *data) if isinstance(data.get(key), str)), "")
    parts = urlsplit(address)
    path = parse_qs(parts.query).get("d", [unquote(parts.path)])[0].lstrip("/")
    yield path, True
    if match := _UPLOADED.fullmatch(PurePosixPath(path).name):
        yield match[1], False


def _boxes(regions: Sequence[dict[str, Any]], kind: str) -> Iterator[tuple[str, Box]]:
    """The boxes of regions, in pixels; of a polygon, and of a box that was turned, the extent."""
    for region in regions:
        if region.get("type") != kind or not region["value"].get(kind):
            continue
        value, width, height = region["value"], region["original_width"], region["original_height"]
        if kind == "polygonlabels":
            points = [(x * width / 100, y * height / 100) for x, y in value["points"]]
        else:
            x, y = value["x"] * width / 100, value["y"] * height / 100
            points = _turned(x, y, value["width"] * width / 100, value["height"] * height / 100, value.get("rotation"))
        xs, ys = zip(*points)
        yield str(value[kind][0]), (min(xs), min(ys), max(xs), max(ys))


def _turned(x: float, y: float, width: float, height: float, degrees: float | None) -> list[tuple[float, float]]:
    """The corners of a box that is turned clockwise about its upper left one."""
    angle = math.radians(degrees or 0)
    corners = ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
    cos, sin = math.cos(angle), math.sin(angle)
    return [(x + right * cos - down * sin, y + right * sin + down * cos) for right, down in corners]
