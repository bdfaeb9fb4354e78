"""Comparisons: what needs a training gets one, what does not goes without, and what was stopped goes on."""

from __future__ import annotations

import csv
import importlib
import json
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import yaml

from hclnet.data import read
from hclnet.localizer.localizer import Localizer
from hclnet.metrics import shown_metrics
from hclnet.synthetic import PartsOptions, write
from hclnet.training import TrainResult
from hclnet.workflows.compare import compare
from hclnet.workflows.evaluate import evaluate
from hclnet.workflows.plan import parse_spec, split_specs
from hclnet.workflows.table import caption, markdown, summarize, title

module = importlib.import_module("hclnet.workflows.compare")
SHOWN = [metric.key for metric in shown_metrics()]
RECIPE: dict[str, Any] = {"size": 64, "epochs": 1, "device": "cpu"}


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The labels of the trainings that were started."""
    started: list[str] = []

    def counted(*args: Any, label: str = "", **kwargs: Any) -> TrainResult:
        started.append(label)
        return train_on(*args, label=label, **kwargs)

    train_on = module.train_on
    monkeypatch.setattr(module, "train_on", counted)
    return started


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("cam", ["cam"]),
        ("cam,acol,hclnet", ["cam", "acol", "hclnet"]),
        (" cam , acol ,", ["cam", "acol"]),
        ("cam,hclnet:branches=1,fusion=max,acol", ["cam", "hclnet:branches=1,fusion=max", "acol"]),
        ("hclnet,branches=1", ["hclnet:branches=1"]),
        ("hclnet:box=fixed:0.2,fusion=l1,cam", ["hclnet:box=fixed:0.2,fusion=l1", "cam"]),
        ("hclnet:branches=1,hclnet:branches=2", ["hclnet:branches=1", "hclnet:branches=2"]),
        ("cam:scales=[1, 1.5],flip=true,acol", ["cam:scales=[1, 1.5],flip=true", "acol"]),
    ],
)
def test_specs(text: str, specs: list[str]):
    assert split_specs(text) == specs


@pytest.mark.parametrize(
    ("text", "message"), [("", "names no method"), (" , ", "names no method"), ("branches=1,cam", "hclnet:branches=1")]
)
def test_specs_that_are_none(text: str, message: str):
    with pytest.raises(ValueError, match=message):
        split_specs(text)


def test_a_spec():
    assert parse_spec("cam") == ("cam", {})
    assert parse_spec("hclnet:branches=1,box=fixed:0.2,lr=1e-2") == (
        "hclnet",
        {"branches": 1, "box": "fixed:0.2", "lr": 0.01},
    )
    assert parse_spec("hclnet:scales=[0.7, 1],flip=true") == ("hclnet", {"scales": [0.7, 1], "flip": True})
    with pytest.raises(ValueError, match="is not a setting: write KEY=VALUE"):
        parse_spec("hclnet:branches")


def test_what_differs_in_fusion_and_box_is_trained_once(birds: Path, tmp_path: Path, trainings: list[str]):
    specs = ["hclnet", "hclnet:fusion=max", "hclnet:box=fixed:0.3,fusion=l1", "cam", "hclnet:branches=1", "cam"]
    logged: list[str] = []
    rows = compare(birds, specs, tmp_path, seeds=2, seed=5, log=logged.append, **RECIPE)
    assert len(trainings) == 6  # hclnet, cam, hclnet with one branch; twice
    assert any("5 methods x 2 seeds: 6 trainings" in line for line in logged)
    assert [(r["method"], r["settings"], r["seed"]) for r in rows] == [
        (*parse_spec(spec), seed) for spec in specs[:5] for seed in (5, 6)
    ]
    assert json.loads((tmp_path / "compare.json").read_text()) == rows
    by_run: dict[str, set[str]] = {}
    for row in rows:
        assert set(SHOWN) < set(row) and row["images"] == 6
        assert all(0 <= row[metric] <= 1 for metric in SHOWN)
        assert row["recipe"]["size"] == 64 and "seed" not in row["recipe"]
        assert (tmp_path / row["run"] / "localizer" / "model.safetensors").is_file()
        by_run.setdefault(row["run"], set()).add(title(row))
    assert sorted(map(len, by_run.values())) == [1, 1, 1, 1, 3, 3]
    assert [(r["fusion"], r["box"]) for r in rows[::2][:3]] == [
        ("addition", "auto"), ("max", "auto"), ("l1", "fixed:0.3")
    ]  # fmt: skip


def test_sizes_that_are_looked_at_need_no_training_of_their_own(birds: Path, tmp_path: Path, trainings: list[str]):
    rows = compare(birds, ["cam", "cam:scales=1.5,flip=true", "cam:scales=2,box=otsu3"], tmp_path, **RECIPE)
    assert len(trainings) == 1 and len({row["run"] for row in rows}) == 1
    assert [row.get("looks") for row in rows] == [None, "at 1.5 times the size, mirrored too", "at 2 times the size"]
    # What `auto` needs is learned at the sizes that it is used at, and kept.
    assert sorted(Localizer.load(tmp_path / rows[0]["run"]).foreground) == [64, 96]


def test_methods_after_the_first_have_paired_differences_over_seeds(birds: Path, tmp_path: Path):
    rows = compare(birds, ["cam", "cam:box=fixed:0.3"], tmp_path, seeds=2, protocol="wsoleval", **RECIPE)
    base, other = rows[:2], rows[2:]
    assert all("difference" not in row for row in base) and other[0]["difference"] == other[1]["difference"]
    assert all(row["protocol"]["name"] == "wsoleval" and row["protocol"]["upsampling"] == "bicubic" for row in rows)
    for metric in SHOWN:
        value, low, high = other[0]["difference"][metric]
        assert other[0].difference[metric] == (value, low, high)
        assert value == median(r[metric] for r in other) - median(r[metric] for r in base)
        assert low <= value <= high
        if metric in ("top1_cls", "max_box_acc", "pxap"):
            assert value == low == high == 0  # the box rule has no part in them
        low, high = other[0]["intervals"][metric]
        assert 0 <= low <= high <= 1
    first, second = markdown(rows).split("| minus cam |")
    assert "Protocol wsoleval" in first and "paired 95 % intervals" in second
    assert "| cam (box=fixed:0.3) | +0.0 [+0.0 to +0.0] |" in second
    with (tmp_path / "classes.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["method"] for line in lines] == ["cam"] * 3 + ["cam (box=fixed:0.3)"] * 3
    assert all(float(line["top1_cls_difference"]) == 0 for line in lines[3:])
    assert not any(line["top1_cls_difference"] for line in lines[:3])


def test_an_unknown_protocol_is_refused_before_any_training(birds: Path, tmp_path: Path, trainings: list[str]):
    with pytest.raises(ValueError, match="hclnet, wsoleval"):
        compare(birds, ["cam"], tmp_path, protocol="mine", **RECIPE)
    assert not trainings


def test_a_row_is_what_evaluate_says_of_its_run(birds: Path, tmp_path: Path):
    rows = compare(birds, ["hclnet:fusion=max,box=fixed:0.3"], tmp_path, **RECIPE)
    alone = evaluate(tmp_path / rows[0]["run"], fusion="max", box="fixed:0.3", device="cpu").metrics
    assert {key: rows[0][key] for key in alone} == alone


def test_the_same_comparison_again_trains_nothing(birds: Path, tmp_path: Path, trainings: list[str]):
    first = compare(birds, ["cam"], tmp_path, **RECIPE)
    second = compare(birds, ["cam", "cam:box=fixed:0.2"], tmp_path, **RECIPE)
    assert len(trainings) == 1
    assert second[0] == first[0]


def test_runs_of_a_version_with_fewer_settings_are_used_again(birds: Path, tmp_path: Path, trainings: list[str]):
    first = compare(birds, ["hclnet"], tmp_path, **RECIPE)
    run = tmp_path / first[0]["run"]
    settings = yaml.safe_load((run / "config.yaml").read_text())
    del settings["weight_decay"], settings["options"]["threshold"]
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    run.rename(run.with_name("hclnet-00000000-seed0"))
    second = compare(birds, ["hclnet"], tmp_path, **RECIPE)
    assert second[0].pop("run") == "runs/hclnet-00000000-seed0"
    assert first[0].pop("run") and first[0].pop("records") != second[0].pop("records")
    assert second == first and len(trainings) == 1
    compare(birds, ["hclnet"], tmp_path, **RECIPE, weight_decay=0.02)
    compare(birds, ["hclnet:threshold=0.6"], tmp_path, **RECIPE)
    assert len(trainings) == 3


def test_a_stopped_comparison_goes_on(
    birds: Path, tmp_path: Path, trainings: list[str], monkeypatch: pytest.MonkeyPatch
):
    whole = compare(birds, ["cam", "hclnet"], tmp_path / "whole", **RECIPE)
    trainings.clear()
    train_on = module.train_on

    def stopped(dataset: Any, config: Any, run: Path, **kwargs: Any) -> TrainResult:
        if config.method == "hclnet":
            raise KeyboardInterrupt
        return train_on(dataset, config, run, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(module, "train_on", stopped)
        with pytest.raises(KeyboardInterrupt):
            compare(birds, ["cam", "hclnet"], tmp_path / "out", **RECIPE)
    assert [row["method"] for row in json.loads((tmp_path / "out" / "compare.json").read_text())] == ["cam"]
    assert len(trainings) == 1
    rows = compare(birds, ["cam", "hclnet"], tmp_path / "out", **RECIPE)
    assert trainings[1:] == ["[2/2] hclnet seed 0"]
    assert rows == whole


def test_a_training_that_was_interrupted_stops_the_comparison(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(*args: Any, **kwargs: Any) -> TrainResult:
        result = train_on(*args, **kwargs)
        return TrainResult(result.localizer, False, result.epochs, result.seconds)

    train_on = module.train_on
    monkeypatch.setattr(module, "train_on", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compare(birds, ["cam"], tmp_path, **RECIPE)
    assert not (tmp_path / "compare.json").exists()


def test_everything_is_checked_before_the_first_training(birds: Path, tmp_path: Path, trainings: list[str]):
    for specs, split, message in (
        (["cam", "nothing"], "test", "nothing"),
        (["cam", "hclnet:brunches=1"], "test", "'brunches' is not a setting"),
        (["cam", "hclnet:branches=0"], "test", "branches"),
        (["cam", "cam:box=otsu9"], "test", "otsu9"),
        (["cam"], "holdout", "no split 'holdout'; it has train"),
    ):
        with pytest.raises(ValueError, match=message):
            compare(birds, specs, tmp_path / "out", split=split, **RECIPE)
    with pytest.raises(ValueError, match="There is no folder"):
        compare(tmp_path / "nowhere", ["cam"], tmp_path / "out", **RECIPE)
    assert not trainings and not (tmp_path / "out" / "runs").exists()


def class_folders(birds: Path, root: Path) -> Path:
    """The birds as class folders, without a split and without boxes."""
    dataset = read(birds)
    for sample in dataset.samples:
        path = root / dataset.classes[sample.label] / sample.path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample.path.read_bytes())
    return root


def test_one_split_for_all_that_is_compared_in_a_folder(birds: Path, tmp_path: Path):
    data, out = class_folders(birds, tmp_path / "data"), tmp_path / "out"

    def tested() -> set[str]:
        with (out / "data.csv").open(encoding="utf-8", newline="") as file:
            return {row["id"] for row in csv.DictReader(file) if row["split"] == "test"}

    rows = compare(data, ["cam"], out, **RECIPE)
    before = tested()
    assert before == {s.id for s in read(data).split("test")}
    (more,) = [p for p in data.iterdir() if "crimson" in p.name]
    for k in range(20):
        (more / f"a{k}.jpg").write_bytes(next(more.glob("*.jpg")).read_bytes())
    assert not before <= {s.id for s in read(data, seed=3).split("test")}
    again = compare(data, ["cam"], out, seed=3, **RECIPE)
    assert before <= tested()
    assert rows[0].keys() == again[0].keys()
    with (out / again[0]["run"] / "data.csv").open(encoding="utf-8", newline="") as file:
        assert {row["id"] for row in csv.DictReader(file) if row["split"] == "train"}.isdisjoint(before)


def test_other_data_in_the_same_folder_are_refused(birds: Path, tmp_path: Path):
    compare(birds, ["cam"], tmp_path / "out", **RECIPE)
    write(PartsOptions(classes=2, train=2, test=1, size=64), tmp_path / "fewer")
    with pytest.raises(ValueError, match=r"out was begun on other data: .* Name another folder with --out"):
        compare(tmp_path / "fewer", ["cam"], tmp_path / "out", **RECIPE)


def test_without_boxes_there_is_classification_only(birds: Path, tmp_path: Path):
    data = class_folders(birds, tmp_path / "data")
    for path in sorted(data.glob("*/*")):
        moved = data / ("val" if "_test_" in path.name else "train") / path.parent.name / path.name
        moved.parent.mkdir(parents=True, exist_ok=True)
        path.rename(moved)
    rows = compare(data, ["cam"], tmp_path / "out", **RECIPE)  # val is what there is to test on
    assert rows[0]["images"] == 6 and "gt_known" not in rows[0] and "protocol" not in rows[0]
    assert [line.count("|") for line in markdown(rows).splitlines()[:3]] == [4, 4, 4]
    assert "Protocol" not in caption(rows)


def row(method: str, seed: int, value: float, **settings: Any) -> dict[str, Any]:
    recipe = {"backbone": "b", "output_stride": 16, "size": 64, "tune": "heads", "epochs": 1}
    figures = {"images": 10, "top1_cls": value, "max_box_acc": value / 2}
    protocol = {"name": "p", "map_size": 224, "upsampling": "bilinear"}
    return {
        "method": method, "settings": settings, "seed": seed, "box": "otsu3", "recipe": recipe, "protocol": protocol
    } | figures  # fmt: skip


def test_summary():
    rows = [row("cam", 0, 0.2), row("cam", 1, 0.9), row("cam", 2, 0.4), row("hclnet", 0, 0.5, branches=1)]
    assert summarize(rows) == [
        {"method": "cam", "seeds": 3, "images": 10, "top1_cls": (0.4, 0.2, 0.9), "max_box_acc": (0.2, 0.1, 0.45)},
        {
            "method": "hclnet (branches=1)", "seeds": 1, "images": 10,
            "top1_cls": (0.5, 0.5, 0.5), "max_box_acc": (0.25, 0.25, 0.25),
        },
    ]  # fmt: skip


def test_markdown():
    rows = [row("cam", 0, 0.2), row("cam", 1, 0.9), row("hclnet", 0, 0.5, branches=1, fusion="max")]
    rows[2].pop("max_box_acc")
    assert markdown(rows).splitlines() == [
        "| method | top1_cls | max_box_acc |",
        "|---|---|---|",
        "| cam | 55.0 [20.0 to 90.0] | 27.5 [10.0 to 45.0] |",
        "| hclnet (branches=1, fusion=max) | 50.0 | - |",
        "",
        caption(rows),
    ]
    for said in ("10 images", "Protocol p", "224 px", "bilinear", "otsu3", "tune heads", "1 epochs"):
        assert said in caption(rows)
    rows[2]["recipe"] = rows[2]["recipe"] | {"epochs": 3, "size": 96}
    rows[2]["protocol"] = rows[2]["protocol"] | {"map_size": 448}
    for said in ("1 or 3 epochs", "64 or 96 px", "maps of 224 or 448 px"):
        assert said in caption(rows)


def test_the_caption_says_how_all_images_were_seen():
    rows = [row("cam", 0, 0.2), row("hclnet", 0, 0.5)]
    assert "augmentation" not in caption(rows)
    assert "Test-time augmentation: images mirrored too." in caption([r | {"looks": "mirrored too"} for r in rows])
    assert "augmentation" not in caption([rows[0], rows[1] | {"looks": "mirrored too"}])  # then the rows' names say it
