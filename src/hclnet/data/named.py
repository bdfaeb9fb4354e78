"""The image files that arguments of a command mean: files, folders, globs."""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from hclnet.data.files import files_in, is_file, is_image_name, is_own_results
from hclnet.data.remote import is_address
from hclnet_runtime.text import shown

PICTURES = ("overlays", "heatmaps", "heatmaps-8bit", "masks")
"""Folders of pictures that are made of localizations."""


@dataclass(frozen=True, slots=True)
class Named:
    """An image file.

    Attributes:
        path: as it was given, or found in what was given.
        root: the folder that it was found in; for a file by name, the one that it lies in.
    """

    path: Path
    root: Path

    @property
    def name(self) -> str:
        """Its place in the root without the ending, with slashes."""
        return self.path.relative_to(self.root).with_suffix("").as_posix()


@dataclass(slots=True)
class Found:
    """What arguments mean.

    Attributes:
        images: each file once, in order.
        left_out: why, for each argument, folder or file that is none.
    """

    images: list[Named] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def find_images(arguments: Iterable[str | Path], out: Path | None = None) -> Found:
    """The files that arguments mean.

    What can't be read is left out with its reason, as are folders with results of hclnet; an image in one of those can
    still be named.

    Args:
        arguments: files, folders, globs.
        out: a folder of results; pictures in there that a folder or glob means are left alone.

    Raises:
        ValueError: there is no image at all.
    """
    found, seen = Found(), set()
    for argument in arguments:
        try:
            of_one = list(_meant(argument, out, found.left_out))
        except (OSError, ValueError) as error:  # a name that is too long, or has a NUL
            of_one = []
            found.left_out.append(f"{shown(argument)} can't be read: {getattr(error, 'strerror', None) or error}.")
        for one in of_one:
            key = os.path.abspath(one.path)  # noqa: PTH100, a link's own name is kept
            if key not in seen:
                seen.add(key)
                found.images.append(one)
    if not found.images:
        raise ValueError(found.left_out[0] if found.left_out else "No image is named.")
    return found


def _meant(argument: str | Path, out: Path | None, left_out: list[str]) -> Iterator[Named]:
    path = Path(os.path.expanduser(argument))  # noqa: PTH111, fails not on a file called ~name
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP):
            raise
        mode = 0
    if stat.S_ISDIR(mode):
        before = len(left_out)
        inside = [Named(p, path) for p in _in_folder(path, out, left_out)]
        if not inside:
            because = "" if len(left_out) == before else f" {left_out.pop()}"
            left_out.append(f"There is no image in the folder {shown(path)}.{because}")
        yield from inside
    elif stat.S_ISREG(mode):
        yield Named(path, path.parent)
    elif mode:
        left_out.append(f"{shown(path)} is a pipe or a device, not a file.")
    elif path.is_symlink():
        left_out.append(f"{shown(path)} is a link to {shown(path.readlink())}, which does not exist.")
    else:
        matches = sorted(Path(p) for p in glob.glob(str(path), recursive=True))  # noqa: PTH207, absolute patterns too
        folders = {p.parent for p in matches}
        is_ours = results_below(fixed_part(path))
        ours = {folder for folder in folders if is_ours(folder)} | _are_results(folders, out)
        files = [p for p in matches if is_file(p) and p.parent not in ours]
        if not files:
            left_out.append(f"{shown(argument)} {_why_none(argument)}")
        for p in files:
            yield Named(p, p.parent)


def _why_none(argument: str | Path) -> str:
    if is_address(argument):
        return "is an address, which --shard-size and --manifest read."
    return "is not a file or a folder, and matches nothing."


def _in_folder(folder: Path, out: Path | None, left_out: list[str]) -> list[Path]:
    """Its image files, sorted; results of hclnet and folders of systems are said, unless they are the ones in `out`."""
    odd: list[str] = []
    no_data: list[Path] = []
    files = sorted(p for p in files_in(folder, no_data, odd) if is_image_name(p))
    ours = _are_results({p.parent for p in files}, out)
    here = os.path.realpath(out) if out else ""
    others = [p for p in no_data if here not in (real := os.path.realpath(p), os.path.dirname(real))]  # noqa: PTH120
    if others:
        some = ", ".join(shown(p) for p in others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        left_out.append(
            f"{some}: left out, as results of hclnet or a folder of the operating system. To locate such an image, "
            "name the file."
        )
    left_out += odd
    return [p for p in files if p.parent not in ours]


def fixed_part(pattern: Path) -> Path:
    """The folder that a glob's matches lie in whatever they are."""
    return Path(*takewhile(lambda part: not glob.has_magic(part), pattern.parts))


def results_below(named: Path) -> Callable[[Path], bool]:
    """Whether a folder lies in results of hclnet that are below another one, which is named and so may be one itself.

    Args:
        named: this other folder.
    """
    ours: dict[Path, bool] = {named: False, Path(): False}

    def is_ours(folder: Path) -> bool:
        if folder not in ours:
            ours[folder] = folder != folder.parent and (is_ours(folder.parent) or is_own_results(folder))
        return ours[folder]

    return is_ours


def _are_results(folders: set[Path], out: Path | None) -> set[Path]:
    """Those of the folders that have pictures of the results in `out`."""
    if out is None:
        return set()
    own = {Path(os.path.realpath(out / kind)) for kind in PICTURES}
    real = {folder: Path(os.path.realpath(folder)) for folder in folders}
    return {folder for folder, path in real.items() if own & {path, *path.parents}}
