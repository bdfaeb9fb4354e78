"""Files that are written completely or not at all; folders that belong to one process at a time. No torch in here."""

from __future__ import annotations

import errno
import glob
import json
import os
import re
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hclnet_runtime.text import shown

LOCK = ".hclnet.lock"
"""The file in a folder whose lock says that a process works there. It stays when the lock is gone."""

_ABOUT = ".hclnet.owner.json"
OWNER_FILES = frozenset({LOCK, _ABOUT})
"""What `locked` leaves in a folder: not results."""

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says of a disk without room."""

_STALE = 3600  # seconds
_held: dict[str, int] = {}  # real paths of the folders that this process holds, and how many times
_guard = threading.Lock()


class Busy(ValueError):
    """Another process works in the folder."""


class Unwritable(ValueError):
    """A file can't be written; the message says which, why, and what to do."""


@contextmanager
def whole(path: str | Path, durable: bool = True, sweep: bool = True) -> Iterator[Path]:
    """A file to write in place of `path`, which it replaces when the block ends; on an error nothing changes.

    Args:
        path: what is to be there afterwards. Its folder is made if need be.
        durable: wait until it is on the disk, so that it survives a loss of power too.
        sweep: remove what processes that were killed long ago left half written of it. That lists the folder: for one
            that gets thousands of files there is `clear_parts`, once.

    Yields:
        A path in the same folder, of no file yet, with the same ending, so that what writes by the ending can.

    Raises:
        Unwritable: the disk is full, or the folder or file can't be written.
    """
    path = Path(path)
    name = _short(path.stem)
    part = path.with_name(f".{name}.{os.getpid()}-{threading.get_ident()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if sweep:
            _sweep(path.parent, f".{glob.escape(name)}.*.part{glob.escape(path.suffix)}")
        yield part
        if durable:
            _to_disk(part)
        part.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_text(path: str | Path, text: str, errors: str = "surrogateescape") -> None:
    """Text as UTF-8, whole or not at all. A file name's bytes that are not UTF-8 come out as they were.

    Args:
        path: of the file.
        text: what it is to hold.
        errors: as of `str.encode`, for what UTF-8 can't hold.

    Raises:
        Unwritable: as `whole`.
    """
    with whole(path) as part:
        part.write_bytes(text.encode("utf-8", errors))


def write_json(path: str | Path, content: Any, indent: int | None = None) -> None:
    """JSON as UTF-8 with a line's end, whole or not at all.

    A file name's bytes that are not UTF-8 are written as JSON's escapes, which `json.loads` turns back.

    Raises:
        Unwritable: as `whole`.
    """
    text = json.dumps(content, indent=indent, ensure_ascii=False) + "\n"
    write_text(path, text, errors="backslashreplace")


def check_writable(folder: str | Path, need: int = 0) -> None:
    """Find out before the work, not after it, whether results can be written: makes the folder and writes a byte.

    Args:
        folder: of the results.
        need: bytes that will be written there, as far as that is known.

    Raises:
        Unwritable: the folder can't be made or written, or its disk has less room.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0")
            file.flush()
    except OSError as error:
        raise unwritable(folder, error) from error
    if need and (free := shutil.disk_usage(folder).free) < need:
        raise Unwritable(
            f"{shown(folder)} needs {need / 1e9:.2g} GB and its disk has {free / 1e9:.2g} GB free. Free some space, "
            "or name a folder on another disk."
        )


def unwritable(path: Path, error: OSError) -> Unwritable:
    """What went wrong with a file or folder, as a sentence."""
    if error.errno in FULL:
        reason, way = "its disk is full", "The earlier file is unchanged. Free some space and try again"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        reason, way = (error.strerror or "no permission").lower(), "Name a folder with write permission"
    elif error.errno == errno.ENAMETOOLONG:
        reason, way = "its name is too long", "Name a shorter one"
    else:
        reason, way = error.strerror or str(error), "Name another folder, or solve this"
    return Unwritable(f"{shown(path)} can't be written: {reason}. {way}.")


@contextmanager
def locked(folder: str | Path, work: str, elsewhere: bool = True) -> Iterator[None]:
    """Have a folder to this process while the block lasts; the folder is made if need be.

    The lock is one of the operating system and goes with its process, however that ends. The process may take it again
    for a folder that it has.

    Args:
        folder: that results are written to.
        work: what for, such as `training`; shown to a second process.
        elsewhere: whether the second one could take another folder by `--out`.

    Raises:
        Busy: another process has it; the message says which, since when, and for what.
        Unwritable: the folder can't be made or written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        key = os.path.realpath(folder)
        with _guard:
            again = key in _held
            if not again:
                lock = FileLock(Path(key) / LOCK, timeout=0, thread_local=False)
                lock.acquire()
            _held[key] = _held.get(key, 0) + 1
    except Timeout:
        raise Busy(_told(folder, elsewhere)) from None
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        if not again:
            _say(folder, work)
        yield
    finally:
        with _guard:
            _held[key] -= 1
            if not _held[key]:
                del _held[key]
        if not again:
            with suppress(OSError):
                (folder / _ABOUT).unlink(missing_ok=True)
            lock.release()


def _say(folder: Path, work: str) -> None:
    about = {"host": socket.gethostname(), "process": os.getpid(), "since": datetime.now(UTC).isoformat("T", "seconds")}
    with suppress(Unwritable):  # the lock is what counts
        write_json(folder / _ABOUT, {**about, "work": work})


def _told(folder: Path, elsewhere: bool) -> str:
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        who = f"process {about['process']} on {about['host']} ({about['work']}, since {about['since']})"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        who = "another process"
    or_else = ", or name another folder with --out" if elsewhere else ""
    return f"{shown(folder)} is in use by {who}. Wait until it has finished{or_else}."


def _short(name: str) -> str:
    """The beginning of a name, so that the name of the part is no longer than the file's may be."""
    return os.fsdecode(os.fsencode(name)[:100])


def clear_parts(folder: Path, deep: bool = False) -> None:
    """Remove what killed processes left half written in a folder that this one has locked.

    Args:
        folder: it may be missing.
        deep: in the folders below too.
    """
    for part in (folder.rglob if deep else folder.glob)(".*.part*"):
        if re.search(r"\.\d+-\d+\.part(\.|$)", part.name):
            with suppress(OSError):
                part.unlink()


def _sweep(folder: Path, pattern: str) -> None:
    """Remove what killed processes left half written of a file."""
    for part in folder.glob(pattern):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > _STALE:
                part.unlink()


def _to_disk(path: Path) -> None:
    """What is in the file survives a loss of power before another file gives way to it."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
