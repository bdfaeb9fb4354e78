"""A full disk, or a run folder that is removed, at each of the writes of a training: one sentence, nothing whole is
lost, and what goes on afterwards has the weights of a training that nothing disturbed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_killed import what_was_learned

FULL = Path(__file__).with_name("full.py")
CAN_BE_MISSED = ("cache/whole-images.sqlite", "run/.hclnet.owner.json")  # without these all goes on


def each(how: str, birds: Path, folder: Path, epochs: int) -> list[dict[str, Any]]:
    """What happened at each write; the runs of all came to the same end."""
    call = ["train", birds, "--size", "32", "--epochs", str(epochs), "--device", "cpu", "--method", "cam"]
    call += ["--set", "width=8", "--set", "batch=4", "--set", "scales=1"]
    command = [sys.executable, FULL, how, folder, *call]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1100)
    assert done.returncode == 0, done.stderr[-2000:]
    whole = what_was_learned(folder / "whole" / "run")
    for run in folder.glob("[0-9]*"):
        assert what_was_learned(run / "run") == whole and (run / "run" / "report.html").is_file(), run.name
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def the_error(one: dict[str, Any]) -> str:
    """What was said, in one sentence or two."""
    assert one["code"] == 2 and one["said"].count("Error: ") == 1 and "Traceback" not in one["said"], one
    return str(one["said"].partition("Error: ")[2])


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no disk that is always full")
def test_at_each_write_the_disk_is_full(birds: Path, tmp_path: Path):
    found = each("full", birds, tmp_path, epochs=2)
    made = {path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*") if path.is_file()}
    written = [one["file"] for one in found]
    named = {Path(name).name for name in written}
    assert {path.name for path in made if path.name != ".hclnet.lock"} <= named, "a file is written in another way"
    assert written.count("run/checkpoints/last.ckpt") == written.count("run/metrics.csv") == 2
    for number, one in enumerate(found):
        before = [name for name in written[:number] if name not in CAN_BE_MISSED]
        assert {name for name in before if name.startswith("run/")} <= set(one["there"])
        assert not any(".part" in name for name in one["there"])
        if one["file"] in CAN_BE_MISSED:
            assert one["code"] == 0
            continue
        said = the_error(one)
        assert "full" in said or "No space left" in said, said
        assert "HCLNET_CACHE" in said if one["file"].startswith("cache/") else Path(one["file"]).name in said, said


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_at_each_write_the_run_folder_is_removed(birds: Path, tmp_path: Path):
    for one in each("gone", birds, tmp_path, epochs=1):
        if one["code"] == 0:
            assert one["file"] in CAN_BE_MISSED
        else:
            assert str(tmp_path) in the_error(one)
