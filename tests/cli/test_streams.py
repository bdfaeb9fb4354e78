"""Output to a stream that lacks signs: what can't be shown is an escape, and no verb ends with a traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = "import sys; from hclnet.cli import main; sys.argv[0] = 'hclnet'; main()"
PLAIN = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}


def hclnet(*arguments: str | Path, **environment: str) -> tuple[int, str]:
    """In a process of its own: exit code, and what it said."""
    known = {k: v for k, v in os.environ.items() if k not in ("PYTHONIOENCODING", "PYTHONUTF8", "LC_ALL", "LANG")}
    command = [sys.executable, "-c", MAIN, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, env={**known, "COLUMNS": "120", **environment}, timeout=200)
    return done.returncode, (done.stdout + done.stderr).decode("latin-1")


@pytest.fixture
def odd(birds: Path, tmp_path: Path) -> Path:
    """Two class folders of four photos, with signs that few encodings have."""
    photos = sorted((birds / "images").rglob("*.jpg"))
    for k, name in enumerate(("日本, Ελλάδα", "größe")):
        (tmp_path / "odd" / name).mkdir(parents=True)
        for photo in photos[8 * k : 8 * k + 4]:
            shutil.copy(photo, tmp_path / "odd" / name / f"{photo.stem} 🐦.jpg")
    (tmp_path / "odd" / "größe" / "leer 日.jpg").touch()
    return tmp_path / "odd"


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "cp1252"}, PLAIN],
    ids=["ascii", "cp1252", "LANG=C"],
)
def test_tables_and_sentences_come_out(odd: Path, environment: dict[str, str]):
    code, said = hclnet("data", "check", odd, **environment)
    assert code == 1 and "Traceback" not in said, said
    assert "leer " in said and "Broken" in said
    if environment.get("PYTHONIOENCODING") == "ascii":
        assert r"\u65e5\u672c" in said and r"gr\xf6\xdfe" in said


@pytest.mark.slow
def test_what_is_located_comes_out(odd: Path, trained: Path):
    code, said = hclnet("locate", odd, "--model", trained, "--out", odd.parent / "o", PYTHONIOENCODING="ascii")
    assert code == 0 and "Traceback" not in said, said
    assert said.count(".jpg: ") == 8 and "Left out: " in said and ".jpg is empty" in said


@pytest.mark.parametrize("arguments", [("data", "check", "größe 🐦"), ("--help",), ("locate", "--help")])
def test_mistakes_and_help_come_out(arguments: tuple[str, ...]):
    code, said = hclnet(*arguments, PYTHONIOENCODING="ascii")
    assert code == (2 if "--help" not in arguments else 0) and "Traceback" not in said, said
    assert ("Usage" in said) is ("--help" in arguments)
