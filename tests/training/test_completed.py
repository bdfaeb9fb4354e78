"""A finished run gets what it lacks at another size, and nothing else of it changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

import hclnet
from hclnet.cli.app import app
from hclnet.data import read
from hclnet.localizer.localizer import Localizer
from hclnet.training.foreground import learn_foreground
from hclnet.workflows.locate import locate_files


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "run")


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "localizer" / "model.safetensors")


def no_training(*_, **__):
    pytest.fail("a training began")


def test_a_size_that_the_run_does_not_know_is_refused_everywhere_until_it_is_added(run, birds, tmp_path, monkeypatch):
    monkeypatch.setattr("hclnet.training.run.train_run", no_training)
    image, before = read(birds).samples[0].path, weights(run)
    command = rf"`hclnet train {birds} --out {run} --resume --set scales=2`"
    for call in (
        lambda: hclnet.evaluate(run, report=False, scales=2, device="cpu"),
        lambda: hclnet.evaluate(run, birds, report=False, scales=2, device="cpu"),
        lambda: hclnet.calibrate(run, scales=2, device="cpu"),
        lambda: hclnet.calibrate_rejection(run, scales=2, device="cpu"),
        lambda: locate_files(image, run, tmp_path / "out", scales=2),
        lambda: hclnet.load(run).with_inference(scales=[2]).locate(image),
    ):
        with pytest.raises(ValueError, match=rf"at 128 px, only at 64 px,.*{command}"):
            call()
    assert not (tmp_path / "out").exists() and sorted(p.name for p in run.iterdir()) == sorted(
        [*(p.name for p in run.iterdir() if p.name != "evaluation")]
    )
    with pytest.raises(ValueError, match=r"at 96 px and 128 px, .* --set 'scales=\[1.5,2\]'`"):
        hclnet.load(run).with_inference(scales=[1, 1.5, 2]).locate(image)
    # The command that it says, as it stands there.
    said = CliRunner().invoke(app, ["train", str(birds), "--out", str(run), "--resume", "--set", "scales=2"])
    assert said.exit_code == 0, said.output
    assert "Learned the foreground score at 128 px." in said.output and "nothing was trained" in said.output
    after = weights(run)
    assert set(after) - set(before) == {f"foreground.128.{part}" for part in ("weight", "bias", "fine")}
    assert all(torch.equal(after[key], value) for key, value in before.items())
    localizer = Localizer.load(run, "cpu")
    expected = learn_foreground(localizer, read(birds).split("train"), [128])[128]
    torch.testing.assert_close(localizer.foreground[128].weight, expected.weight)
    assert localizer.inference.scales == (1,)  # how it looks at images without a word is as before
    assert localizer.with_inference(scales=2).locate(image).label
    measured = hclnet.evaluate(run, report=False, scales=2, device="cpu")
    assert measured.metrics["looks"] == "at 2 times the size"
    assert weights(run).keys() == after.keys()


def test_another_box_rule_needs_nothing(run, birds):
    metrics = hclnet.evaluate(run, report=False, scales=2, box="otsu3", device="cpu").metrics
    assert metrics["box"] == "otsu3" and sorted(Localizer.load(run).foreground) == [64]


def test_localizers_of_before_there_was_foreground_go_on(run, birds):
    localizer = Localizer.load(run)
    localizer.foreground = {}
    localizer.save(run / "localizer")
    assert "gt_known" in hclnet.evaluate(run, report=False, scales=2, device="cpu").metrics
    assert Localizer.load(run).foreground == {}
    logged = []
    hclnet.train(birds, run, resume=True, log=logged.append)
    assert sorted(Localizer.load(run).foreground) == [64] and logged[-1] == "Learned the foreground score at 64 px."


def test_what_was_calibrated_stays(run, birds):
    found = hclnet.calibrate(run, device="cpu")
    hclnet.train(birds, run, resume=True, scales=[1, 2])
    localizer = Localizer.load(run)
    assert localizer.inference.box == f"fixed:{found.threshold}" and sorted(localizer.foreground) == [64, 128]
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file() and p.parent.name != "evaluation"}
    assert hclnet.train(birds, run, resume=True).trained is False
    assert {p: p.read_bytes() for p in before} == before


def test_settings_of_maps_that_are_named_become_the_runs(run, birds):
    hclnet.train(birds, run, resume=True, fusion="max", scales=2)
    localizer = Localizer.load(run)
    assert (localizer.inference.fusion, localizer.inference.scales) == ("max", (1,))
    kept = yaml.safe_load((run / "config.yaml").read_text())["inference"]
    assert kept["fusion"] == "max" and kept["scales"] == [1]
    assert json.loads((run / "state.json").read_text())["finished"]


def test_maps_that_are_flat_teach_nothing_and_that_is_said(run, birds, monkeypatch):
    monkeypatch.setattr("hclnet.training.foreground.learn_foreground", lambda *_: {})
    with pytest.raises(ValueError, match=r"At 128 px the maps of .* are flat and teach nothing"):
        hclnet.train(birds, run, resume=True, scales=2)
