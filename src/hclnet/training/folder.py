"""What a run folder holds besides checkpoints and the localizer. Reading it needs no Lightning."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from hclnet.config import RunConfig
from hclnet.device import PRECISIONS, precision_name, resolve_device, resolve_precision
from hclnet.documents import parse_json
from hclnet.localizer.localizer import Localizer
from hclnet.storage import OWNER_FILES, write_json

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
        trained: False if the run was finished before, and at most got what it lacked.
    """

    localizer: Localizer
    finished: bool
    epochs: int
    seconds: float
    trained: bool = True


def is_finished(out: Path) -> bool:
    """Whether a run folder holds a training that went to its end."""
    try:
        return bool(parse_json((out / "state.json").read_text(encoding="utf-8"))["finished"])
    except (OSError, ValueError, KeyError):
        return False


def prepare_run(config: RunConfig, out: Path, resume: bool = False) -> None:
    """Make a run folder, or check that the one there can be resumed.

    A run that stopped before its first epoch was whole has nothing to lose: it is begun again. One that goes on does
    so in the precision that it was begun in, even on a machine where `auto` is the other one.

    Raises:
        CheckpointError: the folder has a run already and `resume` is not set, or its configuration is another.
    """
    begun = precision_of(out) if has_progress(out) else None
    if not resume:
        check_free(out)
    elif has_progress(out):
        check_resumable(config, out)
    out.mkdir(parents=True, exist_ok=True)
    config.write(out / "config.yaml")
    device = resolve_device(config.device)
    computed = {
        "device": str(device),
        "precision": begun or precision_name(resolve_precision(config.precision, device, training=True)),
    }
    write_json(out / "environment.json", {**environment(), **computed}, indent=2)
    write_json(out / "state.json", {"finished": False, "epochs": 0, "seconds": 0.0})


def check_free(out: Path) -> None:
    """Whether a new run can begin in a folder.

    Raises:
        CheckpointError: it has a run that learned something, or anything else.
    """
    if has_progress(out):
        raise CheckpointError(f"{out} has a run already. Go on with --resume, or name another folder with --out.")
    if not is_run(out) and _is_used(out):
        raise CheckpointError(f"{out} is not empty and holds no run. Name another folder with --out.")


def check_resumable(config: RunConfig, out: Path) -> None:
    """Whether a run can go on with a configuration.

    Raises:
        CheckpointError: what it has learned was learned with another one.
    """
    before, now = RunConfig.load(out / "config.yaml").training_key(), config.training_key()
    if changed := [key for key in now if before[key] != now[key]]:
        changes = ", ".join(f"{key} was {before[key]!r}, now {now[key]!r}" for key in changed)
        raise CheckpointError(f"{out} can't be resumed with another configuration: {changes}.")


def is_run(out: Path) -> bool:
    """Whether a folder is that of a run, however far it came."""
    return (out / "config.yaml").is_file() or has_progress(out)


def _is_used(out: Path) -> bool:
    """Whether there is anything in a folder besides what says whose it is."""
    return out.exists() and not {path.name for path in out.iterdir()} <= OWNER_FILES


def precision_of(out: Path) -> str | None:
    """The precision that a run was begun in, float32 or bfloat16; None for runs of before that was recorded."""
    try:
        found = parse_json((out / "environment.json").read_text(encoding="utf-8")).get("precision")
    except (OSError, ValueError, AttributeError):
        return None
    return found if found in PRECISIONS else None


def has_progress(out: Path) -> bool:
    """Whether a run folder holds anything that was learned."""
    return (out / "checkpoints" / "last.ckpt").is_file() or (out / "localizer").is_dir()


def environment() -> dict[str, object]:
    """The versions and the machine, as a run folder keeps them."""
    versions: dict[str, str | None] = {}
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
