"""A run says which precision it was trained in, keeps to it, and can be used in the other."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import hclnet
from hclnet.localizer.localizer import Localizer
from hclnet.training.folder import precision_of
from hclnet.training.module import Training

pytestmark = pytest.mark.precision

RECIPE = {"size": 64, "batch": 6, "epochs": 2, "width": 8, "device": "cpu", "report": False}
OTHER = {"float32": "bfloat16", "bfloat16": "float32"}


class Killed(BaseException):
    """Like a kill: nothing after it is done."""


def weights(run):
    return load_file(run / "localizer" / "model.safetensors")


@pytest.fixture(scope="module", params=OTHER)
def whole(request, birds, tmp_path_factory):
    """The run of a machine on which `auto` is this precision, and its name."""
    run = tmp_path_factory.mktemp(request.param) / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HCLNET_PRECISION", request.param)
        result = hclnet.train(birds, run, **RECIPE)
    assert result.localizer.dtype == getattr(torch, request.param) and result.localizer.precision == "auto"
    return run, request.param


def test_a_run_says_what_it_was_trained_in(whole):
    run, precision = whole
    environment = json.loads((run / "environment.json").read_text())
    assert environment["precision"] == precision == precision_of(run) and environment["device"] == "cpu"
    settings = json.loads((run / "localizer" / "localizer.json").read_text())
    assert settings["trained_precision"] == precision and settings["precision"] == "auto"


def test_it_says_so_on_another_machine_that_uses_the_other(whole, birds, tmp_path, monkeypatch):
    run, precision = whole
    monkeypatch.setenv("HCLNET_PRECISION", OTHER[precision])
    moved = shutil.copytree(run, tmp_path / "moved")
    there = Localizer.load(moved, "cpu")
    assert there.trained_precision == precision and there.dtype == getattr(torch, OTHER[precision])
    found = there.locate(next((birds / "images").rglob("*.jpg")))
    assert found.box is not None and np.isfinite(found.heatmap).all()
    there.save(tmp_path / "again")
    assert Localizer.load(tmp_path / "again").trained_precision == precision


def test_a_training_goes_on_in_what_it_was_begun_in(whole, birds, tmp_path, monkeypatch):
    run, precision = whole
    real = Training.training_step

    def killed(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == (1, 1):
            raise Killed
        return real(self, batch, batch_idx)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setenv("HCLNET_PRECISION", precision)
        patch.setattr(Training, "training_step", killed)
        hclnet.train(birds, tmp_path / "run", **RECIPE)
    monkeypatch.setenv("HCLNET_PRECISION", OTHER[precision])
    result = hclnet.train(birds, tmp_path / "run", resume=True, report=False)
    ours, expected = weights(tmp_path / "run"), weights(run)
    assert ours.keys() == expected.keys() and all(torch.equal(ours[key], expected[key]) for key in ours)
    assert result.localizer.trained_precision == precision == precision_of(tmp_path / "run")
    assert result.localizer.dtype == getattr(torch, OTHER[precision])


def test_what_learns_in_bfloat16_gives_the_same_boxes_on_a_machine_without_it(birds, tmp_path, monkeypatch):
    monkeypatch.delenv("HCLNET_PRECISION", raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    result = hclnet.train(birds, tmp_path / "run", **RECIPE)
    assert result.localizer.trained_precision == "bfloat16" and result.localizer.dtype == torch.float32
    image = next((birds / "images").rglob("*.jpg"))
    here = Localizer.load(tmp_path / "run").locate(image)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    there = Localizer.load(tmp_path / "run").locate(image)
    assert here.box == there.box is not None and np.array_equal(here.heatmap, there.heatmap)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"precision": "float16"}', None])
def test_runs_of_before_it_was_recorded(tmp_path, content):
    if content is not None:
        (tmp_path / "environment.json").write_text(content)
    assert precision_of(tmp_path) is None
