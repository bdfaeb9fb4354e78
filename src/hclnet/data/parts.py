"""A list of image files in parts, on disk: what is handed out to workers, a part at a time.

The memory that this takes does not grow with the number of files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from hclnet.storage import whole

TOGETHER = 256
"""Parts of a group, which are written and read at once."""


def write_parts(target: Path, files: Iterable[str | Path], size: int) -> int:
    """Write a list, whole or not at all; returns how many groups it has.

    Args:
        target: Parquet, with a row for each part: `number`, from 0, and `files`, names in bytes.
        files: paths and addresses, read once.
        size: files of a part; the last one may have fewer.

    Raises:
        Unwritable: the disk is full, or the file can't be written.
        ValueError: as the files do.
    """
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([("number", pa.int64()), ("files", pa.list_(pa.binary()))])
    waiting, number, groups = iter(files), 0, 0
    with whole(target) as part, parquet.ParquetWriter(part, schema) as writer:
        while some := [os.fsencode(file) for file in islice(waiting, size * TOGETHER)]:
            parts = [some[k : k + size] for k in range(0, len(some), size)]
            writer.write_table(pa.table([range(number, number + len(parts)), parts], schema))
            number, groups = number + len(parts), groups + 1
    return groups


def read_parts(file: str, groups: range) -> Iterator[Any]:
    """The parts of some groups of a list in order, each as a table of one row."""
    import pyarrow as pa
    from pyarrow import parquet

    for some in parquet.ParquetFile(file).iter_batches(TOGETHER, list(groups)):
        for part in some.to_pylist():
            yield pa.Table.from_pylist([part], some.schema)
