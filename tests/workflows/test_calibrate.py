import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import hclnet
from hclnet.cli.app import app
from hclnet.cli.calibration import summary
from hclnet.data import read
from hclnet.localizer.evaluation import class_probabilities
from hclnet.metrics import Calibration, Rejection, choose_min_score
from hclnet.types import GroundTruth

pytestmark = pytest.mark.precision


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "run")


def test_the_threshold_is_written_into_the_localizer(run, birds):
    found = hclnet.calibrate(run, device="cpu", fusion="max")
    assert found.images == 12
    localizer = hclnet.load(run, "cpu")
    assert localizer.inference.box == f"fixed:{found.threshold}" and localizer.fusion == "max"
    written = json.loads((run / "localizer" / "calibration.json").read_text())
    data = written["data"]
    assert data["path"] == data["root"] == str(birds) and written["split"] == data["split"] == "train"
    assert data["images"] == data["images_expected"] == 12
    assert written["threshold"] == found.threshold and written["gt_known"] == list(found.gt_known)
    after = hclnet.evaluate(run, split="train", device="cpu", report=False)
    by_auto = hclnet.evaluate(run, split="train", device="cpu", report=False, box="auto")
    assert by_auto.metrics["gt_known"] == pytest.approx(found.rule_gt_known)
    assert after.metrics["box"] == localizer.inference.box
    assert sorted(localizer.foreground) == [64]  # so that `auto` is still there to go back to


def test_another_data_set_and_a_localizer_alone(run, birds):
    alone = run / "localizer"
    with pytest.raises(ValueError, match=r"does not say what it was trained on\. Name a data set with --data"):
        hclnet.calibrate(alone, device="cpu")
    found = hclnet.calibrate(alone, birds, split="test", device="cpu")
    assert found.images == 6 and json.loads((alone / "calibration.json").read_text())["split"] == "test"
    assert hclnet.load(alone).inference.box == f"fixed:{found.threshold}"


def test_it_needs_true_boxes(run, birds, monkeypatch):
    bare = replace(read(birds), ground_truth=GroundTruth({}, {}))
    monkeypatch.setattr("hclnet.workflows.runs.read", lambda *_: bare)
    before = (run / "localizer" / "localizer.json").read_text()
    with pytest.raises(ValueError, match=r"has no ground-truth box for any image of its split train\. .*the rule auto"):
        hclnet.calibrate(run, device="cpu")
    with pytest.raises(ValueError, match="leave box out"):
        hclnet.calibrate(run, box="otsu3")
    assert (run / "localizer" / "localizer.json").read_text() == before
    assert not (run / "localizer" / "calibration.json").exists()


def test_the_command(run, tmp_path):
    called = ["calibrate", str(run), "--device", "cpu", "--fusion", "l1", "--json", str(tmp_path / "new" / "one.json")]
    result = CliRunner().invoke(app, called)
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "new" / "one.json").read_text())
    said = " ".join(result.output.split())
    assert f"Box rule fixed:{written['threshold']}, from 12 images with ground-truth boxes" in said
    assert "no part in choosing it" in said and f"Written into {run}; --box auto goes without it." in said
    assert "The run was trained on 12 of these 12 images, such as " in said


def test_presence_is_chosen_on_held_out_labels_and_kept_beside_the_box_rule(run, birds):
    hclnet.calibrate(run, device="cpu")
    rule = hclnet.load(run, "cpu").inference.box
    found = hclnet.calibrate_rejection(run, device="cpu")
    localizer = hclnet.load(run, "cpu")
    assert found.images == 6 and localizer.inference.min_score == found.min_score > 0
    assert localizer.inference.box == rule
    samples = read(birds).split("test")
    there = [dict(localizer.locate(s.path, classes=list(localizer.classes)).predictions) for s in samples]
    expected = choose_min_score(
        np.array([[one[name] for name in localizer.classes] for one in there]), np.array([s.label for s in samples])
    )
    assert found.min_score == pytest.approx(expected.min_score, rel=0.02)
    written = json.loads((run / "localizer" / "rejection.json").read_text())
    assert written["split"] == "test" and written["min_score"] == found.min_score
    again = hclnet.calibrate(run, device="cpu")
    assert hclnet.load(run, "cpu").inference.min_score == found.min_score and again.images == 12
    with pytest.raises(ValueError, match="leave it out"):
        hclnet.calibrate_rejection(run, min_score=0.5)


def test_probabilities_by_ten_crops_are_those_of_locate(run, birds):
    localizer, samples = hclnet.load(run, "cpu").with_inference(crops=10), read(birds).split("test")[:2]
    values = class_probabilities(localizer, samples)
    for row, sample in zip(values, samples):
        told = dict(localizer.locate(sample.path, classes=list(localizer.classes)).predictions)
        np.testing.assert_allclose(row, [told[name] for name in localizer.classes], rtol=1e-4)


def test_the_command_for_rejection(run, tmp_path):
    called = ["calibrate", str(run), "--rejection", "--device", "cpu", "--json", str(tmp_path / "one.json")]
    result = CliRunner().invoke(app, called)
    assert result.exit_code == 0, result.output
    said, written = " ".join(result.output.split()), json.loads((tmp_path / "one.json").read_text())
    assert "from 6 images" in said and f"Written into {run}; --min-score 0 goes without it." in said
    assert written["min_score"] == hclnet.load(run).inference.min_score
    assert "trained on" not in said


@pytest.mark.parametrize(("share", "shown"), [(1.0, "100"), (0.9987, "99.9"), (0.68, "68"), (0.0768, "7.7")])
def test_a_probability_near_one_is_no_power_of_ten(share, shown):
    said = summary(Rejection(share, (share, share), 9, (1, 1, 1), (0, 0, 0)))[0]
    assert f"probability of {shown} %" in said and said.endswith(f"interval: {shown} to {shown} %.")


@pytest.mark.parametrize(
    "difference, verdict",
    [
        ((-0.1, -0.2, -0.05), "auto is better here"),
        ((0.0, -0.1, 0.1), "can't tell which is better"),
        ((0.2, 0.1, 0.3), ""),
    ],
)
def test_the_verdict(difference, verdict):
    lines = summary(Calibration(0.4, (0.3, 0.5), 20, (0.8, 0.7, 0.9), 0.8, difference))
    assert len(lines) == 3 + bool(verdict) and verdict in lines[-1]
    assert "0.30 to 0.50" in lines[0] and "80.0 % [70.0 to 90.0]" in lines[1]
