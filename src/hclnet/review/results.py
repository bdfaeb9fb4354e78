"""What a person has decided, as results that every format is written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hclnet.formats import ImageResult, ObjectResult, Results
from hclnet.formats.results import given_root, name_in, results_of
from hclnet.review.decisions import Decision, Marked
from hclnet.review.folder import Folder, Listed

_SAME = 1e-6  # pixels


def is_unchanged(one: Listed, marked: Marked) -> bool:
    """Whether a box is as the model found it, class and all."""
    if marked.of is None or marked.of >= len(one.found):
        return False
    found = one.found[marked.of]
    return found.label == marked.label and all(abs(a - b) < _SAME for a, b in zip(found.box, marked.box))


def reviewed_results(
    folder: Folder, decisions: Mapping[int, Decision], image_root: str | Path | None = None
) -> Results:
    """The images that a person has accepted, or in which there is nothing.

    An image whose boxes were rejected, and in which nobody drew a right one, is left out: what is right in it is not
    known. So are those that are not decided.

    Args:
        folder: of the results.
        decisions: what is decided, by the number of the image.
        image_root: the folder that names in the files are relative to; by default as `locate` had it.

    Raises:
        ValueError: an image is not in `image_root`.
    """
    found = results_of(folder.header, folder.rows)
    chosen = [k for k, one in decisions.items() if one.verdict in ("accepted", "empty")]
    chosen.sort(key=lambda k: folder.images[k].name)
    root = None
    if image_root is not None:
        root = given_root(image_root, {folder.images[k].path: folder.images[k].file for k in chosen})
    nothing = (folder.header.get("settings") or {}).get("background_class") or None
    images = []
    for k in chosen:
        one, before = folder.images[k], found.images[k]
        name = before.name if root is None else name_in(root, one.file)
        objects = tuple(_object(one, before, marked) for marked in decisions[k].objects)
        label = objects[0].label if objects else nothing
        moved = replace(before, file=one.file, name=name, label=label, score=None, objects=objects, reviewed=True)
        images.append(moved)
    return replace(found, images=images, root=root or found.root)


def _object(one: Listed, before: ImageResult, marked: Marked) -> ObjectResult:
    if marked.of is not None and is_unchanged(one, marked):
        return replace(before.objects[marked.of], source="model")
    return ObjectResult(marked.label, marked.box, source="person")
