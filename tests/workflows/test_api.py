import csv
import shutil

import pytest
from PIL import Image

import hclnet
from hclnet.data import read
from hclnet.localizer.localizer import Localizer
from hclnet.metrics import load_records

RECIPE = {"size": 32, "epochs": 1, "width": 8, "method": "cam", "device": "cpu", "weights": "none", "report": False}


@pytest.fixture
def photos(tmp_path):
    """Class folders without a split and without boxes."""
    for label, color in (("blue", (20, 40, 200)), ("red", (210, 30, 30))):
        for k in range(6):
            path = tmp_path / "photos" / label / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40 + k, 36), color).save(path)
    return tmp_path / "photos"


def splits(run):
    with (run / "data.csv").open(newline="") as file:
        return {row["id"]: row["split"] for row in csv.DictReader(file)}


def test_without_boxes_there_is_classification_only(photos, tmp_path):
    hclnet.train(photos, tmp_path / "run", **RECIPE)
    result = hclnet.evaluate(tmp_path / "run", report=False)
    assert result.metrics["images"] == 2 and "top1_cls" in result.metrics
    assert not {"gt_known", "max_box_acc", "top1_loc", "protocol"} & set(result.metrics)


def test_the_split_that_was_made_is_kept_whatever_comes_later(photos, tmp_path):
    run = tmp_path / "run"
    hclnet.train(photos, run, **RECIPE)
    first = splits(run)
    assert sorted(first.values()).count("test") == 2
    held_out = [name for name, split in first.items() if split == "test"]
    for k in range(20, 30):
        shutil.copy(photos / "red" / "0.png", photos / "red" / f"{k}.png")
    records = load_records(hclnet.evaluate(run, report=False).folder / "records.npz")
    assert set(held_out) <= set(records.ids)
    assert not {name for name, split in first.items() if split == "train"} & set(records.ids)


@pytest.mark.parametrize("change", ["come", "gone", "another class"])
def test_a_run_does_not_go_on_with_other_images(photos, tmp_path, change):
    run = tmp_path / "run"
    hclnet.train(photos, run, **RECIPE)
    seen = next(name for name, split in splits(run).items() if split == "train" and name.startswith("red"))
    if change == "come":
        for k in range(20, 30):
            shutil.copy(photos / "red" / "0.png", photos / "red" / f"{k}.png")
    elif change == "gone":
        (photos / seen).unlink()
    else:
        (photos / seen).rename(photos / "blue" / "new.png")
    with pytest.raises(ValueError, match=rf"{run} can't be resumed: of its training images in {photos} \d have come"):
        hclnet.train(photos, run, resume=True, **RECIPE)
    hclnet.train(photos, tmp_path / "other", **RECIPE)


def test_going_on_needs_no_setting_said_again(photos, tmp_path, monkeypatch):
    run, recipe = tmp_path / "run", {**RECIPE, "convs": 2, "fusion": "max", "seed": 3}
    hclnet.train(photos, run, **recipe)
    settings, weights = (run / name for name in ("config.yaml", "localizer/model.safetensors"))
    before = settings.read_text(), weights.read_bytes()
    monkeypatch.chdir(tmp_path)
    assert hclnet.train(f"{photos}/", run, resume=True, report=False).finished
    assert (settings.read_text(), weights.read_bytes()) == before
    with pytest.raises(ValueError, match="another configuration: epochs was 1, now 2"):
        hclnet.train(photos, run, resume=True, report=False, epochs=2)
    with pytest.raises(ValueError, match="another configuration: method was 'cam', now 'acol'"):
        hclnet.train(photos, run, method="acol", resume=True, report=False)


def test_a_test_image_that_has_gone_does_not_matter_for_going_on(photos, tmp_path):
    run = tmp_path / "run"
    hclnet.train(photos, run, **RECIPE)
    (photos / next(name for name, split in splits(run).items() if split == "test")).unlink()
    assert hclnet.train(photos, run, resume=True, **RECIPE).finished


def test_another_data_set_has_no_other_classes(photos, tmp_path):
    run = tmp_path / "run"
    hclnet.train(photos, run, **RECIPE)
    other = shutil.copytree(photos, tmp_path / "other")
    assert hclnet.evaluate(run, other, report=False).metrics["images"] == 2
    (other / "red").rename(other / "green")
    with pytest.raises(
        ValueError, match=r"not know: green \(6 images\)\. It knows blue, red\. .*--ignore-unknown-classes"
    ):
        hclnet.evaluate(run, other, report=False)


def test_figures_and_settings_belong_together(trained):
    plain = hclnet.evaluate(trained, report=False)
    fixed = hclnet.evaluate(trained, report=False, box="fixed:0.9", fusion="l1", out=trained / "other")
    assert (plain.metrics["box"], plain.metrics["fusion"]) == ("auto", "addition")
    assert (fixed.metrics["box"], fixed.metrics["fusion"]) == ("fixed:0.9", "l1")
    assert plain.metrics["top1_cls"] == fixed.metrics["top1_cls"]
    assert fixed.metrics["protocol"]["rule"] == "fixed:0.9" and fixed.folder == trained / "other"
    assert Localizer.load(trained).inference.box == "auto"  # looking at it has not changed it


def test_a_training_learns_at_the_sizes_that_it_is_told_to_look_at(photos, tmp_path):
    result = hclnet.train(photos, tmp_path / "run", **{**RECIPE, "size": 64, "scales": [1.5, 2]})
    for localizer in (result.localizer, Localizer.load(tmp_path / "run")):
        assert sorted(localizer.foreground) == [64, 96, 128]


def test_a_localizer_alone_needs_a_data_set(trained, birds, tmp_path):
    shutil.copytree(trained / "localizer", tmp_path / "localizer")
    with pytest.raises(ValueError, match=rf"{tmp_path} does not say what it was trained on. Name a data set with --da"):
        hclnet.evaluate(tmp_path, report=False)
    alone = hclnet.evaluate(tmp_path, birds, report=False)
    assert alone.metrics == hclnet.evaluate(trained, report=False).metrics


def test_val_is_scored_where_there_is_no_test(photos, tmp_path):
    data = tmp_path / "data"
    for split in ("train", "val"):
        shutil.copytree(photos, data / split)
    hclnet.train(data, tmp_path / "run", **RECIPE)
    result = hclnet.evaluate(tmp_path / "run", report=False)
    assert result.metrics["images"] == 12 and result.folder.name == "val"
    with pytest.raises(ValueError, match="has no split 'tset'; it has train"):
        hclnet.evaluate(tmp_path / "run", split="tset", report=False)


def test_one_image_without_a_run_or_with_one(trained, birds):
    image = read(birds).samples[0].path
    assert hclnet.locate(image, trained, top=2).predictions == hclnet.load(trained).locate(image).predictions
    assert len(hclnet.locate(image).heatmaps) == 1
