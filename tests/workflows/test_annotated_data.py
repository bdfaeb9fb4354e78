"""Corrected boxes, as annotation tools export them, are scored and calibrated on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import hclnet
from hclnet_runtime.data.images import image_size


@pytest.fixture(scope="module")
def export(birds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight images of the birds as an export of Label Studio, with their true boxes."""
    folder, data = tmp_path_factory.mktemp("photos"), hclnet.read(birds)
    tasks = []
    for k, sample in enumerate(data.samples[:8]):
        shutil.copy(sample.path, folder / f"{k}.jpg")
        width, height = image_size(sample.path)
        x0, y0, x1, y1 = (data.ground_truth.boxes[sample.id][0] / (width, height, width, height) * 100).tolist()
        value = {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "rectanglelabels": [data.classes[sample.label]]}
        region = {"type": "rectanglelabels", "original_width": width, "original_height": height, "value": value}
        tasks.append({"id": k, "annotations": [{"result": [region]}], "data": {"image": f"/data/upload/1/{k}.jpg"}})
    (folder / "export.json").write_text(json.dumps(tasks))
    return folder / "export.json"


def test_all_images_can_be_scored(trained: Path, export: Path, tmp_path: Path):
    part = hclnet.evaluate(trained, export, device="cpu", report=False, out=tmp_path / "part")
    whole = hclnet.evaluate(trained, export, "all", device="cpu", report=False, out=tmp_path / "whole")
    assert len(part.records) < len(whole.records) == 8 and np.isfinite(whole.records.iou).all()
    assert json.loads((tmp_path / "whole" / "metrics.json").read_text())["data"]["split"] == "all"
    maps = {sample.id: np.eye(7) for sample in hclnet.read(export).samples}
    np.savez(tmp_path / "maps.npz", **maps)
    assert len(hclnet.score(tmp_path / "maps.npz", export, "all", map_size=32).records) == 8


def test_all_images_can_be_calibrated_on(trained: Path, export: Path, tmp_path: Path):
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    assert hclnet.calibrate(run, export, "all", device="cpu").images == 8


def test_not_of_the_runs_own_data(trained: Path):
    with pytest.raises(ValueError, match="--split all is for other data than the run's own"):
        hclnet.evaluate(trained, split="all", device="cpu")
