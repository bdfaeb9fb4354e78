"""Names of images, however many: they are streamed into a file on disk, and read from it in groups.

The memory that this takes does not grow with the number of images.
"""

from __future__ import annotations

import csv
import glob
import hashlib
import os
import posixpath
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from hclnet.data.columns import path_column
from hclnet.data.files import files_in, is_file, is_image_name
from hclnet.data.manifest import path_here
from hclnet.data.named import fixed_part, results_below
from hclnet.data.remote import beside, is_address, place, without_query
from hclnet.data.table import SEP
from hclnet.storage import whole
from hclnet_runtime.text import as_clause, shown

_TEXT_FILES = (".csv", ".tsv", ".txt")


@dataclass(frozen=True, slots=True)
class Entry:
    """An image's name.

    Attributes:
        path: as it is in the manifest, or as it was found.
        file: absolute; the address of one that lies elsewhere, see `hclnet.data.remote`.
    """

    path: str
    file: Path | str


class Listing:
    """A list on disk, in groups.

    Attributes:
        count: how many images it has.
        groups: how many groups.
    """

    def __init__(self, file: Path) -> None:
        """Raises:
        ValueError: it can't be read.
        """
        from pyarrow import ArrowException, parquet

        try:
            self.path, self._file = file, parquet.ParquetFile(file)
        except (ArrowException, OSError) as error:
            raise ValueError(
                f"{shown(file)} can't be read: {as_clause(error)}. Name another folder with --out."
            ) from None
        self.count = self._file.metadata.num_rows
        self.groups = self._file.num_row_groups

    def group(self, number: int) -> list[Entry]:
        """The entries of a group, in order."""
        from pyarrow import ArrowException

        try:
            columns = self._file.read_row_group(number).to_pydict()
            names = zip(columns["path"], columns["file"], strict=True)
            return [Entry(os.fsdecode(path), place(os.fsdecode(file))) for path, file in names]
        except (ArrowException, OSError, LookupError, TypeError, ValueError) as error:
            raise ValueError(
                f"{shown(self.path)} can't be read: {as_clause(error)}. Name another folder with --out."
            ) from None


def write_listing(file: Path, entries: Iterable[Entry], group: int) -> int:
    """Write a list, whole or not at all; returns how many entries it has.

    Args:
        file: Parquet, with the columns `path` and `file` in bytes, as names of files are.
        entries: read once.
        group: how many of them a group has; the last one may have fewer.

    Raises:
        Unwritable: the disk is full, or the file can't be written.
        ValueError: as the entries do.
    """
    import pyarrow
    from pyarrow import parquet

    kinds = pyarrow.schema([("path", pyarrow.binary()), ("file", pyarrow.binary())])
    waiting, count = iter(entries), 0
    with whole(file) as part, parquet.ParquetWriter(part, kinds) as writer:
        while some := list(islice(waiting, group)):
            columns = [[os.fsencode(one.path) for one in some], [os.fsencode(one.file) for one in some]]
            writer.write_table(pyarrow.table(columns, kinds), row_group_size=group)
            count += len(some)
    return count


def stream_images(arguments: Sequence[str], left_out: list[str]) -> Iterator[Entry]:
    """The images that files, folders and globs mean, in no order. An image that is named twice comes twice.

    Folders with results of hclnet and those that systems make are passed over, as `find_images` does.

    Args:
        arguments: files, folders, globs; addresses of single files.
        left_out: gets a sentence for each argument or folder that can't be read.
    """
    for argument in arguments:
        if is_address(argument):
            if is_image_name(posixpath.basename(without_query(argument))) and "*" not in argument:
                yield Entry(argument, argument)
            else:
                left_out.append(f"{shown(argument)} is no single image. List the images in a file: --manifest FILE.")
            continue
        path = Path(os.path.expanduser(argument))  # noqa: PTH111, fails not on a file called ~name
        odd: list[str] = []
        try:
            found = False
            for one in _meant(path, odd):
                found = True
                yield Entry(str(one), Path(os.path.abspath(one)))  # noqa: PTH100, links are kept
        except (OSError, ValueError) as error:
            left_out.append(f"{shown(argument)} can't be read: {as_clause(error)}.")
            continue
        finally:
            left_out += odd
        if not found:
            left_out.append(f"{shown(argument)} has no image, or is not there.")


def _meant(path: Path, odd: list[str]) -> Iterator[Path]:
    """The files that an argument means."""
    if path.is_dir():
        yield from (p for p in files_in(path, odd=odd) if is_image_name(p))
    elif path.is_file():
        yield path
    else:
        is_ours = results_below(fixed_part(path))
        matches = map(Path, glob.iglob(str(path), recursive=True))  # noqa: PTH207, absolute patterns too
        yield from (p for p in matches if is_file(p) and not is_ours(p.parent))


def stream_manifest(file: Path, home: str | Path | None = None) -> Iterator[Entry]:
    """The images that a table names, in its order.

    It is Parquet or CSV with a column `path`, or text with a name in each line.

    Args:
        file: the table.
        home: the folder that relative names are relative to: absolute, or the address of one; the table's own by
            default.

    Raises:
        ValueError: the file can't be read, has no such column, or a row has no name.
    """
    suffix = file.suffix.lower()
    if suffix != ".parquet" and suffix not in _TEXT_FILES:
        raise ValueError(f"{shown(file)} is no manifest. Name a file that ends in .parquet, .csv, .tsv or .txt.")
    home, number = home or Path(os.path.abspath(file.parent)), 0  # noqa: PTH100, links are kept
    for number, name in _parquet_names(file) if suffix == ".parquet" else _text_names(file):
        if not name.strip() or "\0" in name:
            raise ValueError(f"{shown(file)}, row {number}: there is no name of an image. Remove the row.")
        yield Entry(name, _file(home, name))
    if not number:
        raise ValueError(f"{shown(file)} names no image. Add a row for each.")


def _file(home: str | Path, name: str) -> str | Path:
    if isinstance(home, str) or is_address(name):
        return beside(str(home), name)
    return Path(os.path.normpath(home / path_here(home, name)))


def _parquet_names(file: Path) -> Iterator[tuple[int, str]]:
    from pyarrow import ArrowException, parquet, types

    try:
        table = parquet.ParquetFile(file)
        columns = table.schema_arrow.names
        column = columns[[name.strip().lower() for name in columns].index(path_column(file, _lower(columns)))]
        kind = table.schema_arrow.field(column).type
        kind = kind.value_type if types.is_dictionary(kind) else kind
        if not any(of(kind) for of in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)):
            raise ValueError(f"{shown(file)}: the column {column} has {kind}, not names of images. Rename the columns.")
        batches = table.iter_batches(columns=[column], batch_size=10_000)
        values = (value for batch in batches for value in batch.column(0).to_pylist())
        yield from ((number, os.fsdecode(value or "")) for number, value in enumerate(values, 1))
    except (ArrowException, OSError) as error:
        raise ValueError(f"{shown(file)} can't be read as Parquet: {as_clause(error)}. Save it again.") from None


def _text_names(file: Path) -> Iterator[tuple[int, str]]:
    try:
        with file.open("rb") as data:
            encoding = "utf-16" if data.read(2) in (BOM_UTF16_LE, BOM_UTF16_BE) else "utf-8-sig"
        with file.open(encoding=encoding, errors="surrogateescape", newline="") as lines:
            if file.suffix.lower() == ".txt":
                yield from ((k, stripped) for k, line in enumerate(lines, 1) if (stripped := line.strip("\r\n")))
                return
            first, number = lines.readline(), 1
            said = SEP.match(first)
            if said or not first.strip():
                first, number = lines.readline(), 2
            divider = said[1] if said else max(",;\t", key=first.count)
            columns = _lower(next(csv.reader([first], delimiter=divider), []))
            place = columns.index(path_column(file, columns))
            for k, row in enumerate(csv.reader(lines, delimiter=divider), number + 1):
                if any(row):
                    yield k, row[place].strip() if place < len(row) else ""
    except csv.Error as error:
        raise ValueError(f"{shown(file)} can't be read as CSV: {as_clause(error)}. Save it again.") from None
    except OSError as error:
        raise ValueError(f"{shown(file)} can't be read: {error.strerror}.") from None


def _lower(columns: Sequence[str]) -> list[str]:
    return [name.strip().lower() for name in columns]


def digest_of(file: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        ValueError: it can't be read.
    """
    try:
        with file.open("rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"{shown(file)} can't be read: {error.strerror}.") from None
