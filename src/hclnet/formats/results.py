"""What every format is written from: the results of a folder, of the model or as a person has mended them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool

from hclnet.formats.lines import check_line, is_header
from hclnet.formats.masks import at_size, of_run_lengths
from hclnet.types import Box
from hclnet_runtime.text import shown


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """One object.

    Attributes:
        label: its class.
        box: in pixels of the upright image, from 0 and half-open.
        score: how probable its class is, 0..1; None of a box that a person drew.
        agreement: how far its box can be trusted, 0..1; None where nothing says it.
        mask: its pixels as `masks.run_lengths` at the heatmap's resolution; None where they were not kept.
        source: whose box it is, after a person has looked at it; None before. A box of the model that a person has
            looked at is one that was accepted unchanged.
    """

    label: str
    box: Box
    score: float | None = None
    agreement: float | None = None
    mask: dict[str, Any] | None = field(default=None, repr=False)
    source: Literal["model", "person"] | None = None

    def pixels(self, size: tuple[int, int]) -> Bool[np.ndarray, "height width"] | None:
        """The mask at a width and height in pixels; None without one, or where no pixel of the image is in it."""
        if self.mask is None:
            return None
        pixels = at_size(of_run_lengths(self.mask), size)
        return pixels if pixels.any() else None


@dataclass(frozen=True, slots=True)
class ImageResult:
    """One image.

    Attributes:
        path: as it was given to `locate`.
        file: the same, absolute.
        name: relative to the image root, with slashes.
        size: width and height of the upright image, pixels.
        label: its class: that of the first object or, where there is none, the most probable one; None where nobody
            knows.
        score: how probable that is; None where it is not the model's.
        objects: the best first.
        reviewed: a person has looked at it. Its objects are then what is right, no guess.
    """

    path: str
    file: Path
    name: str
    size: tuple[int, int]
    label: str | None
    score: float | None
    objects: tuple[ObjectResult, ...] = ()
    reviewed: bool = False


@dataclass(frozen=True, slots=True)
class Results:
    """The images of a folder of results, and what they have in common.

    Attributes:
        images: each once, in order.
        classes: of the model, in its order, all of them, so that numbers of classes stay the same.
        version: of hclnet.
        model: its name as it was given, such as the path of a run.
        fingerprint: of the model's weights.
        root: the folder that names are relative to; None where the images have none in common.
    """

    images: Sequence[ImageResult]
    classes: tuple[str, ...]
    version: str = ""
    model: str = ""
    fingerprint: str = ""
    root: Path | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's classes, and after them those that a person has added."""
        others = {found.label for one in self.images for found in one.objects} - {*self.classes}
        return (*self.classes, *sorted(others))

    @property
    def model_version(self) -> str:
        """Tells the predictions of one model from those of another."""
        return " ".join(part for part in ("hclnet", self.version, self.model, self.fingerprint[:8]) if part)


@dataclass(frozen=True, slots=True)
class Target:
    """Where files of results go.

    Attributes:
        folder: for all of them.
        stem: of files that are there beside those of `locate`, such as `reviewed`.
    """

    folder: Path
    stem: str = ""

    def path(self, name: str) -> Path:
        """The place of a file or folder: `coco.json`, `reviewed.coco.json`, and of `boxes.json` `reviewed.json`."""
        if not self.stem:
            return self.folder / name
        return self.folder / f"{self.stem}.{name.removeprefix('boxes.')}"


def results_of(
    header: dict[str, Any], rows: Iterable[dict[str, Any]], root: Path | None = None, masks: bool = True
) -> Results:
    """Lines of a journal as results.

    Args:
        header: of the journal.
        rows: its lines; those of images that were left out are passed over.
        root: the folder that names are relative to; `image_root` by default.
        masks: whether to take those that were kept.
    """
    rows = [row for row in rows if "left_out" not in row]
    if not is_header(header):
        raise ValueError("The first line of the results is damaged. Locate the images again, into another folder.")
    for row in rows:
        check_line(row)
    home = image_root(header, rows) if root is None else root
    model = header.get("model") or {}
    return Results(
        tuple(_image(row, home, masks) for row in rows),
        tuple(header["classes"]),
        header.get("hclnet", ""),
        model.get("name", ""),
        model.get("fingerprint", ""),
        home,
    )


def image_root(header: dict[str, Any], rows: Iterable[dict[str, Any]]) -> Path | None:
    """The folder that the names of all images of a journal can be relative to: that of the last `locate`, or the one
    that the images located have in common; None if there is none, as on several drives.
    """
    roots = {_absolute(row["root"]) for row in rows}
    if root := header.get("image_root"):
        if all(root == one or Path(root) in Path(one).parents for one in roots):
            return Path(root)
        roots.add(root)
    with suppress(ValueError):
        return Path(os.path.commonpath(roots))
    return None


def given_root(given: str | Path, files: Mapping[str, Path]) -> Path:
    """A folder that a person wants names to be relative to, absolute.

    Args:
        given: the folder.
        files: that are to be in it, absolute, by the path that a message shows.

    Raises:
        ValueError: one of the files is not in it.
    """
    root = Path(_absolute(os.path.expanduser(given)))  # noqa: PTH111, fails not on a folder called ~name
    for path, file in files.items():
        if root not in file.parents:
            raise ValueError(f"--image-root {shown(given)}: {shown(path)} is not in it. Name a folder above all.")
    return root


def file_of(row: dict[str, Any]) -> Path:
    """The absolute path of an image that a line of a journal is about."""
    return Path(row.get("absolute") or _absolute(row["path"]))


def name_in(root: Path | None, file: Path) -> str:
    """The name of a file relative to a folder, with slashes; without a folder the whole path."""
    return file.as_posix() if root is None else Path(os.path.relpath(file, os.path.abspath(root))).as_posix()  # noqa: PTH100


def _absolute(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100, links are kept


def _image(row: dict[str, Any], root: Path | None, masks: bool) -> ImageResult:
    objects = tuple(
        ObjectResult(
            found["label"],
            tuple(found["box"]),
            found["score"],
            found.get("agreement"),
            found.get("mask") if masks else None,
        )
        for found in row["objects"]
    )
    label = objects[0].label if objects else row["predictions"][0][0]
    score = dict(row["predictions"])[label]
    file = file_of(row)
    return ImageResult(row["path"], file, name_in(root, file), tuple(row["size"]), label, score, objects)
