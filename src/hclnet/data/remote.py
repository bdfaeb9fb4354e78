"""Files in object storage and elsewhere, by their addresses: `s3://bucket/a.jpg`, `gs://...`, `https://...`, `file://...`.

What lies there is fetched by fsspec, which has a package for each kind of storage.
"""

from __future__ import annotations

import os
import posixpath
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hclnet_runtime.text import as_clause, shown

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.I)  # two letters at least: a drive of Windows has one
_PIECE = 2**20  # bytes


def is_address(name: str | Path) -> bool:
    """Whether a name is an address, and no path."""
    return isinstance(name, str) and _ADDRESS.match(name) is not None


def place(name: str) -> str | Path:
    """An address as it is, anything else as a path."""
    return name if is_address(name) else Path(name)


def ending(name: str | Path) -> str:
    """Of a file's name, `.jpg`; of an address without what comes after `?`."""
    text = os.fspath(name)
    return posixpath.splitext(text.partition("?")[0])[1] if is_address(text) else Path(text).suffix


def folder_of(address: str) -> str:
    """Where a file lies."""
    return address.partition("?")[0].rpartition("/")[0]


def beside(folder: str, name: str) -> str | Path:
    """A file that a list names, which lies in `folder` itself: an address, an absolute path, or relative to it."""
    if is_address(name):
        return name
    if Path(name).is_absolute():
        return Path(name)
    head = _ADDRESS.match(folder)
    start = head.end() if head else 0
    path = posixpath.normpath("/" + folder[start:] + "/" + name.replace("\\", "/")).lstrip("/")
    return folder[:start] + ("/" if folder[start:].startswith("/") else "") + path


@contextmanager
def at_hand(name: str | Path, most: int | None = None) -> Iterator[Path]:
    """A file on this machine: itself, or a copy of what lies elsewhere, which goes with the block.

    A `ValueError` of the block that names the copy names the address when it comes out.

    Args:
        name: a path or an address.
        most: bytes that it may have.

    Raises:
        ValueError: it can't be fetched, or is longer.
    """
    if not is_address(name):
        yield Path(name)
        return
    address = os.fspath(name)
    with tempfile.TemporaryDirectory(prefix="hclnet-") as folder:
        file = Path(folder) / f"fetched{ending(address)}"
        _fetch(address, file, most)
        try:
            yield file
        except ValueError as error:
            said = str(error).replace(shown(file), shown(address))
            raise type(error)(said) if type(error) is ValueError else error from None


def _fetch(address: str, target: Path, most: int | None) -> None:
    import fsspec

    length = 0
    try:
        with fsspec.open(address, "rb") as source, target.open("wb") as file:
            while piece := source.read(_PIECE):
                length += len(piece)
                if most is not None and length > most:
                    break
                file.write(piece)
    except (ImportError, ValueError) as error:  # also where no package knows its kind
        raise ValueError(f"{shown(address)} can't be read: {as_clause(error)}.") from None
    except FileNotFoundError:
        raise ValueError(f"{shown(address)} is not there, or can't be reached.") from None
    except Exception as error:  # each kind of storage has errors of its own
        raise ValueError(f"{shown(address)} can't be read: {type(error).__name__}: {as_clause(error)}.") from None
    if most is not None and length > most:
        raise ValueError(f"{shown(address)} is longer than the {most:,} bytes that hclnet reads of a file.")
