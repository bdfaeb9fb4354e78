"""From folders to files: which files are images, and how a path is shown to a person."""

from __future__ import annotations

import os
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator, Set
from os.path import exists, isdir, isfile
from pathlib import Path

from hclnet_runtime.text import shown

__all__ = [
    "SUFFIXES",
    "files_in",
    "folders_in",
    "image_files",
    "is_file",
    "is_folder",
    "is_image_name",
    "is_own_results",
    "is_system_folder",
    "is_there",
    "left_out_note",
    "read_lines",
    "read_text",
    "shown",
]

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".webp", ".avif", ".heic", ".heif", ".hif"}
    | {".bmp", ".tif", ".tiff", ".jp2", ".ppm", ".pgm", ".pnm"}
)

_OF_SYSTEMS = frozenset(
    {"@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@tmp", "lost+found", "lost.dir"}
    | {"$recycle.bin", "recycler", "recycled", "system volume information", "found.000", "$windows.~bt", "config.msi"}
    | {"__macosx", "network trash folder", "temporary items", "__pycache__", "node_modules"}
)
_PICTURES = frozenset({"overlays", "heatmaps", "heatmaps-8bit", "masks"})
_OF_OURS = (
    _PICTURES
    | {
        "located.jsonl",
        "located-shards.json",
        "boxes.json",
        "coco.json",
        "compare.json",
        "config.yaml",
        "localizer",
        "checkpoints",
    }
    | {"localizer.json", "model.safetensors", "records.npz", "metrics.json", "figures.json", "hclnet-files.json"}
)


def is_image_name(file: Path | str) -> bool:
    """Whether a file's name says that it is an image; hidden files (a Mac's `._photo.jpg`) never are.

    Args:
        file: a path, or a name alone, which of a million files is much faster.
    """
    name = file if isinstance(file, str) else file.name
    stem, _, suffix = name.rpartition(".")
    return stem != "" and not name.startswith(".") and f".{suffix.lower()}" in SUFFIXES


def is_system_folder(name: str) -> bool:
    """Whether a folder of this name is one that a system or a NAS makes by itself: never data, often full of copies."""
    return name.lower() in _OF_SYSTEMS


def is_own_results(folder: Path) -> bool:
    """Whether a folder holds what hclnet wrote: located images, a run, an evaluation, a comparison."""
    return _is_own({name for name in _OF_OURS if os.path.lexists(folder / name)})  # a few calls, however many images


def _is_own(names: Set[str]) -> bool:
    """Whether a folder with these names in it is one of results."""
    return (
        not names.isdisjoint({"located.jsonl", "located-shards.json", "compare.json", "hclnet-files.json"})
        or ("boxes.json" in names and not names.isdisjoint({*_PICTURES, "coco.json"}))
        or ("coco.json" in names and not names.isdisjoint({"overlays", "heatmaps"}))
        or ("config.yaml" in names and not names.isdisjoint({"localizer", "checkpoints"}))
        or names >= {"localizer.json", "model.safetensors"}
        or names >= {"records.npz", "metrics.json"}
        or names >= {"records.npz", "figures.json"}  # of version 0.1
    )


def _is_no_data(name: str, beside: Set[str]) -> bool:
    """Whether a folder of this name, with these names beside it, is a system's or has the pictures of our results."""
    return is_system_folder(name) or (name in _PICTURES and _is_own(beside))


def folders_in(folder: Path, left_out: list[Path] | None = None) -> list[Path]:
    """The folders in a folder, by name, without what is hidden and without what is not data: folders
    that systems make (`is_system_folder`), and our own results (`is_own_results`).

    Args:
        folder: itself never left out, whatever it is.
        left_out: gets those that are not data.

    Raises:
        ValueError: the folder can't be read.
    """
    entries = sorted(_entries(folder), key=lambda entry: entry.name)
    names, found = {entry.name for entry in entries}, []
    for entry in entries:
        path = folder / entry.name
        if not _is_folder(entry):
            continue
        if not _is_no_data(entry.name, names) and not is_own_results(path):
            found.append(path)
        elif left_out is not None:
            left_out.append(path)
    return found


def files_in(folder: Path, left_out: list[Path] | None = None, odd: list[str] | None = None) -> Iterator[Path]:
    """The files in a folder and its subfolders, in no order; without what is hidden (`.ipynb_checkpoints/`, `._a.jpg`)
    and without what is in folders that are not data, as `folders_in` leaves them out. The memory that this takes does
    not grow with the number of files.

    Links are followed, each folder is entered once, so that links in a circle come to an end. A link that leads nowhere
    counts as a file, so that whoever opens it is listed. Pipes and devices don't: reading one may never end.

    Args:
        folder: itself never left out, whatever it is.
        left_out: gets the folders in it that are not data.
        odd: gets a sentence for each folder in it that can't be read, and for each pipe or device with an image's name.

    Raises:
        ValueError: the folder can't be read; or one in it, if there is no list of what is odd.
    """
    waiting, entered = [folder], set(map(str, Path(os.path.realpath(folder)).parents))  # no link leads out to these
    while waiting:
        here = waiting.pop()
        if (real := os.path.realpath(here)) in entered:
            continue
        entered.add(real)
        try:
            ours = {entry.name for entry in _entries(here) if entry.name in _OF_OURS}
            if here != folder and _is_own(ours):
                if left_out is not None:
                    left_out.append(here)
                continue
            for entry in _entries(here):
                path = here / entry.name
                if _is_folder(entry):
                    if not _is_no_data(entry.name, ours):
                        waiting.append(path)
                    elif left_out is not None:
                        left_out.append(path)
                elif (entry.is_file() if not entry.is_symlink() else is_file(path)) or not is_there(path):
                    yield path
                elif odd is not None and is_image_name(entry.name):
                    odd.append(f"{shown(path)} is a pipe or a device, not a file.")
        except ValueError as error:
            if odd is None or here == folder:
                raise
            odd.append(str(error))


def is_file(path: Path) -> bool:
    """Whether there is a file; no error but False for a name that none can have: too long, or with a NUL in it."""
    return isfile(path)  # noqa: PTH113, `Path.is_file` fails then


def is_folder(path: Path) -> bool:
    """Whether there is a folder; as `is_file`."""
    return isdir(path)  # noqa: PTH112


def is_there(path: Path) -> bool:
    """Whether there is anything; as `is_file`."""
    return exists(path)  # noqa: PTH110


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # Asking the entry costs no call of the system. But it fails on a link to itself, and so does `Path.is_dir` on a
    # link whose target has too long a name or may not be seen.
    return is_folder(Path(entry.path)) if entry.is_symlink() else entry.is_dir()


def left_out_note(root: Path, folders: Iterable[Path]) -> tuple[str, ...]:
    """The note that says which folders in a data set were left out and why; none if none were."""
    listed = []
    for folder in sorted(set(folders)):
        why = "of the system" if is_system_folder(folder.name) else "results of hclnet"
        listed.append(f"{shown(folder.relative_to(root).as_posix())}/ ({why})")
    more = f" and {len(listed) - 6} more" if len(listed) > 6 else ""
    return (f"left out: {', '.join(listed[:6])}{more}",) if listed else ()


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What is in a folder, in no order, without what is hidden.

    Raises:
        ValueError: it can't be read.
    """
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise ValueError(f"The folder {shown(folder)} can't be read: {error.strerror}.") from None


def image_files(folder: Path, left_out: list[Path] | None = None) -> list[Path]:
    """The image files in a folder and its subfolders, sorted by name; arguments are those of `files_in`.

    Raises:
        ValueError: as `files_in`.
    """
    return sorted(p for p in files_in(folder, left_out) if is_image_name(p))


def read_text(path: Path) -> str:
    """What is in a text file in UTF-8, or in UTF-16 that begins with a byte order mark; without that mark.

    Raises:
        ValueError: it is not there or is in another encoding; the message names it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{shown(path)} can't be read: {error.strerror}.") from None
    encoding = "utf-16" if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        name = "UTF-16" if encoding == "utf-16" else "UTF-8"
        raise ValueError(
            f"{shown(path)} is not text in {name} ({error.reason} at byte {error.start}). Save it as UTF-8."
        ) from None
    if "\0" in text:
        raise ValueError(f"{shown(path)} is not text in UTF-8: it contains bytes of 0. Save it as UTF-8.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a text file that are not blank, stripped, with their numbers from 1.

    Raises:
        ValueError: as `read_text`.
    """
    # splitlines() also splits at what names may hold.
    lines = enumerate(read_text(path).split("\n"), 1)
    return [(number, stripped) for number, line in lines if (stripped := line.strip())]
