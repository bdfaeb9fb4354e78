"""What the journal keeps of a localization comes back as it was."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hclnet.formats.masks import of_run_lengths, run_lengths
from hclnet.formats.rows import localization_of, row_of
from hclnet.types import Localization, LocatedObject
from hclnet_runtime.data.same import file_row, is_same_file


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_run_lengths_come_back(mask: np.ndarray):
    back = of_run_lengths(json.loads(json.dumps(run_lengths(mask))))
    assert back.dtype == bool and np.array_equal(back, mask)


def test_a_localization_comes_back(localizations: list[Localization]):
    mask = np.eye(8, dtype=bool)
    one = replace(localizations[0], objects=tuple(replace(o, mask=mask) for o in localizations[0].objects))
    back = localization_of(json.loads(json.dumps(row_of(one, masks=True))))
    assert back == replace(one, heatmaps={}, branches={})
    assert all(np.array_equal(o.mask, mask) for o in back.objects)
    bare = localization_of(row_of(one, masks=False))
    assert bare == back and all(o.mask is None for o in bare.objects)
    assert all(o.mask is None for o in localization_of(row_of(one, masks=True), masks=False).objects)
    nothing = localizations[1]
    assert localization_of(row_of(nothing, masks=True)) == replace(nothing, heatmaps={}, branches={})


def test_the_peak_is_where_the_heatmap_is_highest_in_the_object():
    heat = np.zeros((4, 8), np.float32)
    heat[1, 2], heat[3, 7] = 0.5, 1.0
    mask = np.zeros((4, 8), bool)
    mask[:3, :4] = True
    for found in (
        LocatedObject("a", 1.0, (0.0, 0.0, 40.0, 30.0), mask),
        LocatedObject("a", 1.0, (0.0, 0.0, 40.0, 30.0)),
    ):
        one = Localization("x", (80, 40), (found,), (("a", 1.0),), {"a": heat}, {})
        assert row_of(one, masks=False)["objects"][0]["peak"] == [25.0, 15.0, 0.5]
    corner = LocatedObject("a", 1.0, (79.9, 39.9, 80.0, 40.0))
    one = Localization("x", (80, 40), (corner,), (("a", 1.0),), {"a": heat}, {})
    assert row_of(one, masks=False)["objects"][0]["peak"] == [75.0, 35.0, 1.0]


def test_a_file_is_known_by_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    row = {"file": file_row(file)}
    assert row["file"]["times"] is None  # changed a moment ago
    assert is_same_file(row, file)
    file.write_bytes(b"abd")
    assert not is_same_file(row, file)
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 10**10)
    row = {"file": file_row(file)}
    assert row["file"]["times"][0] == 3
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda *_: pytest.fail("it need not be read"))
        assert is_same_file(row, file)
    os.utime(file, (1, 1))
    assert is_same_file(row, file)  # the same bytes
    file.unlink()
    assert not is_same_file(row, file) and not is_same_file({"file": None}, file) and not is_same_file({}, file)


def test_a_file_that_grew_without_bounds_is_another_one(tmp_path: Path):
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    row = {"file": file_row(file)}
    with file.open("r+b") as opened:
        opened.truncate(2**40)  # a hole, which takes no room
    assert not is_same_file(row, file)
    with pytest.raises(ValueError, match="reads files of at most 4 GB"):
        file_row(file)
