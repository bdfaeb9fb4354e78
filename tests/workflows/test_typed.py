"""The verbs as people call them from Python: data sets that are read already, whole configurations, defaults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hclnet
from hclnet.config import InferenceSettings

RECIPE = {"size": 64, "epochs": 1, "width": 8, "device": "cpu"}


def test_a_data_set_that_is_read_is_taken_as_its_path_is(birds: Path, trained: Path, tmp_path: Path):
    dataset = hclnet.read(birds)
    from_path = hclnet.train(birds, out=tmp_path / "a", report=False, **RECIPE)
    from_memory = hclnet.train(dataset, out=tmp_path / "b", report=False, **RECIPE)
    assert from_path.localizer.fingerprint() == from_memory.localizer.fingerprint()
    assert (tmp_path / "a" / "config.yaml").read_text() == (tmp_path / "b" / "config.yaml").read_text()
    scores = [hclnet.evaluate(tmp_path / "b", d, report=False, device="cpu") for d in (None, birds, dataset)]
    assert scores[0].folder == scores[1].folder == scores[2].folder
    assert scores[0].metrics["gt_known"] == scores[2].metrics["gt_known"]
    maps = tmp_path / "maps.npz"
    np.savez(maps, **{sample.id: np.eye(7) for sample in dataset.split("test")})
    measured = [hclnet.score(maps, d, map_size=32).metrics for d in (birds, dataset)]
    assert measured[0] == measured[1] and measured[0]["truth"] == str(birds)
    rows = [hclnet.compare(d, ["cam"], tmp_path / n, report=False, **RECIPE) for d, n in ((birds, "c"), (dataset, "d"))]
    assert rows[0] == rows[1]
    (row,) = rows[0]
    assert (row.method, row.settings, row.seed, row.difference) == ("cam", {}, 0, {})
    assert row.metrics["gt_known"] == row["gt_known"]
    assert row.intervals["gt_known"] == tuple(row["intervals"]["gt_known"])
    assert (tmp_path / "c" / row.run / "config.yaml").is_file() and (tmp_path / "c" / row.records).is_file()


def test_a_whole_configuration(birds: Path, tmp_path: Path):
    settings = {"backbone": "efficientnet_lite0", "size": 64, "epochs": 1, "device": "cpu"}
    config = hclnet.RunConfig(method="cam", inference=hclnet.Inference(box="fixed:0.3"), **settings)
    hclnet.train(birds, config, out=tmp_path / "run", report=False)
    written = hclnet.RunConfig.load(tmp_path / "run" / "config.yaml")
    assert written.data == str(birds) and written.method == "cam" and written.inference.box == "fixed:0.3"
    assert written.stages == 1 and written.label_smoothing == 0  # its own, not those of a preset
    again = hclnet.train(birds, config, out=tmp_path / "run2", report=False, box="otsu3", seed=3)
    assert (again.localizer.inference.box, again.localizer.method.name) == ("otsu3", "cam")


def test_a_preset_has_its_own_size_unless_another_is_given(birds: Path, tmp_path: Path):
    preset = tmp_path / "mine.yaml"
    preset.write_text("size: 64\nepochs: 1\nlr: 0.002\ndevice: cpu\n")
    hclnet.train(birds, out=tmp_path / "run", method="cam", preset=preset, report=False)
    hclnet.train(birds, out=tmp_path / "larger", method="cam", preset=preset, size=96, report=False)
    ran = [hclnet.RunConfig.load(tmp_path / name / "config.yaml") for name in ("run", "larger")]
    assert [(one.size, one.epochs, one.lr, one.device) for one in ran] == [(64, 1, 0.002, "cpu"), (96, 1, 0.002, "cpu")]
    (row,) = hclnet.compare(birds, ["cam"], tmp_path / "c", preset=preset, report=False)
    assert (row["recipe"]["size"], row["recipe"]["lr"]) == (64, 0.002)


def test_a_preset_names_no_method(birds: Path, tmp_path: Path):
    preset = tmp_path / "mine.yaml"
    preset.write_text("method: cam\nsize: 64\n")
    with pytest.raises(ValueError, match="'method' is not a setting"):
        hclnet.train(birds, preset=preset)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"config": "there", "out": "here"}, "The run folder is given twice: there and here"),
        ({"config": hclnet.RunConfig(method="cam"), "method": "acol"}, "The method is given twice: acol, and cam"),
        ({"tell": print}, "'tell' is not a setting"),
    ],
)
def test_what_contradicts_itself(birds: Path, arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        hclnet.train(birds, **arguments)


def test_the_folder_of_a_run_by_default(birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    hclnet.train(birds, method="cam", seed=2, report=False, size=64, epochs=1, device="cpu")
    assert (tmp_path / "runs" / "cam-2" / "localizer" / "localizer.json").is_file()


def test_one_image_by_a_localizer_that_is_loaded(birds: Path, trained: Path):
    image = next((birds / "images").glob("*/*.jpg"))
    localizer = hclnet.load(trained, device="cpu")
    assert hclnet.locate(image, localizer).box == hclnet.locate(image, trained).box


def test_keyword_arguments_of_maps_and_boxes_are_all_settings_of_them():
    assert set(InferenceSettings.__annotations__) == set(hclnet.Inference.model_fields)
