"""Whether a line of a journal, or the header of results, is as hclnet writes it: what is not is never looked into."""

from __future__ import annotations

import math
from typing import Any

from hclnet_runtime.text import shown


def is_header(header: dict[str, Any]) -> bool:
    """Whether it has what results are made with."""
    model, root = header.get("model"), header.get("image_root")
    return (
        _are(header.get("classes"), str)
        and isinstance(header.get("hclnet", ""), str)
        and (root is None or _is_path(root))
        and isinstance(header.get("settings") or {}, dict)
        and (model is None or (isinstance(model, dict) and all(isinstance(v, str | None) for v in model.values())))
    )


def check_line(row: dict[str, Any], in_journal: bool = False) -> None:
    """Raises:
    ValueError: it is not a line of a located image, or none as a journal has it, which says more than a shard.
    """
    if not (is_journal_line(row) if in_journal else is_line(row)):
        raise ValueError(
            f"The line of {shown(str(row.get('path')))} in the results is damaged. Remove it, and locate the image "
            "again."
        )


def is_line(row: dict[str, Any]) -> bool:
    """Whether it is a line of a located image."""
    places = [row.get("path"), row.get("root"), *(row[key] for key in ("absolute", "name") if key in row)]
    if not all(map(_is_path, places)):
        return False
    size, scores, objects = row.get("size"), row.get("predictions"), row.get("objects")
    if not (isinstance(size, list) and _are(size, int) and len(size) == 2 and min(size) > 0):
        return False
    if not isinstance(objects, list):
        return False
    if not isinstance(scores, list) or not scores or not all(map(_is_prediction, scores)):
        return False
    known = {label for label, _ in scores}
    if not all(_is_object(one) and one["label"] in known for one in objects):
        return False
    return all(_are(row[key], str) for key in ("asked", "pictures") if key in row)


def is_journal_line(row: dict[str, Any]) -> bool:
    """Whether it is one of a journal, with a name for pictures and the classes whose maps were asked for."""
    return is_line(row) and "name" in row and bool(row.get("asked"))


def _is_prediction(one: Any) -> bool:
    return isinstance(one, list) and len(one) == 2 and isinstance(one[0], str) and _is_number(one[1])


def _is_object(one: Any) -> bool:
    if not isinstance(one, dict) or not isinstance(one.get("label"), str) or not _is_number(one.get("score")):
        return False
    box, peak, agreement = one.get("box"), one.get("peak", [0, 0]), one.get("agreement")
    return (
        isinstance(box, list)
        and len(box) == 4
        and isinstance(peak, list)
        and len(peak) >= 2
        and all(map(_is_number, (*box, *peak)))
        and (agreement is None or _is_number(agreement))
    )


def _is_path(name: Any) -> bool:
    return isinstance(name, str) and name != "" and "\0" not in name


def _are(values: Any, kind: type) -> bool:
    return isinstance(values, list) and all(isinstance(v, kind) and not isinstance(v, bool) for v in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15 and math.isfinite(value)
