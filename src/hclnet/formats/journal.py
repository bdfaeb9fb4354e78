"""The journal of a folder of results, `located.jsonl`: a header, then a line for each image as it was located.

Every other file of results is made from it. A process that is killed leaves at most a part of a line at the end; it is
dropped when the journal is opened again.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hclnet.documents import parse_json
from hclnet.storage import Unwritable, unwritable, whole
from hclnet_runtime.text import shown

FILE = "located.jsonl"
FORMAT = 1

_ABOUT = b'{"hclnet": '  # what every journal begins with
_TO_DISK = 2.0  # seconds after which lines are on the disk itself, and survive a loss of power


class OtherResults(ValueError):
    """The folder has results of another model or of other settings."""


class Journal:
    """An open journal.

    Attributes:
        header: of the file.
        rows: by the path of an image as it was given, its last line.
    """

    def __init__(self, path: Path, header: dict[str, Any], rows: dict[str, dict[str, Any]]) -> None:
        self.path = path
        self.header = header
        self.rows = rows
        self.spare = False  # lines that a later one took the place of
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))
        self._safe = time.monotonic()

    def add(self, row: dict[str, Any]) -> None:
        """Write an image's line. It takes the place of what was known of the image.

        Raises:
            Unwritable: there is no room, and the journal is as it was; or it was removed.
        """
        about = os.fstat(self._file)
        if about.st_nlink == 0:
            raise Unwritable(
                f"{shown(self.path)} was removed while results were written to it. Start again, or name another folder "
                "with --out."
            )
        data, length = _line(row), about.st_size
        try:
            if os.write(self._file, data) != len(data):  # the disk took a part of it
                os.truncate(self._file, length)
                os.write(self._file, data)  # says why, or takes a part again
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if time.monotonic() - self._safe > _TO_DISK:
                self.to_disk()
        except OSError as error:
            with suppress(OSError):
                os.truncate(self._file, length)
            raise unwritable(self.path, error) from error
        self.spare |= row["path"] in self.rows
        self.rows[row["path"]] = row

    def to_disk(self) -> None:
        """What was written survives a loss of power."""
        os.fsync(self._file)
        self._safe = time.monotonic()

    def close(self) -> None:
        """Leave every image once in the file."""
        with suppress(OSError):
            self.to_disk()
        os.close(self._file)
        if self.spare:
            with suppress(ValueError):  # no room for a second one: the next start tries again
                _write(self.path, self.header, self.rows)


def read_journal(path: Path) -> tuple[dict[str, Any] | None, dict[str, dict[str, Any]], bool]:
    """The header, the last line of each image by its path, and whether the file holds just these.

    Without a header, which is None then, there is nothing to go on with.

    Raises:
        ValueError: the file is not a journal, or of another version, or can't be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None, {}, True
    except OSError as error:
        raise ValueError(f"{shown(path)} can't be read: {error.strerror}.") from None
    first, end, rest = data.partition(b"\n")
    begun = first[: len(_ABOUT)] == _ABOUT[: len(first)]
    if not end and begun:
        return None, {}, False  # cut off in its header
    header = parsed_line(first) if begun else None
    if header is None or "format" not in header:
        raise ValueError(f"{shown(path)} is not a journal of hclnet. Move it away, or name another folder with --out.")
    if header["format"] != FORMAT:
        raise ValueError(
            f"{shown(path)} was written by hclnet {header['hclnet']} in format {header['format']}, not {FORMAT}. Name "
            "another folder with --out, or delete it."
        )
    rows: dict[str, dict[str, Any]] = {}
    *lines, tail = rest.split(b"\n")
    for line in lines:
        row = parsed_line(line)
        if row is not None and isinstance(row.get("path"), str):
            rows.pop(row["path"], None)  # in the order of what was written last
            rows[row["path"]] = row
    return header, rows, not tail and len(rows) == len(lines)


@contextmanager
def opened(folder: Path, header: dict[str, Any], overwrite: bool = False) -> Iterator[Journal]:
    """The journal of a folder, to go on with.

    Args:
        folder: of the results.
        header: what makes the results: those of another model or of other settings are not gone on with.
        overwrite: drop results of another header, and their pictures, in place of refusing.

    Raises:
        OtherResults: the folder has results of another header; the message says in what they differ.
        ValueError: the file is not a journal.
        Unwritable: it can't be written.
    """
    path = folder / FILE
    header = json.loads(json.dumps(header))
    before, rows, clean = read_journal(path)
    if before is not None and (unlike := differences(before, header)):
        if not overwrite:
            raise OtherResults(
                f"{shown(folder)} has results of {'; '.join(unlike)}. Name another folder with --out, or delete "
                "them with --overwrite."
            )
        _drop_pictures(folder, rows)
        before, rows = None, {}
    if before != header or not clean:
        _write(path, header, rows)
    journal = Journal(path, header, rows)
    try:
        yield journal
    finally:
        journal.close()


def pictures_of(folder: Path, row: dict[str, Any]) -> list[Path]:
    """The files that were drawn of an image."""
    kinds, name = row.get("pictures", ()), row.get("name")
    drawn = {"overlays": "jpg", "heatmaps": "png", "heatmaps-8bit": "png"}
    files = [folder / kind / f"{name}.{ending}" for kind, ending in drawn.items() if kind in kinds]
    count = len(row.get("objects", ())) if "masks" in kinds else 0
    return files + [folder / "masks" / f"{name}-{k}.png" for k in range(1, count + 1)]


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """In what two headers differ, for a person to read."""
    found = []
    if before.get("hclnet") != now["hclnet"]:
        found.append(f"hclnet {before.get('hclnet')}, not {now['hclnet']}")
    old, new = (header.get("model") or {} for header in (before, now))
    if old.get("fingerprint") != new.get("fingerprint"):
        name, other = (shown(str(model.get("name"))) for model in (old, new))
        found.append(f"the model {name}{' before it was changed' if name == other else f', not {other}'}")
    settings, wanted = before.get("settings") or {}, now["settings"]
    for key in sorted({*settings, *wanted}):
        if settings.get(key) != wanted.get(key):
            found.append(f"{key} {_value(settings.get(key))}, not {_value(wanted.get(key))}")
    return found


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(shown(str(one)) for one in value)
    return "none" if value is None else shown(str(value))


def _drop_pictures(folder: Path, rows: dict[str, dict[str, Any]]) -> None:
    for row in rows.values():
        for file in pictures_of(folder, row):
            with suppress(OSError):
                file.unlink(missing_ok=True)


def _write(path: Path, header: dict[str, Any], rows: dict[str, dict[str, Any]]) -> None:
    with whole(path) as part, part.open("wb") as file:
        file.writelines(_line(one) for one in (header, *rows.values()))


def _line(content: dict[str, Any]) -> bytes:
    """One line of JSON. A file name's bytes that are not UTF-8 are written as JSON's escapes."""
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def parsed_line(line: bytes) -> dict[str, Any] | None:
    """What a line of JSON has; None if it is not one, such as the part that a killed process has left."""
    try:
        row = parse_json(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
