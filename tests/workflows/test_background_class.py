"""A class for nothing: learned and scored as a class, never boxed, no part of localization figures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import Result

from hclnet.cli.app import app
from hclnet.config import Inference
from hclnet.data import read
from hclnet.localizer.evaluation import evaluate_localizer
from hclnet.localizer.localizer import Localizer
from hclnet.synthetic import PartsOptions, write
from hclnet.workflows.compare import compare
from hclnet.workflows.evaluate import evaluate
from hclnet.workflows.load import load
from hclnet.workflows.train import train

RECIPE: dict[str, Any] = {"size": 64, "epochs": 1, "device": "cpu", "report": False}
GOOD = "azure-crested daggerbill"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of drawn birds, all with boxes; the second stands in for nothing."""
    root = tmp_path_factory.mktemp("data")
    write(PartsOptions(classes=3, train=4, test=3, size=64), root)
    assert read(root).classes[1] == GOOD
    return root


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "mine"
    train(data, out, background_class=GOOD, **RECIPE)
    return out


def certain(localizer: Localizer, *order: int) -> Localizer:
    """The same, but it ranks the classes in this order, whatever it sees."""
    with torch.no_grad():
        bias = localizer.method.branches[0].classifier.bias
        bias.zero_()
        for place, label in enumerate(order):
            bias[label] = 1000.0 - 100 * place
    return localizer


def test_it_is_stored_with_the_localizer(run: Path):
    settings = json.loads((run / "localizer" / "localizer.json").read_text())
    assert settings["inference"]["background_class"] == GOOD
    assert load(run, "cpu").inference.background_class == GOOD


def test_locate(data: Path, run: Path):
    photo = read(data).samples[0].path
    good = certain(load(run, "cpu"), 1, 0, 2)
    for top in (1, 3):
        found = good.locate(photo, top)
        assert found.objects == () and found.box is None
        assert found.label == GOOD and found.predictions[0][0] == GOOD and found.heatmap.ndim == 2
    bad = certain(load(run, "cpu"), 0, 1, 2)
    found = bad.locate(photo, top=3)
    names = [o.label for o in found.objects]
    assert GOOD not in names and found.label == bad.classes[0] and names[0] == bad.classes[0]
    assert [name for name, _ in found.predictions] == [bad.classes[k] for k in (0, 1, 2)]
    asked = good.locate(photo, classes=[GOOD, bad.classes[2]])
    assert {o.label for o in asked.objects} <= {bad.classes[2]}


def test_the_same_weights_without_it_box_every_class(data: Path, run: Path):
    photo = read(data).samples[0].path
    everything = certain(load(run, "cpu"), 1, 0, 2).with_inference(background_class=None)
    assert [o.label for o in everything.locate(photo, top=3).objects] == [everything.classes[k] for k in (1, 0, 2)]


def test_an_unknown_class_is_told_which_there_are(data: Path, run: Path, tmp_path: Path):
    message = rf"--background-class goood: there is no such class\. There are .*{GOOD}.*\."
    with pytest.raises(ValueError, match=message):
        train(data, tmp_path / "a", background_class="goood", **RECIPE)
    with pytest.raises(ValueError, match=message):
        compare(data, ["cam", "cam:background_class=goood"], tmp_path / "b", **RECIPE)
    with pytest.raises(ValueError, match=message):
        evaluate(run, background_class="goood", device="cpu")
    with pytest.raises(ValueError, match=message):
        load(run, "cpu").with_inference(background_class="goood")
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()
    with pytest.raises(ValueError, match=r"There are c0, .*c19 and 5 more\."):
        Inference(background_class="x").check([f"c{k}" for k in range(25)])


def test_its_images_count_for_classification_only(data: Path, run: Path):
    localizer, dataset = load(run, "cpu"), read(data)
    samples = dataset.split("test")
    good = np.array([dataset.classes[s.label] == GOOD for s in samples])
    plain, without = evaluate_localizer(
        localizer,
        samples,
        dataset.ground_truth,
        [localizer.inference.model_copy(update={"background_class": None}), localizer.inference],
    )
    assert np.isnan(without.iou[good]).all() and np.isnan(without.level_iou[good]).all()
    assert not without.boxes[good].any() and plain.boxes[good].any()
    assert np.array_equal(without.iou[~good], plain.iou[~good])
    assert np.array_equal(without.boxes[~good], plain.boxes[~good])
    assert np.array_equal(without.rank, plain.rank)

    figures = evaluate(run, device="cpu", report=True).metrics
    assert figures["images"] == 9 and figures["images_with_boxes"] == 6
    assert figures["gt_known"] == pytest.approx(float((without.iou[~good] >= 0.5).mean()))
    assert figures["top1_cls"] == pytest.approx(float((without.rank == 0).mean()))


def test_compare(data: Path, tmp_path: Path):
    rows = compare(data, ["cam", "cam:box=fixed:0.3"], tmp_path, background_class=GOOD, **RECIPE)
    assert [row["images_with_boxes"] for row in rows] == [6, 6] and rows[0]["run"] == rows[1]["run"]


def test_the_command_line(data: Path, tmp_path: Path):
    from typer.testing import CliRunner

    def hclnet(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)

    tiny = ("--size", 64, "--epochs", 1, "--device", "cpu", "--no-report")
    run = tmp_path / "run"
    assert hclnet("train", data, *tiny, "--background-class", GOOD, "--out", run).exit_code == 0
    certain(localizer := load(run, "cpu"), 1, 0, 2).save(run / "localizer")
    assert localizer.inference.background_class == GOOD
    shutil.copytree(data / "images", tmp_path / "photos")
    done = hclnet("locate", tmp_path / "photos", "--model", run, "--out", tmp_path / "out", "--device", "cpu")
    assert done.exit_code == 0 and f"{GOOD} 100%, no object" in done.stdout and "0 boxes in 21 images" in done.stdout
    assert all(not one["objects"] for one in json.loads((tmp_path / "out" / "boxes.json").read_text()))
    assert json.loads((tmp_path / "out" / "coco.json").read_text())["annotations"] == []
    assert len(list((tmp_path / "out" / "overlays").rglob("*.jpg"))) == 21
    for verb in ("train", "compare"):
        assert "--background-class" in hclnet(verb, "--help").stdout
