"""Files in object storage and elsewhere, by their addresses: `s3://bucket/a.jpg`, `gs://...`, `https://...`, `file://...`.

What lies there is fetched by fsspec, which has a package for each kind of storage. An address is a row of somebody's
table: it never makes fsspec open another one, as its chains (`zip://a.jpg::s3://...`) and its `reference://` do.
"""

from __future__ import annotations

import os
import posixpath
import re
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from urllib.request import url2pathname

from hclnet.storage import unwritable
from hclnet_runtime.text import shown

SCHEMES = (
    *("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "hf"),
    *("http", "https", "hdfs", "webhdfs", "ftp", "sftp", "ssh", "memory", "file"),
)
"""What is fetched: storages that name bytes, and none that opens other addresses or unpacks what it finds there."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.I)  # two letters at least: a drive of Windows has one
_COLLAPSED = re.compile(r"[a-z][a-z0-9+.-]+:/", re.I)  # of an address that was made a path, one slash is left
_PIECE = 2**20  # bytes


def is_address(name: str | Path) -> bool:
    """Whether a name is an address, and no path."""
    return isinstance(name, str) and _ADDRESS.match(name) is not None


def place(name: str) -> str | Path:
    """An address as it is, anything else as a path."""
    return name if is_address(name) else Path(name)


def as_folder(out: str | Path) -> Path:
    """The path of a folder for results.

    Raises:
        ValueError: it is an address.
    """
    if _COLLAPSED.match(os.fspath(out)):
        raise ValueError(
            f"--out {shown(out)} is an address. Results go into a folder of this machine: name one, and copy them "
            "afterwards."
        )
    return Path(out)


def without_query(address: str) -> str:
    """Without what comes after `?`, such as a signature: of the web, and a version of S3. Elsewhere `?` is part of a
    name."""
    return address.partition("?" if _parts(address)[0] in ("http", "https") else "?versionId=")[0]


def ending(name: str | Path) -> str:
    """Of a file's name, `.jpg`; of an address without its query."""
    text = os.fspath(name)
    return posixpath.splitext(without_query(text))[1] if is_address(text) else Path(text).suffix


def folder_of(address: str) -> str:
    """Where a file lies."""
    return without_query(address).rpartition("/")[0]


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

    A `ValueError` of the block that names the file on this machine names the address when it comes out.

    Args:
        name: a path or an address.
        most: bytes that what is fetched may have.

    Raises:
        ValueError: it can't be fetched, or is longer.
        Unwritable: the folder for temporary files has no room for the copy, or can't be written.
    """
    if not is_address(name):
        yield Path(name)
        return
    address = os.fspath(name)
    if (here := local(address)) is not None:
        with _names(address, here):
            yield here
        return
    with _temporary() as folder:
        file = Path(folder) / f"fetched{ending(address)}"
        _fetch(address, file, most)
        with _names(address, file):
            yield file


def local(address: str) -> Path | None:
    """The path that a `file://` address means; None for another address.

    Raises:
        ValueError: it names another machine.
    """
    scheme, rest = _parts(address)
    if scheme != "file":
        return None
    host, slash, path = rest.partition("/")
    if host.lower() not in ("", "localhost") or not slash:
        raise ValueError(f"{shown(address)} names no file of this machine. Write three slashes: file:///folder/a.jpg.")
    return Path(url2pathname(slash + path) if os.name == "nt" else unquote(slash + path, errors="surrogateescape"))


def _parts(address: str) -> tuple[str, str]:
    """What kind of storage, in small letters, and what comes after `://`."""
    scheme, _, rest = address.partition("://")
    return scheme.lower(), rest


@contextmanager
def _temporary() -> Iterator[str]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="hclnet-")
    except OSError as error:  # also where no folder at all can be written
        raise unwritable(Path(tempfile.tempdir or os.environ.get("TMPDIR", "/tmp")), error) from error
    with folder as path:
        yield path


@contextmanager
def _names(address: str, file: Path) -> Iterator[None]:
    """A `ValueError` that names the file names the address."""
    try:
        yield
    except ValueError as error:
        error.args = tuple(
            one.replace(shown(file), shown(address)) if isinstance(one, str) else one for one in error.args
        )
        raise


def _fetch(address: str, target: Path, most: int | None) -> None:
    """Raises:
    ValueError: it can't be read, or is longer.
    Unwritable: the copy can't be written.
    """
    with closing(_pieces(address, most)) as pieces:
        try:
            with target.open("wb") as file:
                file.writelines(pieces)
        except OSError as error:
            raise unwritable(target, error) from error


def _pieces(address: str, most: int | None) -> Generator[bytes, None, None]:
    """The bytes that lie there. Every error is a `ValueError`, so that those of a disk here are told from them."""
    length = 0
    try:
        with _opened(address) as source:
            while piece := source.read(_PIECE):
                length += len(piece)
                if most is not None and length > most:
                    break
                yield piece
    except FileNotFoundError:
        raise ValueError(f"{shown(address)} is not there, or can't be reached.") from None
    except Exception as error:  # each kind of storage has errors of its own
        raise ValueError(f"{shown(address)} can't be read: {_said(error)}.") from None
    if most is not None and length > most:
        raise ValueError(f"{shown(address)} is longer than the {most:,} bytes that hclnet reads of a file.")


def _opened(address: str) -> Any:
    """The file at an address. `fsspec.open` would follow chains.

    Raises:
        ValueError: it is of no kind of storage that is fetched from.
        ImportError: the package for it is not there.
    """
    from fsspec import get_filesystem_class

    scheme, rest = _parts(address)
    if scheme not in SCHEMES:
        raise ValueError(f"{scheme}:// is none of what hclnet fetches from: {', '.join(SCHEMES)}")
    kind, address = get_filesystem_class(scheme), f"{scheme}://{rest}"
    return kind(**kind._get_kwargs_from_urls(address)).open(kind._strip_protocol(address), "rb")


def _said(error: Exception) -> str:
    """Of an error of a storage's package its first line; of a fault in there that it is one."""
    if isinstance(error, AttributeError | LookupError | TypeError | AssertionError | NameError):
        return "the package for this kind of storage fails at it"
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return " ".join(first.split()).rstrip(". ") or type(error).__name__
