"""The verbs take a model on the hub where they take a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import hclnet
from hclnet.cli.app import app
from hub_server import Hub


def call(*words: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def shared(hub: Hub, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub with the run as ada/birds, and an empty folder to work in."""
    hub.repos["ada/birds"] = trained / "localizer"
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return hub


def test_locate(shared: Hub, trained: Path, birds: Path):
    images = next((birds / "images").iterdir())
    done = call("locate", images, "--model", "hf:ada/birds@main", "--save", "none", "--device", "cpu")
    assert done.exit_code == 0, done.output
    hclnet.locate_files(images, trained, "mine", save=(), device="cpu")
    assert Path("located/boxes.json").read_text() == Path("mine/boxes.json").read_text()
    header = json.loads(Path("located/located.jsonl").read_text().splitlines()[0])
    assert header["model"] == {"name": "hf:ada/birds@main", "fingerprint": hclnet.load(trained).fingerprint()}


def test_evaluate_writes_beside_and_not_into_it(shared: Hub, trained: Path, birds: Path):
    assert "hf:ada/birds does not say what it was trained on" in call("evaluate", "hf:ada/birds").stderr
    done = call("evaluate", "hf:ada/birds", "--data", birds, "--device", "cpu")
    assert done.exit_code == 0, done.output
    (written,) = Path("hub/ada/birds/evaluation").glob("*/test/metrics.json")
    metrics = json.loads(written.read_text())
    assert metrics["run"] == "hf:ada/birds" and metrics["localizer"] == hclnet.load(trained).fingerprint()
    theirs = hclnet.evaluate(trained, birds, device="cpu", out="mine", report=False).metrics
    assert metrics["metrics"]["gt_known"]["value"] == theirs["gt_known"]
    assert {path.name for path in Path().iterdir()} == {"hub", "mine"}


@pytest.mark.slow
def test_export_names_the_file_after_it(shared: Hub, folder: Path):
    pytest.importorskip("onnxruntime")
    shared.repos["ada/birds"] = folder
    done = call("export", "hf:ada/birds", "--no-verify")
    assert done.exit_code == 0, done.output
    assert Path("hub/ada/birds/exported/birds.onnx").is_file()


def test_calibrate_says_that_it_writes(shared: Hub):
    done = call("calibrate", "hf:ada/birds", "--data", "x")
    assert done.exit_code == 2 and not done.stdout
    assert "hf download ada/birds --local-dir FOLDER" in done.stderr


@pytest.mark.parametrize("verb", [("locate", "x.jpg", "--model"), ("evaluate",), ("export",)])
def test_what_is_not_there_is_one_sentence(shared: Hub, verb: tuple[str, ...]):
    Path("x.jpg").touch()
    done = call(*verb, "hf:ada/bird")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: There is no model {shared.address}/ada/bird") and "Trace" not in done.stderr
