"""SIGKILL at ten moments of trainings, drawn anew: gone on with, they have the weights of one left in peace."""

from __future__ import annotations

import csv
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

KILLED = Path(__file__).with_name("killed.py")


def what_was_learned(run: Path) -> tuple[bytes, list[dict[str, str]]]:
    """The weights as they are on the disk, and what each epoch is said to have come to."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]
    return (run / "localizer" / "model.safetensors").read_bytes(), rows


@pytest.mark.slow
@pytest.mark.parametrize("tune", ["heads", "all"])
def test_five_kills(birds: Path, tmp_path: Path, tune: str):
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")  # of the moments: python tests/training/killed.py SEED 5 FOLDER train ...
    call = ["train", birds, "--size", "32", "--epochs", "4", "--device", "cpu", "--set", f"tune={tune}"]
    call += ["--method", "cam", "--set", "width=8", "--set", "batch=4", "--set", "scales=1", "--no-report"]
    done = subprocess.run(
        [sys.executable, KILLED, str(seed), "5", tmp_path, *call], capture_output=True, text=True, timeout=280
    )
    print(done.stdout, done.stderr[-2000:])
    assert done.returncode == 0 and done.stdout.count("killed") >= 2
    whole = what_was_learned(tmp_path / "whole")
    assert len(whole[1]) == 4
    for number in range(5):
        assert what_was_learned(tmp_path / str(number)) == whole, f"killed {number}"
