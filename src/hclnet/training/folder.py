"""What a run folder holds besides checkpoints and the localizer. Reading it needs no Lightning."""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from hclnet.config import RunConfig
from hclnet.device import PRECISIONS, precision_name, resolve_device, resolve_precision
from hclnet.localizer import Localizer

_PACKAGES = ("hclnet", "torch", "torchvision", "timm", "lightning", "numpy", "numba", "pillow", "safetensors")


class CheckpointError(ValueError):
    """A run folder is not as it has to be."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training came to.

    Attributes:
        localizer: trained as far as it went.
        finished: all epochs are done; False after an interruption.
        epochs: whole epochs that are done.
        seconds: of this call.
    """

    localizer: Localizer
    finished: bool
    epochs: int
    seconds: float


def is_finished(out: Path) -> bool:
    """Whether a run folder holds a training that went to its end."""
    try:
        return bool(json.loads((out / "state.json").read_text(encoding="utf-8"))["finished"])
    except (OSError, ValueError, KeyError):
        return False


def prepare_run(config: RunConfig, out: Path, resume: bool = False) -> None:
    """Make a run folder, or check that the one there can be resumed.

    A run that stopped before its first epoch was whole has nothing to lose: it is begun again. One that goes on does
    so in the precision that it was begun in, even on a machine where `auto` is the other one.

    Raises:
        CheckpointError: the folder has a run already and `resume` is not set, or its configuration is another.
    """
    settings, begun = out / "config.yaml", None
    if has_progress(out):
        begun = precision_of(out)
        if not resume:
            raise CheckpointError(f"{out} has a run already. Go on with --resume, or name another folder with --out.")
        before, now = RunConfig.load(settings).training_key(), config.training_key()
        if changed := [key for key in now if before[key] != now[key]]:
            told = ", ".join(f"{key} was {before[key]!r}, now {now[key]!r}" for key in changed)
            raise CheckpointError(f"{out} can't be resumed with another configuration: {told}.")
    elif out.exists() and not settings.exists() and any(out.iterdir()) and not resume:
        raise CheckpointError(f"{out} is not empty and holds no run. Name another folder with --out.")
    out.mkdir(parents=True, exist_ok=True)
    config.write(settings)
    device = resolve_device(config.device)
    computed = {
        "device": str(device),
        "precision": begun or precision_name(resolve_precision(config.precision, device, training=True)),
    }
    write_json(out / "environment.json", {**environment(), **computed}, indent=2)
    write_json(out / "state.json", {"finished": False, "epochs": 0, "seconds": 0.0})


def precision_of(out: Path) -> str | None:
    """The precision that a run was begun in, float32 or bfloat16; None for runs of before that was recorded."""
    try:
        found = json.loads((out / "environment.json").read_text(encoding="utf-8")).get("precision")
    except (OSError, ValueError, AttributeError):
        return None
    return found if found in PRECISIONS else None


def has_progress(out: Path) -> bool:
    """Whether a run folder holds anything that was learnt."""
    return (out / "checkpoints" / "last.ckpt").is_file() or (out / "localizer").is_dir()


def environment() -> dict[str, object]:
    """The versions and the machine, as a run folder keeps them."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "command": sys.argv,
    }


def write_json(path: Path, content: dict[str, object] | list[dict[str, object]], indent: int | None = None) -> None:
    """Replaced whole, or on error not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(content, indent=indent) + "\n", encoding="utf-8")
    part.replace(path)
