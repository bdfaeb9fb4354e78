"""From folders to files: which files are images, and how a path is shown to a person."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hclnet.text import shown

__all__ = ["SUFFIXES", "files_in", "image_files", "is_image_name", "read_lines", "read_text", "shown"]

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".webp", ".avif", ".heic", ".heif", ".hif"}
    | {".bmp", ".tif", ".tiff", ".jp2", ".ppm", ".pgm", ".pnm"}
)


def is_image_name(file: Path | str) -> bool:
    """Whether a file's name says that it is an image; hidden files (a Mac's `._photo.jpg`) never are.

    Args:
        file: a path, or a name alone, which of a million files is much faster.
    """
    name = file if isinstance(file, str) else file.name
    stem, _, suffix = name.rpartition(".")
    return stem != "" and not name.startswith(".") and f".{suffix.lower()}" in SUFFIXES


def files_in(folder: Path) -> Iterator[Path]:
    """The files in a folder and its subfolders, in no order; without what is hidden (`.ipynb_checkpoints/`, `._a.jpg`).

    Links are followed, each folder is entered once, so that links in a circle come to an end. A link that leads nowhere
    counts as a file, so that whoever opens it is told. Pipes and devices don't: reading one may never end.

    Raises:
        ValueError: a folder can't be read.
    """
    waiting, entered = [folder], set()
    while waiting:
        here = waiting.pop()
        if (real := os.path.realpath(here)) in entered:
            continue
        entered.add(real)
        try:
            with os.scandir(here) as entries:
                seen = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda e: e.name)
        except OSError as error:
            raise ValueError(f"The folder {shown(here)} can't be read: {error.strerror}.") from None
        for entry in seen:
            path = here / entry.name
            # Asking the entry costs no call of the system, but it fails on a link to itself.
            found = path if entry.is_symlink() else entry
            if found.is_dir():
                waiting.append(path)
            elif found.is_file() or not path.exists():
                yield path


def image_files(folder: Path) -> list[Path]:
    """The image files in a folder and its subfolders, sorted by name.

    Raises:
        ValueError: as `files_in`.
    """
    return sorted(p for p in files_in(folder) if is_image_name(p))


def read_text(path: Path) -> str:
    """What is in a text file, without a byte order mark.

    Raises:
        ValueError: it is not there or is no UTF-8; the message names it.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{shown(path)} is not text in UTF-8 ({error.reason} at byte {error.start}). Save it as UTF-8."
        ) from None
    except OSError as error:
        raise ValueError(f"{shown(path)} can't be read: {error.strerror}.") from None


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a text file that are not blank, stripped, with their numbers from 1.

    Raises:
        ValueError: as `read_text`.
    """
    # splitlines() also splits at what names may hold.
    lines = enumerate(read_text(path).split("\n"), 1)
    return [(number, stripped) for number, line in lines if (stripped := line.strip())]
