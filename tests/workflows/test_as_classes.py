"""Folders that are called like splits and are classes: said once, and a run remembers it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from hclnet.cli.app import app
from hclnet.config import RunConfig
from hclnet.workflows.evaluate import evaluate
from hclnet.workflows.settings import make_config
from hclnet.workflows.train import train


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("paper")
    for name, color in (("fold1", (200, 30, 30)), ("fold2", (30, 30, 200))):
        (root / name).mkdir()
        for k in range(4):
            Image.new("RGB", (32, 32), tuple(c + k for c in color)).save(root / name / f"{k}.png")
    return root


def test_a_run_reads_its_own_data_as_it_was_told(folds: Path, tmp_path: Path):
    settings = {"size": 32, "epochs": 1, "device": "cpu", "report": False}
    with pytest.raises(ValueError, match="like splits, not classes"):
        train(folds, tmp_path / "run", **settings)
    train(folds, tmp_path / "run", as_classes=True, **settings)
    assert RunConfig.load(tmp_path / "run" / "config.yaml").as_classes
    assert len(evaluate(tmp_path / "run", report=False).records) == 2
    with pytest.raises(ValueError, match="like splits, not classes"):
        evaluate(tmp_path / "run", folds, report=False)
    assert len(evaluate(tmp_path / "run", folds, report=False, as_classes=True).records) == 2


def test_it_is_no_matter_of_what_the_weights_depend_on():
    assert make_config("x", as_classes=True).training_key() == make_config("x").training_key()


def test_the_command_line_takes_it(folds: Path):
    check = CliRunner().invoke(app, ["data", "check", str(folds)])
    assert check.exit_code == 2 and "--as-classes" in check.output
    check = CliRunner().invoke(app, ["data", "check", str(folds), "--as-classes"])
    assert check.exit_code in (0, 1) and "Classes: fold1, fold2" in check.output


@pytest.mark.parametrize("verb", ["train", "evaluate", "calibrate", "compare", "reproduce"])
def test_every_verb_that_reads_folders_takes_it(verb: str):
    assert "as_classes" in {parameter.name for parameter in _command(verb).params}


def _command(verb: str):
    from typer.main import get_command

    return get_command(app).commands[verb]
