"""A table as CSV or Parquet, whoever wrote it: its columns, and its rows as text."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hclnet.data.files import read_text, shown
from hclnet_runtime.text import as_clause

Row = Mapping[str, str]
SEP = re.compile(r'\ufeff?"?sep=(.)"?[,;\t]*\r?\n', re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


@dataclass(frozen=True, slots=True)
class Table:
    """What is in a file.

    Attributes:
        columns: names as they are, stripped and in lower case; empty ones at the end are left out.
        rows: called with the columns that are wanted, by the names that they are to have in a row; gives each row that
            is not blank with its number in the file. It may be called again.
    """

    columns: list[str]
    rows: Callable[[Mapping[str, str]], Iterator[tuple[int, Row]]]


def read_table(file: Path) -> Table:
    """A table from `.parquet`, or from CSV with whatever ending.

    CSV may be in UTF-8 or UTF-16, and divided by commas, semicolons or tabs, as its header is or as a first line
    `sep=;` says, which Excel writes and reads. Where semicolons divide, numbers may have a decimal comma.

    Raises:
        ValueError: the file can't be read; or, once its rows are, a row has another number of values than the header.
    """
    return _parquet(file) if file.suffix.lower() == ".parquet" else _csv(file)


def _csv(file: Path) -> Table:
    text = read_text(file)
    said = SEP.match(text)
    body, first = (text[said.end() :], 2) if said else (text, 1)
    header = body.partition("\n")[0]
    divider = said[1] if said else max(",;\t", key=header.count)

    def lines() -> Iterator[tuple[int, list[str]]]:
        table, number = csv.reader(io.StringIO(body, newline=""), delimiter=divider), first
        while True:
            try:
                values = next(table, None)
            except csv.Error as error:
                raise ValueError(f"{shown(file)}, row {number}: {as_clause(error)}. Save it as CSV again.") from None
            if values is None:
                return
            yield number, [value.strip() for value in values]
            number += 1

    columns = [name.lower() for name in next(lines(), (0, []))[1]]
    while columns and not columns[-1]:
        columns.pop()

    def rows(wanted: Mapping[str, str]) -> Iterator[tuple[int, Row]]:
        places = [(columns.index(column), name) for column, name in wanted.items()]
        for number, values in lines():
            if number == first or not any(values):
                continue
            while len(values) > len(columns) and not values[-1]:
                values.pop()
            if len(values) != len(columns):
                raise ValueError(
                    f"{shown(file)}, row {number}: {len(values)} values for {len(columns)} columns. Put a value with "
                    'the separator in it into "quotes".'
                )
            yield number, {name: _number(values[k]) if divider == ";" else values[k] for k, name in places}

    return Table(columns, rows)


def _number(value: str) -> str:
    """`34,5` as `34.5`, and everything else as it is."""
    return value.replace(",", ".") if _DECIMAL_COMMA.fullmatch(value) else value


def _parquet(file: Path) -> Table:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise ValueError(
            f"{shown(file)} is a Parquet file. Install the package that reads it:  pip install 'hclnet[parquet]'\n"
            "or save it as CSV."
        ) from None
    try:
        table = parquet.ParquetFile(file).read()
    except (ArrowException, OSError) as error:
        raise ValueError(f"{shown(file)} can't be read as Parquet: {as_clause(error)}. Save it again.") from None
    columns = [name.strip().lower() for name in table.column_names]

    def rows(wanted: Mapping[str, str]) -> Iterator[tuple[int, Row]]:
        chosen = [(name, table.column(columns.index(column)).to_pylist()) for column, name in wanted.items()]
        for number in range(table.num_rows):
            yield number + 1, {name: _as_text(values[number]) for name, values in chosen}

    return Table(columns, rows)


def _as_text(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a column of whole numbers becomes one of floats where a value is missing
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value).strip()
