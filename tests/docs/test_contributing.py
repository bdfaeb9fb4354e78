"""The examples of the pages on what to add are what they say: a backbone, a reader, a metric, a format."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

import hclnet.backbones
import hclnet.data
import hclnet.formats
import hclnet.metrics.registry
from hclnet.backbones import Architecture, Cut, build_backbone, from_cut
from hclnet.metrics import compute_metrics
from hclnet.workflows.locate import locate_files

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r'^```python title="([^"]+)"\n(.*?)^```', re.M | re.S)


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch):
    """Imports the module that a page shows; and runs the lines with which the page registers it and others."""

    def load(page: str, **registries: dict) -> ModuleType:
        (file, source), *lines = BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))
        assert not (ROOT / file).exists(), f"{file} is an example, and now there is such a module"
        assert (ROOT / file).parent.is_dir() and all((ROOT / where).is_file() for where, _ in lines)
        module = ModuleType(Path(file).stem)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(source, file, "exec"), module.__dict__)
        for _, line in lines:
            exec(line, {module.__name__: module, "Architecture": Architecture, "Cut": Cut, **registries})
        return module

    return load


def test_a_backbone(example, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hclnet.backbones, "BACKBONES", dict(hclnet.backbones.BACKBONES))
    entries: dict[str, Cut] = {}
    example("add-a-backbone.md", BACKBONES=hclnet.backbones.BACKBONES, NAMED=entries)
    hclnet.backbones.BACKBONES["resnet18"] = from_cut("resnet18", entries["resnet18"])
    for name, stride in (("shufflenet", 32), ("resnet18", 16)):
        backbone = build_backbone(name, weights="none")
        assert backbone.name == name and backbone.output_stride == stride
        features = backbone(torch.zeros(1, 3, 64, 64), list(backbone.info))
        assert {name: tuple(value.shape[1:]) for name, value in features.items()} == {
            name: (about.channels, 64 // about.stride, 64 // about.stride) for name, about in backbone.info.items()
        }


def test_a_reader(example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hclnet.data, "READERS", (example("add-a-reader.md"), *hclnet.data.READERS))
    labels = {f"{name}-{k}.png": name for name in ("fox", "badger") for k in range(5)}
    for file in labels:
        Image.new("RGB", (8, 8)).save(tmp_path / file)
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    data = hclnet.data.read(tmp_path)
    assert data.kind == "labels.json" and data.classes == ("badger", "fox")
    assert data.counts() == {"train": 8, "test": 2}
    assert all(s.path.is_file() and labels[s.id] == data.classes[s.label] for s in data.samples)
    (tmp_path / "labels.json").write_text("[1, 2]")
    with pytest.raises(ValueError, match=r"labels\.json can't be read"):
        hclnet.data.read(tmp_path)


def test_a_metric(example, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = shutil.copytree(trained, tmp_path / "run")
    records = hclnet.evaluate(run, device="cpu", report=False, out=tmp_path / "scored").records
    assert "tight" not in compute_metrics(records)
    monkeypatch.setattr(hclnet.metrics.registry, "METRICS", dict(hclnet.metrics.registry.METRICS))
    example("add-a-metric.md")
    records.iou[:] = [0.95, 0.9, 0.89, 0.2, 0.0, np.nan]
    assert compute_metrics(records)["tight"] == pytest.approx(2 / 5)  # of the images with a box


def test_a_format(example, birds: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(hclnet.formats.WRITERS, "best", None)  # so that it is gone afterwards
    example("add-a-format.md", WRITERS=hclnet.formats.WRITERS)
    image = next((birds / "images").rglob("*.jpg"))
    found = locate_files([image], trained, tmp_path / "out", formats=["best"], save=[], device="cpu")
    (one,) = found.localizations[0].objects
    (title, _, line) = (tmp_path / "out" / "boxes.md").read_text(encoding="utf-8").splitlines()
    assert line == f"- {image.name}: {one.label} {one.box}"
    assert title.startswith("# hclnet ") and found.written == [tmp_path / "out" / "boxes.md"]


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(page: str):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text(encoding="utf-8"))
    assert targets and all((ROOT / target).exists() for target in targets)
