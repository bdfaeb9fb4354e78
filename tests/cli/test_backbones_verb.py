from importlib.metadata import EntryPoint

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from typer.testing import CliRunner

import hclnet.backbones
from hclnet.backbones import BACKBONES, Architecture, build_backbone, choose_stride
from hclnet.backbones.listing import list_backbones
from hclnet.cli.app import app


def run(*words):
    return CliRunner().invoke(app, ["backbones", *words])


def test_without_a_pattern_it_lists_ours_and_says_that_there_are_timms():
    result = run()
    assert result.exit_code == 0
    for name in BACKBONES:
        (line,) = (line for line in result.stdout.splitlines() if line.endswith(f" {name}"))
        assert ("apache-2.0" if name.startswith("eff") else "bsd-3-clause") in line
    lite = next(line for line in result.stdout.splitlines() if line.endswith("lite0"))
    parameters = sum(p.numel() for p in build_backbone("efficientnet_lite0", weights="none").parameters())
    assert lite.split()[:5] == [f"{parameters / 1e6:.1f}", "M", "16", "here", "apache-2.0"]
    assert f"{len(timm.list_models()):,} models" in result.stdout


def test_a_pattern_finds_timms_with_their_tags(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    kept = tmp_path / "models--timm--test_vit.r160_in1k"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("0" * 40)
    (kept / "snapshots" / ("0" * 40)).mkdir(parents=True)
    save_file({"a": torch.zeros(1)}, kept / "snapshots" / ("0" * 40) / "model.safetensors")
    found = {one.name: one for one in list_backbones("test_vit[24.]*")}
    assert set(found) == {"timm:test_vit.r160_in1k", "timm:test_vit2.r160_in1k", "timm:test_vit4"}
    assert found["timm:test_vit.r160_in1k"].weights == "here" and found["timm:test_vit2.r160_in1k"].weights == "hub"
    assert [one.name for one in list_backbones("timm:vgg11")] == ["timm:vgg11.tv_in1k"]
    result = run("test_vit")
    assert result.exit_code == 0 and "timm:test_vit.r160_in1k" in result.stdout and "0.3 M" in result.stdout
    assert found["timm:test_vit4"].weights == "none" and found["timm:test_vit4"].stride == 16


def test_a_pattern_that_finds_nothing():
    result = run("nonsense")
    assert result.exit_code == 2 and "There is no backbone like 'nonsense'" in result.stderr


@pytest.mark.parametrize("pattern", ["", " ", "timm:"])
def test_an_empty_pattern_is_refused(pattern):
    result = run(pattern)
    said = " ".join(result.stderr.split())
    assert result.exit_code == 2 and f"The pattern {pattern!r} has no letter of a name. Leave it out" in said
    assert f"'*' lists all {len(timm.list_models()):,} models" in said


def test_what_is_no_backbone_says_why(monkeypatch):
    def refuse(name, *_):
        raise ValueError(f"{name} can't be a backbone: it takes images of 1 channels, not of 3.")

    monkeypatch.setattr("hclnet.backbones.listing.skeleton", refuse)
    result = run("test_vit")
    assert result.exit_code == 0 and "can't be a backbone: it takes images of 1 channels" in result.stdout


def entry(monkeypatch, value):
    point = EntryPoint("theirs", value, "hclnet.backbones")
    monkeypatch.setattr(hclnet.backbones, "entry_points", lambda group: [point] * (group == "hclnet.backbones"))


THEIRS = BACKBONES["resnet50"]
NOTHING = 7


def test_another_packages_backbone(monkeypatch):
    entry(monkeypatch, f"{__name__}:THEIRS")
    assert choose_stride("theirs") == 16 and isinstance(THEIRS, Architecture)
    assert build_backbone("theirs", weights="none").info["stage5"].channels == 2048
    assert "theirs" in run().stdout
    with pytest.raises(ValueError, match=r"there are efficientnet_lite0, .*resnet50, theirs, and timm:NAME"):
        choose_stride("nobodys")
    entry(monkeypatch, f"{__name__}:NOTHING")
    with pytest.raises(ValueError, match="package of the backbone theirs is broken"):
        choose_stride("theirs")
