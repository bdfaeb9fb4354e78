"""Layouts that hclnet does not read, recognized, so that the error can say what is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from hclnet.data.files import is_image_name, shown
from hclnet_runtime.data.sniff import UNKNOWN, what_it_is

_LISTS = (".csv", ".parquet")


def our_results(root: Path) -> str:
    """A sentence, with a space before it, about files in a folder of located images; empty if it is none."""
    names = ("reviewed.json", "boxes.json", "coco.json", "boxes.csv")
    found = [root / name for name in names if (root / name).is_file()]
    if not (root / "located.jsonl").is_file() or not found:
        return ""
    return f" These are results of hclnet: give one of its files as DATA, such as {shown(found[0])}."


def foreign_layout(root: Path) -> str:
    """A sentence, with a space before it, about the layout that a folder seems to have; empty if it seems to have none.

    Args:
        root: a folder that no reader takes.
    """
    for name, what in _found(root):
        return (
            f" By {shown(name)} this is a data set {what}. Or list one class for each image in a manifest: path, label "
            "and, where they are known, split, x0, y0, x1, y1."
        )
    return ""


def unread_files(root: Path, looked_at: int = 20) -> str:
    """A sentence, with a space before it, about files of a kind that is not read, such as DICOM; empty if none is seen.

    Args:
        root: a folder that no reader takes.
        looked_at: how many files, in it and in the folders in it.
    """
    files = (p for pattern in ("*", "*/*", "*/*/*") for p in root.glob(pattern) if p.is_file())
    for file in islice((p for p in files if not (p.name.startswith(".") or is_image_name(p))), looked_at):
        with suppress(OSError):
            kind = what_it_is(file)
            if kind != UNKNOWN and file.stat().st_size:
                return f" {shown(file)} {kind}."
    return ""


def maybe_manifest(root: Path) -> str:
    """A sentence, with a space before it, about tables in a folder that may be manifests; empty if there is none."""
    tables = sorted(p.name for p in root.iterdir() if p.suffix.lower() in _LISTS and not p.name.startswith("."))
    if 0 < len(tables) < 4:
        return f" If {' or '.join(map(shown, tables))} is a manifest, give the file itself as DATA."
    return ""


def _found(root: Path) -> Iterator[tuple[str, str]]:
    """What says which layout it is, and what is missing that it could be read."""
    for pattern in ("labels/*.txt", "labels/*/*.txt", "*/labels/*.txt"):
        if first := next(root.glob(pattern), None):
            where = first.parent.relative_to(root).as_posix() + "/"
            yield where, "for YOLO, without data.yaml: add one with names, and train, val or test"
    for folder in ("SegmentationClass", "SegmentationObject"):
        if (root / folder).is_dir():
            yield f"{folder}/", "for segmentation, without Annotations/ of .xml files: add them"
