"""The demo on a few small birds: everything is there afterwards, and a second call begins with what is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hclnet.cli.demo import BIRDS, run_demo
from hclnet.data.parts import PartsOptions

FEW = PartsOptions(classes=2, train=3, test=1, size=64, body_cue=1.0)


@pytest.mark.slow
def test_the_whole_demo_and_once_more(tmp_path: Path, capsys: pytest.CaptureFixture):
    run_demo(tmp_path, FEW, epochs=1, workers=1)
    said = capsys.readouterr().out
    assert [line[:3] for line in said.splitlines() if line[1:3] == "/3"] == ["1/3", "2/3", "3/3"]
    assert said.splitlines()[-1] == f"Open in a browser: {tmp_path / 'report.html'}"
    assert "cam" in said and "acol" in said and "hclnet" in said and "64 px" in " ".join(said.split())
    rows = json.loads((tmp_path / "compare.json").read_text())
    assert [row["method"] for row in rows] == ["cam", "acol", "hclnet"] and rows[0]["images"] == 2
    assert (tmp_path / "report.html").is_file() and (tmp_path / "compare.md").is_file()
    assert len(list((tmp_path / "located" / "overlays").rglob("*.jpg"))) == 2

    drawn = {p: p.stat().st_mtime_ns for p in (tmp_path / "birds").rglob("*.*")}
    trained = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("model.safetensors")}
    run_demo(tmp_path, FEW, epochs=1, workers=1)
    assert {p: p.stat().st_mtime_ns for p in drawn} == drawn and len(trained) == 3
    assert {p: p.stat().st_mtime_ns for p in trained} == trained


def test_its_birds_have_something_to_be_found_on_the_body():
    assert BIRDS.body_cue > 0 and BIRDS.size // 16 >= 20
