"""Trainings in two processes: weights, signals, kills and what is left afterwards; how they are started."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import hclnet
from hclnet.config import RunConfig
from hclnet.training import is_finished, together
from hclnet.training.batches import ImageBatches
from hclnet.training.member import Job
from killing import is_there

RECIPE = {"size": 64, "epochs": 3, "device": "cpu", "width": 8, "batch": 5, "precision": "float32"}
SETTINGS = [f"--set={name}={value}" for name, value in RECIPE.items() if name not in ("size", "epochs", "device")]
TRAIN = ["train", "--size", "64", "--epochs", "3", "--device", "cpu", *SETTINGS]
PATIENCE = 200  # seconds; only a process that hangs takes them


@pytest.fixture(scope="module")
def whole(birds: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The weights that one process learns."""
    run = tmp_path_factory.mktemp("together") / "run"
    hclnet.train(birds, out=run, report=False, **RECIPE)
    return weights(run)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "localizer" / "model.safetensors")


def assert_close(run: Path, whole: dict[str, torch.Tensor]) -> None:
    ours = weights(run)
    assert ours.keys() == whole.keys() and is_finished(run)
    for name, value in whole.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-5)


class Waiting:
    """`hclnet train` in two processes, in the middle of the second step of the second epoch."""

    def __init__(self, data: Path, folder: Path) -> None:
        self.run, self.folder, self.said = folder / "run", folder, folder / "said"
        script = Path(__file__).with_name("waiting.py")
        verb = [*TRAIN, str(data), "--devices", "2", "--out", self.run]
        with self.said.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, script, folder, "1", "1", *verb], stdout=said, stderr=subprocess.STDOUT
            )
        self.wait_for(lambda: (folder / "reached").exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.said.read_text()
        self.others = [int((folder / f"process-{rank}").read_text()) for rank in (0, 1)]

    def wait_for(self, happened) -> None:
        until = time.monotonic() + PATIENCE
        while not happened():
            assert time.monotonic() < until, self.said.read_text()
            time.sleep(0.05)

    def ends(self) -> int:
        """Its exit code; by then, or soon after, no process is left."""
        code = self.process.wait(PATIENCE)
        self.wait_for(lambda: not any(map(is_there, self.others)))
        return code


@pytest.fixture
def waiting(birds: Path, tmp_path: Path) -> Iterator[Waiting]:
    one = Waiting(birds, tmp_path)
    yield one
    one.process.kill()
    one.process.wait()
    for process in filter(is_there, one.others):
        os.kill(process, signal.SIGKILL)


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[together._Member]]:
    """The processes that a training in this one has started. They are killed if it hangs."""
    started: list[together._Member] = []

    class Noted(together._Member):
        def __init__(self, *args) -> None:
            super().__init__(*args)
            started.append(self)

    monkeypatch.setattr(together, "_Member", Noted)
    timer = threading.Timer(PATIENCE, lambda: [member.process.kill() for member in started])
    timer.start()
    yield started
    timer.cancel()


def test_two_processes_with_one_each_that_decodes_learn_what_one_process_does(birds, tmp_path, members):
    recipe = {**RECIPE, "size": 32, "epochs": 1, "batch": 6, "tune": "all", "backbone": "timm:test_convnext"}
    recipe |= {"weights": "none", "report": False}
    hclnet.train(birds, out=tmp_path / "one", workers=0, **recipe)
    hclnet.train(birds, out=tmp_path / "two", workers=1, devices=2, **recipe)
    assert len(members) == 2 and not any(is_there(member.process.pid) for member in members)
    assert_close(tmp_path / "two", weights(tmp_path / "one"))


def test_if_one_process_cannot_be_started_none_is_left(tmp_path, members, monkeypatch):
    popen = subprocess.Popen

    def start_first_only(*args, **options):
        if members:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return popen(*args, **options)

    monkeypatch.setattr(together, "COMMAND", [sys.executable, "-c", f"import time; time.sleep({PATIENCE})"])
    monkeypatch.setattr(subprocess, "Popen", start_first_only)
    config, images = RunConfig(devices=2), ImageBatches([], 32, 2, 0)
    job = Job(config, ("a", "b"), images, tmp_path, "float32", "cpu", tmp_path / "meeting", tmp_path / "stopped")
    why = f"Process 2 of 2 of the training can't be started: {os.strerror(errno.EAGAIN)}. .* take fewer devices"
    with pytest.raises(ValueError, match=why):
        together._watched(job, lambda *_: None)
    assert len(members) == 1 and not is_there(members[0].process.pid)


@pytest.mark.slow
def test_ctrl_c_leaves_a_usable_run_that_goes_on_with_another_number_of_devices(waiting, birds, whole):
    waiting.process.send_signal(signal.SIGINT)
    assert waiting.ends() == 130, waiting.said.read_text()
    assert f"Stopped after 1 whole epochs. {waiting.run} can be used as it is" in waiting.said.read_text()
    assert "Traceback" not in waiting.said.read_text() and "Error" not in waiting.said.read_text()
    assert [path.name for path in (waiting.run / "checkpoints").iterdir()] == ["last.ckpt"]
    assert hclnet.load(waiting.run).locate(next((birds / "images").rglob("*.jpg"))).label
    assert hclnet.train(birds, out=waiting.run, report=False, resume=True, devices=1).finished
    assert_close(waiting.run, whole)


@pytest.mark.slow
def test_a_killed_process_ends_all_with_a_sentence(waiting, birds, whole):
    os.kill(waiting.others[1], signal.SIGKILL)
    assert waiting.ends() == 2, waiting.said.read_text()
    said = " ".join(waiting.said.read_text().split())
    assert (
        "Error: Process 2 of 2 of the training was ended by SIGKILL. The checkpoint of the last whole epoch is" in said
    )
    assert "Traceback" not in said
    assert hclnet.train(birds, out=waiting.run, report=False, resume=True, devices=1).finished
    assert_close(waiting.run, whole)


@pytest.mark.slow
def test_no_process_outlives_the_one_that_started_it(waiting):
    waiting.process.kill()
    assert waiting.ends() == -signal.SIGKILL, waiting.said.read_text()
    assert (waiting.run / "checkpoints" / "last.ckpt").is_file() and not is_finished(waiting.run)


@pytest.mark.slow
def test_a_script_needs_no_guard_around_its_main_part_and_errors_are_its_own(birds, tmp_path, whole):
    """Its processes do not run the script again. What stops one of them is raised here."""
    script = tmp_path / "script.py"
    script.write_text(
        "import hclnet\n"
        f"recipe, birds = {RECIPE!r}, {str(birds)!r}\n"
        "print('once')\n"
        f"print(hclnet.train(birds, out={str(tmp_path / 'run')!r}, report=False, devices=2, **recipe).finished)\n"
        "try:\n"
        f"    hclnet.train(birds, out={str(tmp_path / 'no')!r}, report=False, devices=2, **{{**recipe, 'lr': 1e30}})\n"
        "except ValueError as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=PATIENCE, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, finished, fault = done.stdout.splitlines()
    assert (first, finished) == ("once", "True")
    assert fault.startswith("Diverged The loss is not a number any more (epoch 1, step 2")
    assert_close(tmp_path / "run", whole)
    files = {path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert files == {
        "config.yaml", "environment.json", "data.csv", "data.json", "metrics.csv", "state.json",
        "checkpoints/last.ckpt",
        "localizer/localizer.json", "localizer/model.safetensors", ".hclnet.lock",
    }  # fmt: skip
