"""Files of features: written in order, read in any, and never held in memory."""

from __future__ import annotations

import errno
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from hclnet.localizer.rows import Rows, RowWriter

SHAPE = (40, 16, 16, 64)  # 2.6 MB


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)


@pytest.fixture
def file(tmp_path: Path, values: np.ndarray) -> Path:
    path = tmp_path / "rows.npy"
    with RowWriter(path, SHAPE, values.dtype) as writer:
        writer.append(values[:1])
        writer.append(values[1:30])
        writer.append(values[30:].transpose(0, 2, 1, 3).copy().transpose(0, 2, 1, 3))  # in another order in memory
    return path


def test_numpy_reads_what_is_written(file: Path, values: np.ndarray):
    np.testing.assert_array_equal(np.load(file), values)


def test_any_rows_in_any_order(file: Path, values: np.ndarray):
    rows = Rows(file)
    assert len(rows) == 40 and rows.shape == SHAPE and rows.dtype == np.float32
    for some in ([7], [3, 39, 3, 0], np.array([5, 2])):
        np.testing.assert_array_equal(rows.read(some), values[some])
    np.testing.assert_array_equal(rows.read(), values)
    with pytest.raises(IndexError):
        rows.read([40])


def test_what_was_read_may_be_changed_and_the_file_may_go(file: Path, values: np.ndarray):
    rows = Rows(file)
    rows.read()[:] = 0
    rows.read([1])[:] = 0
    file.unlink()
    np.testing.assert_array_equal(rows.read(), values)


def test_another_process_opens_the_file_itself(file: Path, values: np.ndarray):
    sent = pickle.dumps(Rows(file))
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent).read([4]), values[[4]])


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what is resident")
def test_nothing_stays_in_memory(file: Path):
    rows = Rows(file)
    rows.read()
    rows.read([1, 5, 9])
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    next(line for line in lines if line.endswith(str(file)))
    assert next(line for line in lines if line.startswith("Rss:")).split()[1] == "0"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk is /dev/full")
def test_a_full_disk_is_an_error(values: np.ndarray):
    with pytest.raises(OSError) as error, RowWriter(Path("/dev/full"), SHAPE, values.dtype) as writer:
        writer.append(values)
    assert error.value.errno == errno.ENOSPC


@pytest.mark.parametrize("damage", ["cut", "longer", "fortran", "objects", "text", "empty"])
def test_a_damaged_file_is_refused(file: Path, values: np.ndarray, damage: str):
    if damage == "fortran":
        np.save(file, np.asfortranarray(values))
    elif damage == "objects":
        np.save(file, np.array([{}, 1]), allow_pickle=True)
    else:
        whole = file.read_bytes()
        file.write_bytes({"cut": whole[:-1], "longer": whole + b"x", "text": b"a text", "empty": b""}[damage])
    with pytest.raises(ValueError):
        Rows(file)
