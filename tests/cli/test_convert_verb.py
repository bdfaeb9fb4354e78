"""`hclnet convert` as it is typed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result


def test_the_command(
    hclnet: Callable[..., Result], birds: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    shutil.copy(next((birds / "images").rglob("*.jpg")), "photos/a.jpg")
    assert hclnet("locate", "photos", "--model", trained, "--device", "cpu", "--save", "none").exit_code == 0
    done = hclnet("convert", "--format", "coco, json", "--out", "other", "--image-root", ".")
    assert (
        done.exit_code == 0
        and "1 boxes in 1 images: other/coco.json, other/coco-results.json, other/boxes.json" in done.stdout
    )
    assert '"photos/a.jpg"' in Path("other/coco.json").read_text()
    Path("photos/a.jpg").rename("photos/b.jpg")
    assert "not where they were" not in hclnet("convert", "--format", "csv").stderr
    gone = hclnet("convert", "--format", "csv,yolo")
    assert gone.exit_code == 0 and "1 of 1 images are not where they were located" in gone.stderr
    missing = hclnet("convert", "nowhere")
    assert missing.exit_code == 2 and "nowhere has no results" in missing.stderr
