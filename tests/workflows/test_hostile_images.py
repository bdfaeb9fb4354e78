"""A folder of hostile files: nothing crashes or hangs, every picture is boxed, and every other file is named once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

import hostile_images
from hclnet_runtime.text import shown

WALK = Path(hostile_images.__file__).with_name("walk.py")
MOST = 3 * 2**30  # bytes, of which torch and all other libraries take nearly one


def walk(root: Path, run: Path, out: Path) -> dict:
    out.mkdir()
    done = subprocess.run(
        [sys.executable, WALK, root, run, out], capture_output=True, text=True, timeout=250, errors="replace"
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def names(paths: Iterable[Path]) -> set[str]:
    return {str(path) for path in paths}


def unicode(names: set[str]) -> set[str]:
    """As Parquet holds them."""
    return {name.encode("utf-8", "backslashreplace").decode() for name in names}


def told_once(files: Iterable[Path], sentences: list[str]) -> bool:
    return all(sum(shown(file) in sentence for sentence in sentences) == 1 for file in files)


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_all_that_reads_images(tmp_path: Path, trained: Path, count: int):
    made = hostile_images.write(tmp_path / "data", count)
    assert len(made.good) + len(made.bad) == count
    good, bad = names(made.good), names(made.bad)
    found = walk(made.root, trained, tmp_path / "out")
    others = made.bad | made.passed_over

    located = found["locate"]
    assert set(located["good"]) == good and len(located["good"]) == len(good)
    assert len(located["told"]) == len(others) and told_once(others, located["told"])

    shards = found["shards"]
    assert shards["rows"] == count and set(shards["good"]) == unicode(good) and set(shards["bad"]) == unicode(bad)
    assert len(shards["told"]) == len(others) and told_once(others, shards["told"])

    trained_on = found["train"]
    assert sorted(row["path"] for row in trained_on["skipped"]) == sorted(bad)
    assert {str(made.root / row["id"]) for row in trained_on["rows"]} == good

    checked = found["check"]
    assert checked["code"] == 1 and set(checked["bad"]) == bad and checked["images"] == count
    told = [*located["told"], *shards["told"], *checked["bad"].values(), *(s["reason"] for s in trained_on["skipped"])]
    assert all(sentence.endswith(".") and sentence.isprintable() for sentence in told)
    assert max(one["peak"] for one in found.values()) < MOST


def test_the_same_seed_makes_the_same_folder(tmp_path: Path):
    first, second = (hostile_images.write(tmp_path / name, 100, 7) for name in "ab")

    def contents(made: hostile_images.Hostile) -> dict[Path, bytes | None]:
        return {
            path.relative_to(made.root): None if path.is_symlink() or path.stat().st_size > 2**30 else path.read_bytes()
            for path in made.good | made.bad
        }

    assert contents(first) == contents(second)
