"""`hclnet data check` as a person reads it, and as a script does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

from hclnet.data import read
from hclnet.types import DataSet
from layouts import LAYOUTS

Run = Callable[..., Result]


def test_nothing_to_mend(hclnet: Run, birds: Path):
    done = hclnet("data", "check", birds)
    assert done.exit_code == 0
    assert "CUB-200-2011 layout, 3 classes, 12 train, 6 test" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["class", "train", "test", "all"] in rows
    assert ["crimson-capped", "conebill", "4", "2", "6"] in rows and ["all", "12", "6", "18"] in rows
    assert done.stdout.rstrip().endswith("Nothing to mend.")


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_every_layout(hclnet: Run, birds: Path, tmp_path: Path, layout: Callable[[DataSet, Path], Path]):
    done = hclnet("data", "check", layout(read(birds), tmp_path))
    assert done.exit_code == 0, done.stdout
    assert "3 classes, 12 train, 6 " in done.stdout and done.stdout.rstrip().endswith("Nothing to mend.")


@pytest.fixture
def odd(birds: Path, tmp_path: Path) -> Path:
    root = tmp_path / "odd"
    for source in sorted((birds / "images").iterdir()):
        shutil.copytree(source, root / "train" / source.name.replace("001.", "[bold]\n"))
    first, second, third = sorted((root / "train").iterdir())
    (first / "em\npty.jpg").touch()
    for k in range(24):
        (second / f"text {k}.png").write_text("no image")
    leak = root / "test" / second.name / "seen.jpg"
    leak.parent.mkdir(parents=True)
    shutil.copy(next(second.glob("*.jpg")), leak)
    shutil.copy(next(third.glob("*.jpg")), second / "other class.jpg")
    shutil.copy(next(third.glob("*.jpg")), third / "again.jpg")
    Image.open(next(second.glob("*.jpg"))).resize((50, 50)).save(leak.parent / "smaller.png")
    (root / "train" / "empty").mkdir()
    (root / "train" / "notes.txt").touch()
    return root


def test_what_is_to_mend(hclnet: Run, odd: Path, tmp_path: Path):
    file = tmp_path / "deep" / "findings.json"
    done = hclnet("data", "check", odd, "--json", file)
    assert done.exit_code == 1
    for said in (
        "no image in train/empty/: not a class",
        "1 file is not an image of a class and is left out (1 .txt in train/)",
        "[bold]\\ncrimson-capped_conebill",
        "Broken: mend or remove, or train with --on-bad-image skip (25)",
        "em\\npty.jpg is empty (0 bytes)",
        "... and 5 more; --json FILE has all",
        "Leaks: one picture in several splits makes the test too easy; keep one",
        "Contradictions: one picture in several classes; decide for one",
        "[the same file]",
        "Look alike, in different splits: maybe reduced or re-saved copies; see for yourself",
        "27 things to mend.",
        f"All findings: {file}",
    ):
        assert said in done.stdout, said
    assert "Traceback" not in done.output
    found = json.loads(file.read_text(encoding="utf-8"))
    assert len(found["broken"]) == 25 and found["problems"] == 27
    assert len(found["leaks"]) == len(found["contradictions"]) == 1 and len(found["contradictions"][0]["ids"]) == 3


def test_many_classes_are_told_by_the_smallest(hclnet: Run, tmp_path: Path):
    for k in range(45):
        (tmp_path / f"class{k:02d}").mkdir()
        for i in range(1 if k == 30 else 3):
            Image.new("RGB", (8, 8), (k * 5, i * 40, 0)).save(tmp_path / f"class{k:02d}" / f"{i}.png")
    done = hclnet("data", "check", tmp_path)
    assert "class (the smallest of 45)" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["class30", "1", "0", "1"] in rows
    assert sum(row[:1] != [] and row[0].startswith("class") and len(row) == 4 for row in rows) == 20


def test_the_split_that_is_made_is_that_of_the_seed(hclnet: Run, tmp_path: Path):
    for label in "ab":
        (tmp_path / label).mkdir()
        for k in range(20):
            Image.new("RGB", (8, 8), (k * 12, 0, 0) if label == "a" else (0, k * 12, 9)).save(
                tmp_path / label / f"{k}.png"
            )
    assert "seed 5" in hclnet("data", "check", tmp_path, "--seed", "5").stdout


@pytest.mark.parametrize(
    ("arguments", "code"), [(("data",), 2), (("data", "check"), 2), (("data", "check", "nowhere"), 2)]
)
def test_mistakes(hclnet: Run, arguments: tuple[str, ...], code: int):
    done = hclnet(*arguments)
    assert done.exit_code == code and "Traceback" not in done.output
