"""What a person's Ctrl-C and the machine's kill do to a real process, and what can be done afterwards."""

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import hclnet
from hclnet.training import is_finished

RECIPE = {"size": 64, "epochs": 3, "device": "cpu"}
ARGUMENTS = ["--size", "64", "--epochs", "3", "--device", "cpu", "--set", "width=8", "--set", "batch=4"]
PATIENCE = 200  # seconds; only a process that hangs takes them


@pytest.fixture(scope="module")
def whole(birds, tmp_path_factory):
    run = tmp_path_factory.mktemp("signals") / "run"
    hclnet.train(birds, run, report=False, width=8, batch=4, **RECIPE)
    return run


def signalled(which, folder, epoch, step, *arguments):
    """`hclnet` in a process of its own, sent a signal in the middle of a step; its exit code and what it said."""
    reached = folder / "reached"
    command = [sys.executable, Path(__file__).with_name("paused.py"), str(epoch), str(step), reached, *arguments]
    with (folder / "said").open("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        try:
            until = time.monotonic() + PATIENCE
            while not reached.exists() and process.poll() is None and time.monotonic() < until:
                time.sleep(0.05)
            process.send_signal(which)
            code = process.wait(PATIENCE)
        finally:
            process.kill()
        said.seek(0)
        return code, said.read()


def weights(run):
    return load_file(run / "localizer" / "model.safetensors")


def rows(run):
    with (run / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def assert_same_end(run, whole):
    ours, expected = weights(run), weights(whole)
    assert ours.keys() == expected.keys() and all(torch.equal(ours[key], expected[key]) for key in ours)
    assert rows(run) == rows(whole) and is_finished(run)


def test_a_killed_training_goes_on_to_the_same_end(birds, whole, tmp_path):
    run = tmp_path / "run"
    code, said = signalled(signal.SIGKILL, tmp_path, 1, 1, "train", birds, *ARGUMENTS, "--out", run)
    assert code == -signal.SIGKILL, said
    assert len(rows(run)) == 1 and not is_finished(run) and (run / "checkpoints" / "last.ckpt").is_file()
    result = hclnet.train(birds, run, report=False, resume=True, width=8, batch=4, **RECIPE)
    assert result.finished
    assert_same_end(run, whole)


def test_ctrl_c_leaves_a_usable_run(birds, whole, tmp_path):
    run = tmp_path / "run"
    code, said = signalled(signal.SIGINT, tmp_path, 1, 1, "train", birds, *ARGUMENTS, "--out", run)
    assert code == 130, said
    assert f"Stopped after 1 whole epochs. {run} can be used as it is, or go on with --resume." in said
    assert "Traceback" not in said and "Error" not in said

    localizer = hclnet.load(run)
    image = next((birds / "images").rglob("*.jpg"))
    assert localizer.locate(image).label in localizer.classes
    assert hclnet.evaluate(run, report=False, device="cpu").metrics["images"] == 6
    assert not is_finished(run)
    # One whole epoch and one step of the second, and no more, have been learned.
    assert not torch.equal(weights(run)["method.branches.0.classifier.bias"],
                           weights(whole)["method.branches.0.classifier.bias"])  # fmt: skip

    with pytest.raises(ValueError, match=f"{run} has a run already. Go on with --resume"):
        hclnet.train(birds, run, report=False, width=8, batch=4, **RECIPE)
    hclnet.train(birds, run, report=False, resume=True, width=8, batch=4, **RECIPE)
    assert_same_end(run, whole)
