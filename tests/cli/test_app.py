"""Every verb the way a user calls it: what is written, what is said, and what a mistake is answered with."""

from __future__ import annotations

import errno
import importlib
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from typer.testing import Result

import hclnet as package

Run = Callable[..., Result]
TINY = ("--size", "64", "--epochs", "1", "--device", "cpu")


def fresh(code: str) -> str:
    """What code prints in a new interpreter."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def called(main: str, arguments: list[str]) -> tuple[list[str], str, set[str]]:
    """What a command says in a new interpreter, its exit code, and the packages that are loaded at the end."""
    code = (
        f"import sys; sys.argv = ['hclnet', *{arguments}]\n"
        f"{main}\n"
        "try: main()\n"
        "except SystemExit as stop: print(stop.code)\n"
        "print(*{name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))"
    )
    *said, code, loaded = fresh(code).splitlines()
    return said, code, set(loaded.split())


@pytest.fixture(scope="module")
def bare() -> set[str]:
    """The packages that any command line made with typer loads."""
    main = (
        "import typer\n"
        "main = typer.Typer()\n"
        "@main.command()\ndef one(many: int = typer.Option(1, help='how many')): pass\n"
        "@main.command()\ndef two(): pass"
    )
    return called(main, ["one", "--help"])[2]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["locate", "-h"], []])
def test_help_is_quick_since_it_loads_nothing(bare: set[str], arguments: list[str]):
    """Seconds would say more of the machine: none of these is to load a package that a command line does not need."""
    said, code, loaded = called("from hclnet.cli import main", arguments)
    assert loaded - bare == {"hclnet"}
    assert code == ("0" if arguments else "2")
    assert said


def test_version(hclnet: Run):
    assert hclnet("--version").stdout.strip() == package.__version__


def test_the_whole_path(hclnet: Run, birds: Path, tmp_path: Path):
    run = tmp_path / "run"
    done = hclnet("train", birds, *TINY, "--set", "branches=1", "--out", run)
    assert done.exit_code == 0
    assert "3 classes, 12 train, 6 test, 18 with boxes, 18 with masks (for scoring only)" in done.stdout
    assert f"hclnet evaluate {run}" in done.stdout and f"--model {run}" in done.stdout
    for name in ("config.yaml", "environment.json", "metrics.csv", "data.csv", "state.json", "checkpoints/last.ckpt",
                 "localizer/localizer.json", "localizer/model.safetensors"):  # fmt: skip
        assert (run / name).is_file(), name

    metrics = tmp_path / "deep" / "metrics.json"
    done = hclnet("evaluate", run, "--json", metrics, "--box", "fixed:0.3", "--device", "cpu")
    assert done.exit_code == 0
    for said in ("Top-1 classification", "MaxBoxAccV2", "box rule fixed:0.3", "records.npz"):
        assert said in done.stdout
    read = json.loads(metrics.read_text())
    assert {
        "images", "top1_cls", "top5_cls", "top1_loc", "top5_loc", "gt_known", "box_acc_v2", "max_box_acc",
        "max_box_acc_threshold", "max_box_acc_v2", "top1_loc_best", "pxap", "protocol", "intervals",
    } <= set(read)  # fmt: skip
    assert read["images"] == 6 and 0 <= read["top1_loc"] <= read["top1_cls"] <= read["top5_cls"] <= 1

    done = hclnet("evaluate", run, "--protocol", "wsoleval", "--device", "cpu", "--no-report")
    assert done.exit_code == 0
    assert "Protocol wsoleval: maps of 224 px, bicubic upsampling" in " ".join(done.stdout.split())
    theirs = json.loads((run / "evaluation" / "test-wsoleval" / "metrics.json").read_text())
    assert theirs["protocol"]["name"] == "wsoleval" and theirs["metrics"]["top1_cls"]["value"] == read["top1_cls"]
    assert (run / "evaluation" / "test-wsoleval" / "classes.csv").read_text().startswith("class,images,top1_cls,")

    out = tmp_path / "compared"
    done = hclnet(
        "compare", birds, *TINY, "--methods", "cam,hclnet:branches=1,hclnet:branches=1,fusion=max", "--out", out
    )
    assert done.exit_code == 0
    assert "3 methods x 1 seeds: 2 trainings" in done.stdout
    rows = json.loads((out / "compare.json").read_text())
    assert [row["method"] for row in rows] == ["cam", "hclnet", "hclnet"]
    assert (out / "compare.md").read_text().startswith("| method |")
    assert rows[1]["top1_cls"] == read["top1_cls"]  # the same recipe and seed

    boxes = tmp_path / "boxes"
    done = hclnet("locate", birds / "images", "--model", run, "--top", "2", "--out", boxes,
                  "--save", "overlays,heatmaps,masks", "--max-objects", "3", "--device", "cpu")  # fmt: skip
    assert done.exit_code == 0
    located = json.loads((boxes / "boxes.json").read_text())
    assert len(located) == 18
    for one in located:
        with Image.open(one["path"]) as image:
            width, height = image.size
        assert one["size"] == [width, height]
        labels = [found["label"] for found in one["objects"]]
        assert len(set(labels)) <= 2 and all(labels.count(label) <= 3 for label in labels)
        for found in one["objects"]:
            x0, y0, x1, y1 = found["box"]
            assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
    coco = COCO(str(boxes / "coco.json"))
    assert len(coco.getImgIds()) == 18 and len(coco.getAnnIds()) == sum(len(one["objects"]) for one in located)
    masks = {p.relative_to(boxes / "masks").as_posix(): p for p in (boxes / "masks").rglob("*.png")}
    assert len(masks) == len(coco.getAnnIds())
    with Image.open(masks[sorted(masks)[0]]) as picture:
        drawn = np.asarray(picture)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pycocotools' own arrays, in NumPy 2
        assert any(np.array_equal(coco.annToMask(a) * 255, drawn) for a in coco.loadAnns(coco.getAnnIds()))
    assert len(list((boxes / "overlays").rglob("*.jpg"))) == len(list((boxes / "heatmaps").rglob("*.png"))) == 18
    assert done.stdout.count("%") >= 18 and f"{boxes / 'coco.json'}" in done.stdout


def test_the_command_line_and_python_agree(hclnet: Run, birds: Path, trained: Path, tmp_path: Path):
    photo = next((birds / "images").rglob("*_test_*.jpg"))
    hclnet("locate", photo, "--model", trained, "--out", tmp_path, "--device", "cpu")
    (one,) = json.loads((tmp_path / "boxes.json").read_text())
    found = package.load(trained, device="cpu").locate(photo)
    assert one["path"] == str(photo)
    assert [o["label"] for o in one["objects"]] == [found.label]
    assert np.allclose(one["objects"][0]["box"], found.box, atol=0.006)


def test_settings_of_maps_are_given_to_evaluate_and_locate(hclnet: Run, birds: Path, trained: Path, tmp_path: Path):
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    done = hclnet("train", birds, "--out", run, "--resume", "--set", "scales=1.5", "--device", "cpu")
    assert done.exit_code == 0, done.stderr  # or `auto` would have no foreground score at 96 px
    metrics = {}
    for name, extra in {"once": [], "twice": ["--set", "scales=[1, 1.5]", "--set", "flip=true"]}.items():
        done = hclnet("evaluate", run, *extra, "--no-report", "--json", tmp_path / f"{name}.json", "--device", "cpu")
        assert done.exit_code == 0, done.stderr
        metrics[name] = json.loads((tmp_path / f"{name}.json").read_text())
    assert metrics["once"]["max_box_acc_v2"] != metrics["twice"]["max_box_acc_v2"]
    assert "looks" not in metrics["once"]
    assert metrics["twice"]["looks"] == "at 1, 1.5 times the size, mirrored too"
    assert "test-time augmentation: images at 1, 1.5 times the size, mirrored too" in " ".join(done.stdout.split())
    photo = next((birds / "images").rglob("*_test_*.jpg"))
    hclnet("locate", photo, "--model", run, "--out", tmp_path, "--set", "scales=[1,1.5]", "--set", "flip=true",
           "--device", "cpu")  # fmt: skip
    (one,) = json.loads((tmp_path / "boxes.json").read_text())
    chosen = package.load(run, device="cpu").with_inference(scales=[1, 1.5], flip=True)
    assert np.allclose(one["objects"][0]["box"], chosen.locate(photo).box, atol=0.006)


def test_a_setting_that_is_none_of_maps_is_refused(hclnet: Run, birds: Path, trained: Path):
    for verb in (("evaluate", trained), ("locate", birds / "images", "--model", trained)):
        done = hclnet(*verb, "--set", "epochs=3")
        assert (
            done.exit_code == 2
            and "'epochs' is not a setting of maps and boxes. There are background_class, box, " in done.stderr
        )


def test_locate_without_a_model(hclnet: Run, birds: Path, tmp_path: Path):
    photo = next((birds / "images").rglob("*.jpg"))
    done = hclnet("locate", photo, "--out", tmp_path, "--save", "none", "--format", "json", "--device", "cpu")
    assert done.exit_code == 0 and "the packaged ImageNet classifier with CAM, 1000 classes" in done.stdout
    assert sorted(p.name for p in tmp_path.iterdir() if p.name[0] != ".") == ["boxes.json", "located.jsonl"]
    assert json.loads((tmp_path / "boxes.json").read_text())[0]["objects"]


def test_locate_names_broken_files_and_goes_on(hclnet: Run, birds: Path, trained: Path, tmp_path: Path):
    photos = tmp_path / "photos"
    photos.mkdir()
    whole = next((birds / "images").rglob("*.jpg")).read_bytes()
    (photos / "a good.jpg").write_bytes(whole)
    (photos / "b empty.jpg").write_bytes(b"")
    (photos / "c cut.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "d text.png").write_text("no image")
    done = hclnet("locate", photos, "--model", trained, "--out", tmp_path / "out", "--device", "cpu")
    assert done.exit_code == 0
    assert [Path(one["path"]).name for one in json.loads((tmp_path / "out/boxes.json").read_text())] == ["a good.jpg"]
    left_out = [line for line in done.stderr.splitlines() if line.startswith("Left out: ")]
    assert [name in line for name, line in zip(("b empty.jpg", "c cut.jpg", "d text.png"), left_out)] == [True] * 3
    (photos / "a good.jpg").unlink()
    assert hclnet("locate", photos, "--model", trained, "--out", tmp_path / "out", "--device", "cpu").exit_code == 1


def test_resume(hclnet: Run, birds: Path, tmp_path: Path):
    run = tmp_path / "run"
    assert hclnet("train", birds, *TINY, "--method", "cam", "--out", run).exit_code == 0
    again = hclnet("train", birds, *TINY, "--method", "cam", "--out", run)
    assert again.exit_code == 2 and "has a run already. Go on with --resume" in again.stderr
    assert hclnet("train", birds, *TINY, "--method", "cam", "--out", run, "--resume").exit_code == 0
    other = hclnet("train", birds, *TINY, "--method", "cam", "--seed", "4", "--out", run, "--resume")
    assert other.exit_code == 2 and "seed was 0, now 4" in other.stderr


def test_a_training_that_could_not_begin_is_not_in_the_way(hclnet: Run, birds: Path, tmp_path: Path):
    run = tmp_path / "run"
    failed = hclnet("train", birds, *TINY, "--method", "cam", "--weights", tmp_path / "none.pt", "--out", run)
    assert failed.exit_code == 2 and "none.pt" in failed.stderr
    assert hclnet("train", birds, *TINY, "--method", "cam", "--out", run).exit_code == 0


def test_a_preset_gives_way_to_options(hclnet: Run, birds: Path, tmp_path: Path):
    preset = tmp_path / "preset.yaml"
    preset.write_text("size: 96\nepochs: 2\nlr: 0.002\nbatch: 4\n")
    out = tmp_path / "out"
    done = hclnet("compare", birds, "--methods", "cam", "--preset", preset, "--set", "batch=8", *TINY, "--out", out)
    assert done.exit_code == 0
    (row,) = json.loads((out / "compare.json").read_text())
    assert [row["recipe"][key] for key in ("size", "epochs", "lr", "batch")] == [64, 1, 0.002, 8]


def test_a_preset_by_its_name(hclnet: Run, birds: Path, tmp_path: Path):
    assert "paper-cub, paper-ilsvrc, quick" in " ".join(hclnet("train", "--help").stdout.replace("│", " ").split())
    assert "a VGG-16 fine-tuned at 224 px" in " ".join(hclnet("methods").stdout.split())
    done = hclnet("train", birds, "--preset", "quick", *TINY, "--no-report", "--out", tmp_path)
    assert done.exit_code == 0


def test_reproduce(hclnet: Run, birds: Path, tmp_path: Path):
    done = hclnet("reproduce", "table2", "--data", birds, "--preset", "quick", *TINY, "--out", tmp_path)
    assert done.exit_code == 0
    said = " ".join(done.stdout.split())
    for line in ("4 methods x 1 seeds: 3 trainings", "Table 2: Comparison", "paper 31.53 61.73", "quoted from",
                 "the 95 % interval over images", f"To look at: {tmp_path / 'table2' / 'table2.html'}"):  # fmt: skip
        assert line in said
    done = hclnet("reproduce", "fig1", "--data", birds, "--preset", "quick", *TINY, "--images", "1", "--out", tmp_path)
    assert done.exit_code == 0 and "Kinds of localization errors" in done.stdout and "fig1.png" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "nowhere"), "There is no folder nowhere."),
        (("train", "{birds}", "--method", "camera"), "camera"),
        (("train", "{birds}", "--set", "brunches=1"), "'brunches' is not a setting"),
        (("train", "{birds}", "--set", "method=cam"), "'method' is not a setting, and --set can't change it"),
        (("train", "{birds}", "--set", "resume=true"), "'resume' is not a setting"),
        (("compare", "{birds}", "--set", "seeds=2"), "'seeds' is not a setting"),
        (("reproduce", "table4", "--data", "{birds}", "--set", "split=val"), "'split' is not a setting"),
        (("compare", "{birds}", "--methods", "hclnet:method=cam"), "'method' is not a setting"),
        (("train", "{birds}", "--set", "branches"), "write KEY=VALUE"),
        (("train", "{birds}", "--set", "a=[1"), "value can't be read"),
        (("train", "{birds}", "--tune", "some"), "'heads' or 'all'"),
        (("train", "{birds}", "--backbone", "vgg99"), "vgg99"),
        (("train", "{birds}", "--device", "cuda:99"), "--device cuda:99 can't be used"),
        (("train", "{birds}", "--set", "box=otsu9"), "otsu9"),
        (("train", "{birds}", "--out", "{file}/run", *TINY), "{file}"),
        (("evaluate", "{birds}"), "holds no localizer"),
        (("evaluate", "{run}", "--split", "holdout"), "no split 'holdout'; it has train (12), test (6)"),
        (("evaluate", "{run}", "--fusion", "sum"), "'max', 'addition' or 'l1'"),
        (("evaluate", "{run}", "--box", "otsu9"), "otsu9"),
        (("evaluate", "{run}", "--data", "{file}"), "is a file and not a manifest"),
        (("compare", "{birds}", "--methods", "branches=1"), "Name a method first"),
        (("compare", "{birds}", "--methods", "cam,camera"), "camera"),
        (("compare", "{birds}", "--preset", "nothing.yaml"), "There is no preset nothing.yaml"),
        (("train", "{birds}", "--preset", "papper"), "paper-cub, paper-ilsvrc, quick"),
        (("reproduce", "table5", "--data", "{birds}"), "it has table1, table2, table3, table4, fig1, fig3, fig6"),
        (("reproduce", "table4", "--data", "nowhere"), "There is no folder nowhere."),
        (("compare", "{birds}", "--preset", "{birds}"), "There is no preset"),
        (("locate", "nowhere.jpg"), "nowhere.jpg is not a file or a folder, and matches nothing."),
        (("locate", "{empty}"), "There is no image in the folder"),
        (("locate", "{file}", "--format", "xml"), "--format xml: there are json, coco"),
        (
            ("locate", "{file}", "--save", "films"),
            "there are overlays, heatmaps, heatmaps-8bit, masks and none",
        ),
        (("locate", "{file}", "--model", "{empty}"), "holds no localizer"),
        (("locate", "{file}", "--model", "{run}", "--box", "fixed:7"), "share of the maximum"),
    ],
)
def test_a_mistake_is_one_clear_sentence(
    hclnet: Run, birds: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...], message: str,
):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    places = {"birds": birds, "run": trained, "file": tmp_path / "file", "empty": tmp_path / "empty"}
    done = hclnet(*(argument.format(**places) for argument in arguments))
    assert done.exit_code == 2
    assert "Error: " in done.stderr and message.format(**places) in done.stderr
    assert "Traceback" not in done.output
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [("trian",), ("train",), ("train", "x", "--size", "big"), ("locate", "x", "--top", "0"), ("--nothing",)],
)
def test_a_call_that_is_none(hclnet: Run, arguments: tuple[str, ...]):
    done = hclnet(*arguments)
    assert done.exit_code == 2 and "Usage: " in done.stderr and "Traceback" not in done.output


def test_the_traceback_can_be_asked_for(hclnet: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HCLNET_DEBUG", "1")
    with pytest.raises(ValueError, match="There is no folder nowhere"):
        hclnet("train", "nowhere")


def test_ctrl_c(hclnet: Run, birds: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hclnet.workflows.train.train", interrupted)
    done = hclnet("train", birds)
    assert (done.exit_code, done.stderr) == (130, "Stopped.\n")
    monkeypatch.setattr("hclnet.workflows.compare.compare", interrupted)
    done = hclnet("compare", birds)
    assert done.exit_code == 130 and "the same command goes on from there" in done.stderr


def test_methods(hclnet: Run):
    done = hclnet("methods")
    assert done.exit_code == 0
    for said in ("cam", "acol", "hclnet", "branches", "threshold", "box rule", "peak learning rate", "KEY=VALUE"):
        assert said in done.stdout


def test_public_names_lead_somewhere():
    for module in set(package._HOME.values()):
        importlib.import_module(f"hclnet.{module}")
    importlib.import_module("hclnet.localizer.evaluation")
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        package.nothing  # noqa: B018
    code = "import sys, hclnet; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    assert fresh(code).strip() == "[]"


def test_a_reader_that_leaves_early_is_no_mistake(hclnet: Run, monkeypatch: pytest.MonkeyPatch):
    def closed() -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("hclnet.cli.tables.methods_table", closed)
    done = hclnet("methods")
    assert (done.exit_code, done.stderr) == (1, "")


@pytest.mark.parametrize(("given", "expected"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_the_command_line_lets_waiting_threads_sleep_and_the_library_does_not(given: dict[str, str], expected: str):
    code = (
        "import os, sys, hclnet, hclnet.cli.app as app\n"
        "before = os.environ.get('OMP_WAIT_POLICY', 'unset')\n"
        "sys.argv = ['hclnet', '--version']\n"
        "try: app.main()\n"
        "except SystemExit: print(before, os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    )
    without = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    said = subprocess.check_output([sys.executable, "-c", code], text=True, env={**without, **given}).split()
    assert said[1:] == [given.get("OMP_WAIT_POLICY", "unset"), expected, "False"]
