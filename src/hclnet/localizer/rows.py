"""An array on disk of which rows are written in their order and read in any.

Pages of a file that is mapped count as the process's memory from the moment they are touched. Here they are handed back
after each batch; the system keeps them in its cache. Writing is plain writing: on a full disk it is an error, where
a page of a mapped file ends the process.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np


class Rows:
    """A file of NumPy's format `.npy` with an array in C order. It may be deleted while it is read.

    Attributes:
        path: of the file.
        shape, dtype: of the array; the first axis counts rows.
    """

    def __init__(self, path: Path) -> None:
        """Raises:
        OSError: the file can't be read.
        ValueError: it has no such array, or not all of it.
        """
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise ValueError(f"{path} is of version {version} of NumPy's format, not 1.0.")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            offset, end = file.tell(), file.seek(0, 2)
            if fortran or dtype.hasobject or offset + np.prod(shape, dtype=np.int64) * dtype.itemsize != end:
                raise ValueError(f"{path} has no whole array in C order.")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.path, self.shape, self.dtype = path, shape, dtype
        self._array = np.frombuffer(self._map, dtype, offset=offset).reshape(shape)

    def __reduce__(self) -> tuple[Callable[[Path], Rows], tuple[Path]]:
        return Rows, (self.path,)  # a process that loads a batch opens the file itself

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, indices: Sequence[int] | np.ndarray | slice = slice(None)) -> np.ndarray:
        """A copy of some rows, in this order, or of all."""
        rows = self._array[indices].copy() if isinstance(indices, slice) else self._array[indices]
        if hasattr(self._map, "madvise"):  # not on Windows
            self._map.madvise(mmap.MADV_DONTNEED)
        return rows


class RowWriter:
    """Writes a file that `Rows` reads, from the first row to the last. Used as a context manager."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._file = path.open("wb")
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, rows: np.ndarray) -> None:
        """The next rows."""
        self._file.write(np.ascontiguousarray(rows).data)
