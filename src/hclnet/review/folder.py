"""A folder of results as it is reviewed: its images, where their files are now, and what the model found in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hclnet.data.files import is_file
from hclnet.formats.journal import FILE, read_journal
from hclnet.formats.lines import check_line, is_header
from hclnet.formats.shards import HEADER
from hclnet.types import Box
from hclnet_runtime.text import shown

_HEATMAPS = ("heatmaps", "heatmaps-8bit")  # the finer ones first


@dataclass(frozen=True, slots=True)
class Found:
    """A box of the model.

    Attributes:
        label: its class.
        box: in pixels of the upright image.
        score: how probable the class is, 0..1.
        agreement: how far the box can be trusted, 0..1; None where the box rule can't say.
        peak: where the heatmap is highest in it, x and y in pixels; None where that was not kept.
    """

    label: str
    box: Box
    score: float
    agreement: float | None
    peak: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Listed:
    """An image of the folder.

    Attributes:
        path: as it was given to `locate`; decisions are kept by it.
        name: its place in the folder of images, for a person.
        file: where it is now.
        size: width and height of the upright image, pixels.
        label: the class that its heatmap is of.
        found: the boxes of the model.
        heatmap: its file, if there is one.
    """

    path: str
    name: str
    file: Path
    size: tuple[int, int]
    label: str
    found: tuple[Found, ...]
    heatmap: Path | None


@dataclass(frozen=True, slots=True)
class Folder:
    """What `locate` left.

    Attributes:
        path: of the folder.
        header: of its journal.
        rows: lines of the journal, one an image.
        images: the same as they are reviewed, in this order.
        places: the folders that pictures are served from.
    """

    path: Path
    header: dict[str, Any]
    rows: tuple[dict[str, Any], ...]
    images: tuple[Listed, ...]
    places: tuple[Path, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Of the model."""
        return tuple(self.header["classes"])

    @property
    def fingerprint(self) -> str:
        """Of the model's weights."""
        return str((self.header.get("model") or {}).get("fingerprint", ""))


def open_folder(path: str | Path, images: str | Path | None = None) -> Folder:
    """The images of a folder of results.

    Args:
        path: of the folder that `locate` wrote.
        images: where the images are now; by default where `locate` read them.

    Raises:
        ValueError: there are no results, or none of the images can be found.
    """
    path = Path(path)
    if (path / HEADER).is_file():
        raise ValueError(
            f"{shown(path)} has shards, which have no pictures. Review a part of the images: locate them without "
            "--shard-size and --manifest into another folder."
        )
    if not (path / FILE).is_file():
        raise ValueError(f"{shown(path)} has no {FILE}. Give the folder that `hclnet locate` wrote its results to.")
    header, rows, _ = read_journal(path / FILE)
    located = [row for row in rows.values() if "left_out" not in row]
    if header is None or not located:
        raise ValueError(f"{shown(path)} has no image that was located. Run `hclnet locate` into it first.")
    for row in located:
        check_line(row, in_journal=True)
    if not is_header(header):
        raise ValueError(f"{shown(path / FILE)} is damaged in its first line. Locate the images again.")
    home = None if images is None else Path(os.path.abspath(os.path.expanduser(images)))  # noqa: PTH100, PTH111
    if home is not None and not home.is_dir():
        raise ValueError(f"--images {shown(home)}: there is no such folder.")
    roots = [_absolute(row["root"]) for row in located]
    common = _common(roots)
    listed, kept = [], []
    for row, root in zip(located, roots):
        place = _placed(row, root, common, home)
        if place is not None:
            listed.append(_listed(row, *place, path))
            kept.append(row)
    if not any(is_file(one.file) for one in listed):
        where = shown(home or common or roots[0])
        raise ValueError(
            f"None of the {len(located):,} images of {shown(path)} is in {where}. Say where they are with --images."
        )
    places = (home,) if home else tuple(dict.fromkeys(roots))
    return Folder(path, header, tuple(kept), tuple(listed), places)


def _placed(row: dict[str, Any], root: Path, common: Path | None, home: Path | None) -> tuple[Path, str] | None:
    """The file of an image and its name; None where it is not below the folder that it is said to be in."""
    file = _absolute(row.get("absolute") or row["path"])
    if root not in file.parents:
        return None
    inside = file.relative_to(common if common else root)
    if home is None:
        return file, inside.as_posix()
    for name in (inside, file.relative_to(root)):
        if is_file(home / name):
            return home / name, inside.as_posix()
    return home / inside, inside.as_posix()


def _listed(row: dict[str, Any], file: Path, name: str, folder: Path) -> Listed:
    found = tuple(
        Found(
            one["label"],
            tuple(one["box"]),
            one["score"],
            one.get("agreement"),
            tuple(one["peak"][:2]) if "peak" in one else None,
        )
        for one in row["objects"]
    )
    kinds = [kind for kind in _HEATMAPS if kind in row.get("pictures", ())]
    heatmap = folder / kinds[0] / f"{row['name']}.png" if kinds else None
    return Listed(row["path"], name, file, tuple(row["size"]), row["asked"][0], found, heatmap)


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100, links are kept


def _common(roots: Sequence[Path]) -> Path | None:
    try:
        return Path(os.path.commonpath(roots))
    except ValueError:  # on several drives
        return None
