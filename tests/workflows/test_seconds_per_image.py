"""An image that never comes to an end costs its limit of time, is named once, and all others are as without it."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import parquet
from typer.testing import CliRunner

import hanging
import hclnet
from hclnet.cli.app import app
from hclnet.data import read
from hclnet.synthetic import PartsOptions, write

LIMIT = 3
SAID = f"hangs.png can't be read within {LIMIT} seconds."
TESTS = Path(hanging.__file__).parent


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HCLNET_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """Two classes of a few images; one of each, besides them, is never read to its end."""
    write(PartsOptions(classes=2, train=4, test=2, size=64), tmp_path / "drawn")
    for sample in read(tmp_path / "drawn").samples:
        folder = tmp_path / "data" / sample.split / str(sample.label)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.path, folder)
    (tmp_path / "data" / "train" / "0" / "hangs.png").write_bytes(hanging.IN_PIXELS)
    with hanging.format_known():
        yield tmp_path / "data"


def told_once(sentences: list[str]) -> bool:
    return sum(SAID in one for one in sentences) == len(sentences) == 1


def test_locate(data: Path, trained: Path, tmp_path: Path):
    found = hclnet.locate_files(data, trained, tmp_path / "out", device="cpu", seconds_per_image=LIMIT)
    assert len(found.localizations) == 12 and told_once(found.left_out)
    assert len([*(tmp_path / "out" / "overlays").rglob("*.jpg")]) == 12


def test_shards_and_what_is_no_file(data: Path, trained: Path, tmp_path: Path):
    os.mkfifo(data / "pipe.jpg")
    names = sorted(str(path) for path in data.rglob("*.*g"))
    (tmp_path / "names.txt").write_text("\n".join([*names, "/dev/zero"]))
    found = hclnet.locate_shards(
        (), trained, tmp_path / "out", manifest=tmp_path / "names.txt", device="cpu", seconds_per_image=LIMIT
    )
    rows = [row for file in found.files for row in parquet.read_table(file, columns=["error"]).to_pylist()]
    errors = [row["error"] for row in rows if row["error"] is not None]
    assert len(rows) == 15 == len(errors) + 12
    assert told_once([error for error in errors if "a pipe or a device, not a file." not in error])


def test_train(data: Path, tmp_path: Path):
    recipe = {"method": "cam", "size": 64, "epochs": 1, "device": "cpu", "report": False}
    with pytest.raises(ValueError, match=r"1 image of 13 can't be read(.|\n)*" + SAID):
        hclnet.train(data, out=tmp_path / "run", seconds_per_image=LIMIT, **recipe)
    hclnet.train(data, out=tmp_path / "run", seconds_per_image=LIMIT, on_bad_image="skip", **recipe)
    with (tmp_path / "run" / "skipped.csv").open(encoding="utf-8", newline="") as file:
        assert told_once([row["reason"] for row in csv.DictReader(file)])
    found = hclnet.evaluate(tmp_path / "run", split="train", device="cpu", report=False)  # by the limit of the run
    assert found.metrics["images"] == 8


def test_check(data: Path, tmp_path: Path):
    arguments = ["data", "check", str(data), "--seconds-per-image", str(LIMIT), "--json", str(tmp_path / "found.json")]
    done = CliRunner().invoke(app, arguments)
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert done.exit_code == 1 and told_once([one["reason"] for one in found["broken"]])
    assert found["problems"] == 1 and found["images"] == 13


def test_a_command_comes_to_its_end(data: Path, tmp_path: Path):
    """No thread and no process is left that the interpreter would wait for."""
    code = "import sys; sys.path[:0] = [sys.argv.pop(1)]; import hanging, hclnet.cli\nwith hanging.format_known(): "
    words = ["data", "check", str(data), "--seconds-per-image", "2"]
    done = subprocess.run(
        [sys.executable, "-c", code + "hclnet.cli.main()", str(TESTS), *words], capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stdout.count("can't be read within 2 seconds") == 1, done.stderr
