"""`boxes.json`: one entry per image with its path, size and objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hclnet.formats.results import ImageResult, ObjectResult, Results, Target
from hclnet.storage import write_json


def write(results: Results, target: Target) -> list[Path]:
    """Boxes are x0, y0, x1, y1 in pixels of the upright image, 0-based, half-open. A `path` is as it was given, a
    `name` relative to the image root.

    An object has a `score` and an `agreement` where they are known. Where a person has looked at an image it has
    `reviewed`, its class as `label`, its absolute path as `file`, the fingerprint of the `model` that was corrected,
    and each object its `source`. So `hclnet.read` takes the file as ground truth.
    """
    path = target.path("boxes.json")
    write_json(path, [_image(one, results.fingerprint) for one in results.images], indent=1)
    return [path]


def _image(one: ImageResult, fingerprint: str) -> dict[str, Any]:
    about = {"path": one.path, "name": one.name, "size": list(one.size)}
    row: dict[str, Any] = about | {"objects": [_object(found) for found in one.objects]}
    if one.reviewed:
        row |= {"label": one.label, "file": str(one.file), "model": fingerprint, "reviewed": True}
    return row


def _object(found: ObjectResult) -> dict[str, Any]:
    row: dict[str, Any] = {"label": found.label}
    if found.score is not None:
        row["score"] = round(found.score, 6)
    row["box"] = [round(v, 2) for v in found.box]
    if found.agreement is not None:
        row["agreement"] = round(found.agreement, 3)
    if found.source is not None:
        row["source"] = found.source
    return row
