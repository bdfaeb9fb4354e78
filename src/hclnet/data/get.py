"""Data sets from their publishers: downloaded in pieces, checked, unpacked, and only then put in place."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hclnet.data.cub import read as read_cub
from hclnet.data.cub import recognize as is_cub
from hclnet.data.files import shown
from hclnet.progress import Report
from hclnet.types import DataSet

_PIECE = 2**20
_MB = 10**6
_TIMEOUT = 60.0  # seconds without a byte
_ATTEMPTS = 5  # in a row that bring nothing


@dataclass(frozen=True, slots=True)
class Archive:
    """A .tgz at a publisher; `md5` is what the publisher says of it."""

    url: str
    md5: str

    @property
    def name(self) -> str:
        return PurePosixPath(self.url).name


@dataclass(frozen=True, slots=True)
class Source:
    """What makes up a data set.

    Attributes:
        page: for a person to look at.
        archives: all are unpacked into one folder.
        top: the folder in them whose content goes to the top.
        recognize, read: of the data set's reader.
    """

    page: str
    archives: tuple[Archive, ...]
    top: str
    recognize: Callable[[Path], bool]
    read: Callable[[Path], DataSet]


SOURCES = {
    "cub": Source(
        "https://data.caltech.edu/records/65de6-vp158",
        (
            Archive(
                "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
                "97eceeb196236b17998738112f37df78",
            ),
            Archive(
                "https://data.caltech.edu/records/65de6-vp158/files/segmentations.tgz",
                "4d47ba1228eae64f2fa547c47bc65255",
            ),
        ),
        "CUB_200_2011",
        is_cub,
        read_cub,
    )
}

Bar = Callable[[str, str], AbstractContextManager[Report]]


def get(name: str, out: Path, bar: Bar, wait: float = 1.0) -> DataSet:
    """A published data set, in a folder of its own.

    Until all is there and whole, everything is in a folder beside it with `.part` at its end; what was fetched into
    that is gone on with, and an archive that someone put there is used.

    Args:
        name: one of `SOURCES`.
        out: the folder; made here, or empty.
        bar: `hclnet.progress.bar`.
        wait: seconds before a second attempt; twice as many before the next, and so on.

    Raises:
        ValueError: there is no such data set, the folder contains something else, or a download failed or differs
            from the publisher's file; the message says what to do.
    """
    if name not in SOURCES:
        raise ValueError(f"hclnet does not know a data set {name!r} to download; it knows {', '.join(SOURCES)}.")
    source = SOURCES[name]
    if source.recognize(out):
        return source.read(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{shown(out)} exists and contains something else. Name a new folder.")
    work = out.with_name(f"{out.name}.part")
    work.mkdir(parents=True, exist_ok=True)
    files = []
    for archive in source.archives:
        files.append(work / archive.name)
        if not files[-1].is_file():
            with bar(f"Downloading {archive.name}", "MB") as report:
                fetch(archive, files[-1], report, source.page, wait)
        elif _md5(files[-1]) != archive.md5:
            raise ValueError(f"{shown(files[-1])} differs from {archive.url}. Remove it and run the command again.")
    tree = work / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    for file in files:
        with bar(f"Unpacking {file.name}", "MB") as report:
            unpack(file, tree, source.top, report)
    source.read(tree)  # before it takes the name
    if out.is_dir():
        out.rmdir()
    tree.rename(out)
    shutil.rmtree(work)
    return source.read(out)


def fetch(archive: Archive, file: Path, report: Report, page: str, wait: float = 1.0) -> None:
    """Download a file, going on with what is there of it, and check it.

    Args:
        archive: what to fetch.
        file: where it goes once it is whole; until then it is `file` with `.part` at its end.
        report: called with megabytes done and in all.
        page: where a person can look, for the messages.
        wait: as of `get`.

    Raises:
        ValueError: it can't be had, or has another checksum.
    """
    part = file.with_name(f"{file.name}.part")
    by_hand = (
        f"If this does not help, download it yourself ({page}), put it at {shown(file)}, and run the command again."
    )
    failed = 0
    while True:
        before = _size(part)
        try:
            done = _go_on(archive.url, part, report)
            reason = "the connection was cut"
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code not in (408, 429):
                raise ValueError(f"{archive.url} answers {error.code} {error.reason}. {by_hand}") from None
            done, reason = False, f"it answers {error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.filename:  # it is our own disk
                raise
            done, reason = False, str(getattr(error, "reason", error) or type(error).__name__)
        if done:
            if _md5(part) == archive.md5:
                part.replace(file)
                return
            part.unlink()
            if not before:
                raise ValueError(
                    f"{archive.url} has another checksum than {archive.md5}: it was damaged during the download, or "
                    f"the publisher has changed it. It was removed; run the command again. {by_hand}"
                )
            continue  # what it went on with was of something else: once more from the start
        failed = 1 if _size(part) > before else failed + 1
        if failed == _ATTEMPTS:
            raise ValueError(
                f"{archive.url} can't be downloaded: {reason}. {_size(part) / _MB:,.1f} MB are on the disk, and the "
                f"same command continues with them. {by_hand}"
            )
        time.sleep(wait * 2 ** (failed - 1))


def unpack(file: Path, out: Path, top: str, report: Report) -> None:
    """Unpack a .tgz into a folder; what is inside of `top` goes to the top. Nothing gets outside of the folder.

    Args:
        file: the archive.
        out: the folder.
        top: a folder in the archive.
        report: called with megabytes of the archive done and in all.

    Raises:
        ValueError: a member would get outside, or is neither a file nor a folder.
    """
    total, home = file.stat().st_size // _MB, out.resolve()
    with file.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:gz") as archive:
        for member in archive:
            parts = PurePosixPath(member.name).parts
            target = home.joinpath(*(parts[1:] if parts[:1] == (top,) else parts))
            # Files and folders alone are made, so that no link made before can lead outside. (tarfile's own filter came
            # with Python 3.11.4.)
            if not target.resolve().is_relative_to(home):
                raise ValueError(f"{shown(file)} is not unpacked: {shown(member.name)} would be outside of {out}.")
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
            elif content := archive.extractfile(member) if member.isreg() else None:
                target.parent.mkdir(parents=True, exist_ok=True)
                with content, target.open("wb") as unpacked:
                    shutil.copyfileobj(content, unpacked)
            else:
                raise ValueError(f"{shown(file)} is not unpacked: {shown(member.name)} is neither a file nor a folder.")
            report(raw.tell() // _MB, total)


def _go_on(url: str, part: Path, report: Report) -> bool:
    """Fetch what is missing of a file; whether it is whole now."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": "hclnet", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return True  # there is nothing after what we have
        part.unlink()
        return False
    with answer:
        length = answer.headers.get("Content-Length")
        goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        have = have if goes_on else 0  # a server that knows no ranges sends all of it
        total = have + int(length) if length else None
        with part.open("ab" if goes_on else "wb") as file:
            while piece := answer.read(_PIECE):
                file.write(piece)
                have += len(piece)
                report(have // _MB, (total or have) // _MB)
    return total is None or have == total


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _md5(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
