"""Presets: what is in the package, how they are named, and that the paper's trains a whole VGG-16 at both map sizes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import hclnet
from hclnet.backbones import choose_stride
from hclnet.config import RunConfig
from hclnet.configs import HERE, about, preset_names
from hclnet.maps.augmentation import View, views
from hclnet.methods import method_names
from hclnet.settings import read_preset
from hclnet.synthetic import PartsOptions, write
from hclnet.workflows.plan import make_plan
from hclnet.workflows.settings import flat_settings, make_config, with_preset


def test_presets_are_named_and_headed():
    assert {"best", "fast", "quick", "paper-cub", "paper-ilsvrc"} <= set(preset_names())
    for name in preset_names():
        text = (HERE / f"{name}.yaml").read_text(encoding="utf-8")
        header = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
        assert text.startswith(f"# {name}: ") and about(name)
        assert f"--preset {name}" in header and "Time" in header
        make_config("x", "hclnet", **read_preset(name))


def test_best_is_the_default_recipe_and_quick_the_same_at_224():
    assert make_config("x", "hclnet", **read_preset("best")) == make_config("x", "hclnet")
    assert make_config("x", "hclnet", **read_preset("quick")) == make_config("x", "hclnet", size=224)


def test_epochs_that_are_given_are_as_many_as_they_say():
    assert with_preset("fast")["min_steps"] == 120 and "min_steps" not in with_preset("fast", epochs=3)
    assert with_preset("fast", epochs=3, min_steps=9)["min_steps"] == 9
    plan = make_plan("x", ["cam", "cam:epochs=3"], 1, with_preset("fast"))
    assert [job.config.min_steps for job in plan.jobs] == [120, 0]


@pytest.mark.parametrize(("steps", "epochs"), [(1, 120), (7, 18), (10, 12), (15, 8), (1000, 8)])
def test_small_data_are_seen_in_more_epochs(steps: int, epochs: int):
    assert make_config("x", "cam", **read_preset("fast")).epochs_of(steps) == epochs


def test_a_size_that_is_asked_for_is_seen_at_too():
    plain = make_config("x", "hclnet", size=448)
    assert plain.inference.scales == (1,) and plain.stages == 1
    assert make_config("x", "hclnet", size=448, scales=1.5, stages=2, coarse=0.667) == make_config("x", "hclnet")
    assert make_config("x", "hclnet", scales=1, epochs=3).model_dump() == {
        **make_config("x", "hclnet").model_dump(),
        "epochs": 3,
        "inference": plain.inference.model_dump(),
    }


def test_best_and_fast_look_at_larger_images_than_they_train_on():
    best, fast = (make_config("x", "hclnet", **read_preset(name)) for name in ("best", "fast"))
    assert views(best.inference, best.size) == (View(672),)
    assert views(fast.inference, fast.size) == (View(224), View(448))
    assert fast.options["width"] == 128
    for name in ("best", "fast"):
        assert str(read_preset(name)["size"]) in about(name)


@pytest.mark.parametrize("method", method_names())
@pytest.mark.parametrize("preset", ["best", "fast"])
def test_best_and_fast_are_for_every_method(method: str, preset: str):
    backbone = "timm:test_vit" if method in ("scm", "trilite", "ts_cam") else "efficientnet_lite0"
    settings = {**read_preset(preset), "tune": "all", "backbone": backbone}
    config = make_config("x", method, **settings)
    assert preset == "best" or config.options.get("width", 128) == 128
    given = make_config("x", method, **{**settings, "options.width": 64})
    assert config.options.keys() == given.options.keys() and given.options.get("width", 64) == 64
    if "width" in config.options:
        assert make_config("x", method, **with_preset(preset, width=32, tune="all")).options["width"] == 32
    with pytest.raises(ValueError, match=r"'options\.widht' is not a setting"):
        make_config("x", method, **{"options.widht": 64})


def test_what_is_given_goes_before_the_preset_with_its_group_or_without():
    given = with_preset("fast", width=8)
    again = {**flat_settings(make_config("x", "hclnet", **given)), **given}  # as a run that goes on has them
    assert make_config("x", "hclnet", **again).options["width"] == 8
    plan = make_plan("x", ["cam", "cam:options.width=32", "cam:width=16"], 1, given)
    assert [one.config.options.get("width") for one in plan.variants()] == [8, 32, 16]
    assert with_preset("fast", **{"inference.box": "maxbox"}).keys() & {"box", "inference.box"} == {"inference.box"}


@pytest.mark.parametrize(("name", "epochs"), [("paper-cub", 60), ("paper-ilsvrc", 10)])
def test_the_papers_recipes(name: str, epochs: int):
    config = make_config("x", "hclnet", **read_preset(name))
    assert (config.backbone, config.tune, config.size, config.batch, config.epochs) == ("vgg16", "all", 224, 32, epochs)
    assert config.output_stride == choose_stride("vgg16") == 8  # maps of 28x28
    assert config.lr == 10 * config.backbone_lr and config.inference.crops == 10
    assert config.step_epochs < epochs <= 3 * config.step_epochs  # both steps down are taken
    assert config.inference.box == "fixed:0.2"


def test_by_name_or_as_a_file(tmp_path: Path):
    file = tmp_path / "quick"
    file.write_text("epochs: 3\n", encoding="utf-8")
    assert (
        read_preset(file) == {"epochs": 3}
        and read_preset("quick")["epochs"] == RunConfig.model_fields["epochs"].default
    )
    with pytest.raises(
        ValueError, match=r"no preset papper. By name there are .*paper-cub, .*quick.*; or give a YAML file"
    ):
        read_preset("papper")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("stride", [8, 16])
def test_the_papers_recipe_trains_a_whole_vgg16(tmp_path: Path, stride: int):
    write(PartsOptions(classes=2, train=4, test=1, size=256), tmp_path / "birds")
    recipe = {**read_preset("paper-cub"), "weights": "none", "epochs": 2, "output_stride": stride, "device": "cpu"}
    result = hclnet.train(tmp_path / "birds", tmp_path / "run", report=False, **recipe)
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert result.finished and len(losses) == 2 and all(0 < loss < 10 for loss in losses)
    metrics = hclnet.evaluate(tmp_path / "run", report=False, device="cpu").metrics
    assert metrics["crops"] == 10 and metrics["box"] == "fixed:0.2"
    settings = json.loads((tmp_path / "run" / "localizer" / "localizer.json").read_text())
    assert settings["backbone"] == {"name": "vgg16", "output_stride": stride, "stages": 1}
    photo = next((tmp_path / "birds" / "images").rglob("*.jpg"))
    (maps,) = result.localizer.locate(photo).branches.values()
    assert maps.shape == (2, 224 // stride, 224 // stride)
