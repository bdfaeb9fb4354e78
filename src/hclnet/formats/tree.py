"""Formats that are a folder with a file for each image: names that go together, and the images themselves as links."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from hclnet.data.files import SUFFIXES, is_file
from hclnet.documents import parse_json
from hclnet.formats.names import Names
from hclnet.formats.results import Results
from hclnet.storage import Unwritable, clear_parts, unwritable, whole, write_json

_MADE = "hclnet-files.json"  # by this name `data.files` knows that the images here are links to others
_FILE, _LINK = "file", "link"


class Tree:
    """A folder of files for one format. What an earlier call has made there and this one has not goes at the end; what
    somebody else has put there stays.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = _made_in(folder)
        self._made: dict[str, str] = {}  # by name, what it is

    def write(self, name: str, text: str) -> None:
        """A file of text, by its name with slashes.

        Raises:
            Unwritable: it can't be written.
        """
        with whole(self._inside(name), durable=False, sweep=False) as part:
            part.write_bytes(text.encode("utf-8", "surrogateescape"))
        self._made[name] = _FILE

    def link(self, name: str, image: Path) -> None:
        """Have an image here, as a link or, where there are none, as a copy; if it is there to be linked.

        Raises:
            Unwritable: it can't be.
        """
        here = self._inside(name)
        anothers = here.is_file() and not here.is_symlink() and self._before.get(name) != _FILE
        if anothers or not is_file(image):
            return
        try:
            here.parent.mkdir(parents=True, exist_ok=True)
            here.unlink(missing_ok=True)
            try:
                here.symlink_to(image)
                self._made[name] = _LINK
            except OSError:  # on Windows links are for developers
                shutil.copyfile(image, here)
                self._made[name] = _FILE
        except OSError as error:
            raise unwritable(here, error) from error

    def _inside(self, name: str) -> Path:
        if {"..", "/"} & {*PurePosixPath(name).parts}:
            raise ValueError(f"{name} is not inside of {self.folder}.")
        return self.folder / name

    def close(self, complete: bool) -> None:
        """Remember what was made; and if that is everything, remove what is left of the call before."""
        left = {name: kind for name, kind in self._before.items() if name not in self._made}
        for name, kind in left.items() if complete else ():
            path = self.folder / name
            if kind == _FILE or path.is_symlink():
                with suppress(OSError):
                    path.unlink(missing_ok=True)
        write_json(self.folder / _MADE, self._made if complete else left | self._made)


@contextmanager
def tree(folder: Path) -> Iterator[Tree]:
    """The folder of a format, to be written anew.

    Raises:
        Unwritable: it can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    clear_parts(folder, deep=True)
    made = Tree(folder)
    try:
        yield made
    except BaseException:
        with suppress(Unwritable):
            made.close(complete=False)
        raise
    made.close(complete=True)


def _like_a_file(folder: str) -> bool:
    """Whether a folder may be called like a file beside it: `a.jpeg/b.jpeg` beside `a.jpeg`."""
    return PurePosixPath(folder).suffix.lower() in SUFFIXES | {".txt", ".xml"}


def _made_in(folder: Path) -> dict[str, str]:
    """What the call before has made in a folder."""
    try:
        found = parse_json((folder / _MADE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    named = found if isinstance(found, dict) else {}
    return {name: kind for name, kind in named.items() if not {"..", "/"} & {*PurePosixPath(name).parts}}


def stems_of(results: Results, reserved: Collection[str] = ()) -> list[str]:
    """A name for each image, without its ending: no two alike on any file system, also of images of one stem.

    Args:
        results: the images; names keep their folders.
        reserved: names of folders that mean something to those who read the format, in lower case. They get a `_`.
    """
    names, stems = Names(), []
    for one in results.images:
        # A name that leaves the image root would leave the tree.
        *folders, file = (part for part in PurePosixPath(one.name.lstrip("/")).parts if part != "..")
        safe = [f"{name}_" if name.lower() in reserved or _like_a_file(name) else name for name in folders]
        stems.append(names.free("/".join([*safe, PurePosixPath(file).stem])))
    return stems
