"""A run, a comparison and an evaluation have their folder to themselves, and what can't end well does not begin."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hclnet
from hclnet import calibrate
from hclnet.cli.app import app
from hclnet.paper import reproduce
from hclnet.storage import Busy
from hclnet.workflows.compare import compare

HOLDER = """
import sys, time
sys.path.insert(0, sys.argv[3])
from hclnet.storage import locked
with locked(sys.argv[1], "training"):
    print("held", flush=True)
    time.sleep(300)
"""
SOURCE = Path(hclnet.__file__).parents[1]


@pytest.fixture
def held() -> Iterator[Callable[[Path], subprocess.Popen]]:
    """Lets another process have a folder."""
    started = []

    def hold(folder: Path) -> subprocess.Popen:
        command = [sys.executable, "-c", HOLDER, str(folder), "", str(SOURCE)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "run")


def test_the_second_one_is_told_who_has_the_folder(run, birds, tmp_path, held, monkeypatch):
    monkeypatch.setattr("hclnet.workflows.train.check_images", lambda *_: pytest.fail("work began"))
    out = tmp_path / "out"
    process, recipe = held(out), {"size": 64, "epochs": 1, "device": "cpu", "report": False}
    for call in (
        lambda: hclnet.train(birds, out, **recipe),
        lambda: hclnet.train(birds, out, method="cam", seed=3, **recipe),
        lambda: compare(birds, ["cam"], out, **recipe),
        lambda: reproduce("table4", birds, out, preset="quick"),
    ):
        with pytest.raises(Busy, match=rf"{out} is in use by process {process.pid} on .* \(training, since 2"):
            call()
    assert {p.name for p in out.iterdir()} == {".hclnet.lock", ".hclnet.owner.json"}
    # The lock goes with its process, however that ends.
    process.send_signal(signal.SIGKILL)
    process.wait()
    monkeypatch.undo()
    assert hclnet.train(birds, out, **recipe).finished


def test_a_run_that_is_trained_is_neither_gone_on_with_nor_calibrated(run, birds, held):
    held(run)
    for call in (
        lambda: hclnet.train(birds, run, resume=True),
        lambda: calibrate(run, device="cpu"),
        lambda: calibrate(run / "localizer", birds, device="cpu"),
    ):
        with pytest.raises(Busy, match=f"{run} is in use by process"):
            call()
    # Reading it is free, and what is written has a folder of its own.
    assert hclnet.evaluate(run, device="cpu", report=False).metrics["images"] == 6


def test_two_evaluations_do_not_write_one_folder(run, held):
    held(run / "evaluation" / "test")
    with pytest.raises(Busy, match="evaluation/test is in use by"):
        hclnet.evaluate(run, device="cpu", report=False)


def test_a_comparison_waits_for_none_of_its_runs(birds, tmp_path, held):
    recipe = {"size": 64, "epochs": 1, "device": "cpu", "report": False}
    (row,) = compare(birds, ["cam"], tmp_path / "out", **recipe)
    held(tmp_path / "out" / row["run"])
    with pytest.raises(Busy, match=f"{row['run']} is in use"):
        compare(birds, ["cam:scales=2"], tmp_path / "out", **recipe)


def test_a_folder_with_something_else_is_left_as_it_is(birds, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty and holds no run"):
        hclnet.train(birds, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def said(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.parametrize("seed", ["-1", str(2**32)])
def test_an_impossible_seed_is_one_sentence_before_any_work(birds, tmp_path, seed, monkeypatch):
    monkeypatch.setattr("hclnet.workflows.datasets.read", lambda *_: pytest.fail("work began"))
    for verb in (["train", birds], ["compare", birds]):
        code, told = said(*verb, "--seed", seed, "--size", 64, "--out", tmp_path / "out")
        assert code == 2 and f"seed: {seed} is not a seed; take a whole number from 0 to 4,294,967,295" in told
    code, told = said("compare", birds, "--seed", 2**32 - 1, "--seeds", 2, "--size", 64, "--out", tmp_path / "out")
    assert code == 2 and "seed: 4294967296 is not a seed" in told
    assert not (tmp_path / "out").exists()


def test_going_on_with_a_run_that_is_not_there(run, birds):
    shutil.copytree(run, run.with_name("mine-1"))
    (run.parent / "mine-2").mkdir()  # no run
    for name, near in (("mine1", "mine-1"), ("rum", "run")):
        with pytest.raises(ValueError, match=rf"no run in .*{name} to go on with\. Do you mean {run.parent}/{near}\?"):
            hclnet.train(birds, run.parent / name, resume=True)
        assert not (run.parent / name).exists()
    with pytest.raises(
        ValueError, match=r"no run in .*/xyz to go on with\. Without --resume a new one begins there\.$"
    ):
        hclnet.train(birds, run.parent / "nowhere" / "xyz", resume=True)
    with pytest.raises(ValueError, match=r"no run in .*mine-2 to go on with"):
        hclnet.train(birds, run.parent / "mine-2", resume=True)


def test_what_was_stopped_before_its_first_epoch_goes_on_with_its_own_settings(birds, tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    recipe = {"size": 64, "epochs": 1, "device": "cpu", "report": False}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("hclnet.training.run.train_run", stopped)
        hclnet.train(birds, tmp_path / "run", method="cam", **recipe)
    result = hclnet.train(birds, tmp_path / "run", resume=True, report=False)
    assert result.finished and (result.localizer.method.name, result.localizer.size) == ("cam", 64)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_may_not_be_written_is_told_of_before_the_work(birds, tmp_path, monkeypatch):
    tmp_path.chmod(0o555)
    monkeypatch.setattr("hclnet.training.run.train_run", lambda *_: pytest.fail("work began"))
    with pytest.raises(ValueError, match="can't be written: permission denied"):
        hclnet.train(birds, tmp_path / "run", size=64, report=False)


def test_a_disk_without_room_is_told_of_before_the_work(birds, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("hclnet.storage.shutil.disk_usage", lambda _: usage)
    monkeypatch.setattr("hclnet.training.fitting.pl.Trainer", lambda **_: pytest.fail("work began"))
    with pytest.raises(ValueError, match=r"needs 0\.\d+ GB and its disk has 1e-06 GB free"):
        hclnet.train(birds, tmp_path / "run", size=64, device="cpu", report=False)


def test_names_that_are_no_unicode_go_all_the_way(birds, tmp_path):
    """A class folder in Latin-1 as old archives leave it, one that is a lone byte, and one with a comma and a quote."""
    names = [b"caf\xe9", b"\xff", b'a, "b"']
    pictures = sorted((birds / "images").rglob("*.jpg"))
    data = tmp_path / "data"
    try:
        for k, name in enumerate(names):
            (data / os.fsdecode(name)).mkdir(parents=True)
            for picture in pictures[6 * k : 6 * k + 5]:
                shutil.copy(picture, data / os.fsdecode(name))
    except OSError:
        pytest.skip("the file system takes unicode only")
    out = str(tmp_path / "run")
    assert said("train", data, "--size", 64, "--epochs", 1, "--method", "cam", "--out", out)[0] == 0
    started = time.monotonic()
    assert said("train", data, "--out", out, "--resume")[0] == 0 and time.monotonic() - started < 60
    code, told = said("evaluate", out)
    assert code == 0, told
    localizer = hclnet.load(out, "cpu")
    assert {os.fsencode(name) for name in localizer.classes} == set(names)
    table = (tmp_path / "run" / "evaluation" / "test" / "classes.csv").read_bytes()
    assert b"caf\xe9,1," in table and b"\xff,1," in table
    assert "caf\\udce9" in (tmp_path / "run" / "evaluation" / "test" / "report.html").read_text(encoding="utf-8")
    found = localizer.locate(next((data / os.fsdecode(names[0])).iterdir()), classes=[os.fsdecode(names[0])])
    assert os.fsencode(found.label) == names[0]
    assert said("calibrate", out, "--rejection", "--split", "train")[0] == 0
    (row,) = compare(data, ["cam"], tmp_path / "cmp", size=64, epochs=1, device="cpu")
    assert row["images"] == 3 and b"caf\xe9" in (tmp_path / "cmp" / "classes.csv").read_bytes()
