"""Boxes and masks are for scoring: nothing in training can reach them."""

import ast
import shutil
from dataclasses import fields, replace
from pathlib import Path

import pytest

import hclnet
import hclnet.training
from hclnet.data import read
from hclnet.types import DataSet, GroundTruth, Sample, Samples
from hclnet.workflows.settings import make_config
from hclnet.workflows.train import train_on

RECIPE = {"size": 64, "batch": 4, "epochs": 1, "width": 8, "device": "cpu"}


def weights(run):
    return (run / "localizer" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def expected(birds, tmp_path_factory):
    run = tmp_path_factory.mktemp("truth") / "run"
    hclnet.train(birds, run, report=False, **RECIPE)
    return weights(run)


def test_a_sample_holds_a_label_and_no_box():
    assert {f.name: f.type for f in fields(Sample)} == {
        "id": "str",
        "path": "Path",
        "label": "int",
        "split": "str",
        "sha256": "str",
    }


def test_training_does_not_know_the_words():
    sources = list(Path(hclnet.training.__file__).parent.glob("*.py"))
    assert len(sources) >= 4
    for source in sources:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not names & {"GroundTruth", "truth", "DataSet", "boxes", "masks"}, source
        assert not modules & {"hclnet.data", "hclnet.data.cub", "hclnet.localizer.evaluation", "hclnet.metrics"}, source


def test_training_is_handed_samples_and_nothing_beside_them(birds, tmp_path, monkeypatch):
    seen = []

    def train_run(*arguments):
        seen.extend(arguments)
        raise InterruptedError

    monkeypatch.setattr("hclnet.training.run.train_run", train_run)
    with pytest.raises(InterruptedError):
        hclnet.train(birds, tmp_path / "run", report=False, **RECIPE)
    assert not any(isinstance(argument, DataSet | GroundTruth) for argument in seen)
    (samples,) = (argument for argument in seen if isinstance(argument, Samples))
    assert len(samples) == 12 and {s.split for s in samples} == {"train"} and type(samples[0]) is Sample


def test_who_looks_at_the_truth_while_training_fails(birds, tmp_path, expected, monkeypatch):
    class Untouchable(GroundTruth):
        def __getattribute__(self, name):
            if name in ("boxes", "masks"):
                raise AssertionError(f"training looked at the {name}")
            return super().__getattribute__(name)

    dataset = replace(read(birds), ground_truth=Untouchable())
    with pytest.raises(AssertionError, match="looked at the boxes"):
        bool(dataset.ground_truth)
    train_on(dataset, make_config(birds, **RECIPE), tmp_path / "run")
    assert weights(tmp_path / "run") == expected


@pytest.mark.parametrize("ground_truth", ["none", "garbage"])
def test_without_truth_or_with_a_false_one_the_weights_are_the_same_to_the_byte(
    birds, tmp_path, expected, ground_truth
):
    data = shutil.copytree(birds, tmp_path / "data")
    lines = (data / "bounding_boxes.txt").read_text().splitlines()
    assert len(lines) == 18
    garbage = [f"{k} 0 0 {k} 1" for k in range(1, 19)]
    (data / "bounding_boxes.txt").write_text("\n".join(garbage if ground_truth == "garbage" else []) + "\n")
    for masks in (data / "segmentations", data / "part_masks"):
        shutil.rmtree(masks)
    hclnet.train(data, tmp_path / "run", report=False, **RECIPE)
    assert weights(tmp_path / "run") == expected
