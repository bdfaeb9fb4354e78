"""What version 0.1 wrote goes on loading and gives the same boxes; what its users set goes on being accepted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import hclnet
from hclnet.config import RunConfig
from hclnet.settings import parse_settings, read_preset
from hclnet.training import is_finished
from hclnet.workflows.settings import make_config
from runs_0_1.filled import HERE, RUNS, fill, located, pictures

EXPECTED: dict[str, list[dict[str, Any]]] = json.loads((HERE / "boxes.json").read_text(encoding="utf-8"))
SETTINGS: dict[str, Any] = json.loads((HERE / "settings.json").read_text(encoding="utf-8"))
KEYS = [
    (method, key, value)
    for method, group in [("hclnet", SETTINGS["training"]), ("hclnet", SETTINGS["maps"]), *SETTINGS["options"].items()]
    for key, values in group.items()
    for value in values
]


@pytest.mark.parametrize("run", RUNS)
def test_a_localizer_gives_the_same_boxes(run: str, tmp_path: Path):
    """Half a pixel and a thousandth: processors differ in the last bits, and so by a pixel of the heatmap at most."""
    found = located(fill(run, tmp_path / run))
    assert len(found) == len(EXPECTED[run]) == 27
    for now, before in zip(found, EXPECTED[run]):
        assert {k: now[k] for k in ("rule", "picture", "label")} == {k: before[k] for k in ("rule", "picture", "label")}
        assert now["score"] == pytest.approx(before["score"], abs=1e-3), before
        assert now["box"] == pytest.approx(before["box"], abs=0.5), before


def test_the_expected_boxes_tell_runs_rules_and_classes_apart():
    rows = [row for run in RUNS for row in EXPECTED[run]]
    assert len({tuple(row["box"]) for row in rows}) > 0.95 * len(rows)


@pytest.mark.parametrize("run", RUNS)
def test_a_run_folder_is_read(run: str):
    config = RunConfig.load(HERE / run / "config.yaml")
    assert (config.method, config.size, config.precision, config.weights) == (run, 64, "float32", "auto")
    given = {"stages": 2, "scales": [1, 1.5], "flip": True} if run == "hclnet" else {}
    given |= {"precision": "float32", "device": "cpu", "gray_max": "file", "workers": 0}  # as it was then
    # Paths were then kept as they were given.
    assert config == make_config("drawn", run, size=64, epochs=1, **given).model_copy(update={"data": "drawn"})
    assert is_finished(HERE / run)


def test_a_run_is_scored_on_its_own_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In the folder that it was trained in, by what its config.yaml and data.csv say."""
    run = fill("cam", tmp_path / "cam")
    for line in (run / "data.csv").read_text(encoding="utf-8").splitlines()[1:]:
        path = tmp_path / "drawn" / line.partition(",")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pictures()[int(path.stem) % 3]).save(path)
    monkeypatch.chdir(tmp_path)
    found = hclnet.evaluate("cam", device="cpu", report=False)
    assert len(found.records) == 6 and found.records.labels.tolist() == [0, 0, 1, 1, 2, 2]
    # Pictures 0 and 1 of each class: CAM takes all for otters.
    assert found.records.top_classes[:, 0].tolist() == [2] * 6
    best = [row["score"] for row in EXPECTED["cam"] if row["rule"] == "auto" and row["label"] == "otter"]
    assert np.allclose(found.records.top_scores[:, 0], [best[0], best[1]] * 3, atol=1e-3)


@pytest.mark.parametrize(("method", "key", "value"), KEYS, ids=lambda part: str(part))
def test_a_setting_is_accepted_and_does_something(method: str, key: str, value: Any):
    plain = {"tune": "all"} if method in ("has", "cutmix") else {}
    given = parse_settings([f"{key}={json.dumps(value)}"])
    assert make_config("x", method, **{**plain, **given}) != make_config("x", method, **plain)


def test_a_setting_may_say_where_it_belongs():
    given = parse_settings(["options.branches=1", "inference.fusion=max"])
    assert make_config("x", **given) == make_config("x", branches=1, fusion="max")


@pytest.mark.parametrize("name", SETTINGS["presets"])
def test_a_preset_is_there(name: str):
    assert make_config("x", "hclnet", **read_preset(name))


def test_tensors_of_another_method_are_refused(tmp_path: Path):
    """So what is read above is read by the names and shapes that 0.1 gave them."""
    run = fill("acol", tmp_path / "acol")
    shutil.copy(HERE / "cam" / "localizer" / "localizer.json", run / "localizer")
    with pytest.raises(ValueError, match="can't be loaded"):
        hclnet.load(run, "cpu")
