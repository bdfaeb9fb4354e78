"""The example of the solar cells runs from photographs to pictures, on a package of drawn cells."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLE = Path(__file__).parents[2] / "examples" / "solar_cells.py"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Calls the example in an empty folder, as a shell would."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", [str(EXAMPLE), *arguments])
        runpy.run_path(str(EXAMPLE), run_name="__main__")

    return call


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package `elpv_dataset` with 10 whole cells, 10 that are broken at a corner, and 2 of doubt."""
    home = tmp_path / "packages" / "elpv_dataset"
    (home / "data" / "images").mkdir(parents=True)
    (home / "__init__.py").touch()
    lines = []
    for k, probability in enumerate([0.0] * 10 + [1.0] * 10 + [1 / 3, 2 / 3]):
        cell = np.random.default_rng(k).normal(180, 10, (60, 60)).clip(0, 255).astype(np.uint8)
        cell[:20, :20] = 0 if probability else cell[:20, :20]
        Image.fromarray(cell).save(home / "data" / "images" / f"cell{k:04d}.png")
        lines.append(f"images/cell{k:04d}.png  {probability:<18}  mono\n")
    (home / "data" / "labels.csv").write_text("".join(lines))
    monkeypatch.syspath_prepend(str(home.parent))


def test_from_labels_to_pictures(example: Callable, cells: None, capsys: pytest.CaptureFixture, tmp_path: Path):
    example("--per-class", "10", "--size", "64", "--epochs", "1", "--method", "cam")
    said = capsys.readouterr().out
    assert "2 classes, 16 train, 4 test, no boxes" in said and "4 test cells: " in said
    run = tmp_path / "solar_cells" / "cam-10-64"
    assert len(list((run / "located" / "overlays").rglob("*.jpg"))) == 4
    assert (run / "evaluation" / "test" / "report.html").is_file()
    boxed = [one for one in json.loads((run / "located" / "boxes.json").read_text()) if one["objects"]]
    assert f"{len(boxed)} of them are boxed, " in said
    assert {found["label"] for one in boxed for found in one["objects"]} <= {"defective"}
    assert len(list((tmp_path / "solar_cells" / "data-10").rglob("*.png"))) == 20  # none of doubt


def test_without_the_photographs_it_says_what_to_install(example: Callable, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="pip install elpv-dataset"):
        example()
