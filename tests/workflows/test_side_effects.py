"""What belongs to the caller is as it was after every verb: random states, filters, handlers, threads, variables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

import hclnet

RECIPE = {"size": 64, "epochs": 1, "device": "cpu", "report": False}

# In a process of its own: what checks annotations in tests draws random numbers itself. Everything is imported before
# the first look, since importing Lightning sets its loggers and adds filters of warnings.
CODE = """
import logging, os, random, signal, sys, warnings
from pathlib import Path
import lightning.pytorch, numpy as np, torch
from PIL import Image
import hclnet, hclnet.training.run
for name in dir(hclnet):
    getattr(hclnet, name)

def state():
    return {
        "python": random.getstate(), "numpy": np.random.get_state()[1].tolist(),
        "torch": torch.get_rng_state().tolist(),
        "threads": torch.get_num_threads(), "grad": torch.is_grad_enabled(), "dtype": torch.get_default_dtype(),
        "deterministic": torch.are_deterministic_algorithms_enabled(), "warnings": list(warnings.filters),
        "pillow": Image.MAX_IMAGE_PIXELS, "variables": dict(os.environ), "folder": os.getcwd(),
        "handlers": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "loggers": [logging.getLogger(name).level for name in ("", "lightning.pytorch", "lightning.fabric")],
    }

data, run, out = map(Path, sys.argv[1:])
image = next((data / "images").glob("*/*.jpg"))
recipe = dict(size=64, epochs=1, device="cpu", report=False)
verbs = {
    "train": lambda: hclnet.train(data, out=out / "run", **recipe),
    "train all": lambda: hclnet.train(data, out=out / "all", method="cam", tune="all", batch=6, **recipe),
    "compare": lambda: hclnet.compare(data, ["cam"], out / "compared", **recipe),
    "evaluate": lambda: hclnet.evaluate(run, out=out / "scored", device="cpu", report=False),
    "calibrate": lambda: hclnet.calibrate(out / "run", split="train", device="cpu"),
    "locate": lambda: hclnet.locate(image),
    "locate by a run": lambda: hclnet.locate(image, run),
    "locate_files": lambda: hclnet.locate_files(image, run, out / "located", device="cpu"),
    "load": lambda: hclnet.load(run, "cpu"),
}
random.seed(1), np.random.seed(2), torch.manual_seed(3)
for name, verb in verbs.items():
    before = state()
    try:
        verb()
    except ValueError as error:
        assert "images" in str(error), error  # of calibrate: too few
    after = state()
    for key in before:
        if after[key] != before[key]:
            print(f"{name} changes {key}")
print("done", len(verbs))
"""


def test_every_verb_leaves_the_process_as_it_was(birds: Path, trained: Path, tmp_path: Path):
    command = [sys.executable, "-W", "ignore", "-c", CODE, str(birds), str(trained), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.split("\n") == ["done 9", ""], done.stderr


def test_the_seed_does_not_depend_on_the_callers_random_states(birds: Path, tmp_path: Path):

    torch.manual_seed(1)
    first = hclnet.train(birds, out=tmp_path / "a", method="cam", **RECIPE)
    torch.manual_seed(2)
    again = hclnet.train(birds, out=tmp_path / "b", method="cam", **RECIPE)
    assert first.localizer.fingerprint() == again.localizer.fingerprint()
