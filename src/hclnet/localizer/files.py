"""A localizer in a folder: its weights as safetensors, and what it is made of as JSON."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from hclnet import __version__
from hclnet.backbones import Backbone, build_backbone
from hclnet.config import Inference, RunConfig, readable
from hclnet.device import resolve_device, resolve_precision
from hclnet.documents import parse_json
from hclnet.localizer.localizer import Localizer
from hclnet.maps.foreground import ForegroundScore
from hclnet.methods import Method, build_method, method_names
from hclnet.storage import whole, write_json
from hclnet.types import Gray

_FORMAT = 2
_OLD_PREFIXES = {"trunk.": "backbone.", "objectness.": "foreground."}  # of tensors in format 1
_WEIGHTS, _SETTINGS = "model.safetensors", "localizer.json"


def save(localizer: Localizer, folder: Path) -> None:
    """Write `model.safetensors` and `localizer.json`; each is replaced whole or not at all.

    Raises:
        ValueError: it is that of a classifier.
    """
    if localizer.method.name not in method_names() or localizer.backbone.last == "features":
        raise ValueError(
            "The localizer of a classifier is not saved: make it anew from the model, with Localizer.from_classifier "
            "or --classifier."
        )
    settings = {
        "format": _FORMAT,
        "hclnet": __version__,
        **_made_of(localizer),
        "inference": {**localizer.inference.model_dump(), "fusion": localizer.fusion},
        "precision": localizer.precision,
        "trained_precision": localizer.trained_precision,
        "classes": list(localizer.classes),
    }
    with whole(folder / _WEIGHTS) as part:
        part.write_bytes(to_bytes(_tensors(localizer)))  # `save_file` would make it the owner's alone to read
    write_json(folder / _SETTINGS, settings, indent=2)


def load(folder: Path, device: str | torch.device) -> Localizer:
    """The localizer in a run folder, or in the folder itself.

    Raises:
        ValueError: there is none, its files are damaged or of another version, or the device can't be used.
    """
    found = resolve_device(device)
    resolve_precision("auto", found)  # both are refused before anything is read
    home = folder / "localizer" if (folder / "localizer").is_dir() else folder
    if not (home / _SETTINGS).is_file():
        if (folder / "config.yaml").is_file():
            raise ValueError(
                f"{folder} holds no localizer yet: its training was cut off. Go on with hclnet train and --resume."
            )
        raise ValueError(f"{folder} holds no localizer ({_SETTINGS}). Give the folder that `hclnet train` wrote.")
    try:
        settings = parse_json((home / _SETTINGS).read_text(encoding="utf-8"))
        if settings["format"] not in (1, _FORMAT):
            raise ValueError(f"written by hclnet {settings['hclnet']}, in format {settings['format']}, not {_FORMAT}")
        classes = tuple(settings["classes"])
        built, chosen = settings["backbone"], settings["method"]
        backbone = build_backbone(built["name"], built["output_stride"], "none", built.get("stages", 1))
        method = build_method(chosen["name"], backbone, len(classes), chosen["options"])
        tensors = {_renamed(name): tensor for name, tensor in load_file(home / _WEIGHTS).items()}
        for part, module in (("backbone", backbone), ("method", method)):
            module.load_state_dict(
                {k.removeprefix(f"{part}."): v for k, v in tensors.items() if k.startswith(f"{part}.")}
            )
        size, inference = settings["preprocessing"]["size"], Inference(**settings["inference"])
        learned = _foreground(tensors, method, backbone, size, len(classes))
        gray = Gray.of(settings["preprocessing"].get("gray"))
        localizer = Localizer(backbone, method, classes, size, inference, settings["precision"], learned, gray)
        localizer.trained_precision = settings.get("trained_precision")
        localizer.origin = _origin(folder if home != folder else folder.parent)
    except KeyError as error:
        raise ValueError(f"The localizer in {home} can't be loaded: {_SETTINGS} has no {error}.") from None
    except (OSError, TypeError, AttributeError, ValueError, RuntimeError, SafetensorError) as error:
        reason = " ".join(readable(error).split())
        raise ValueError(f"The localizer in {home} can't be loaded: {reason}") from None
    return localizer.to(found)


def fingerprint(localizer: Localizer) -> str:
    """Equal for localizers that have the same weights and classes and see images alike; settings of maps and boxes
    are apart from it."""
    used = {f"foreground.{view.size}." for view in localizer.views}
    digest = hashlib.sha256(json.dumps([_made_of(localizer), localizer.classes]).encode())
    for name, tensor in sorted(_tensors(localizer).items()):
        if not name.startswith("foreground.") or name.startswith(tuple(used)):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _made_of(localizer: Localizer) -> dict[str, Any]:
    # Runs of version 0.1 have no entry.
    scale, backbone = localizer.gray, localizer.backbone
    gray = {} if scale.by_depth else {"gray": {"whole": scale.whole, "fractions": scale.fractions}}
    seen = {"resize": "squash", "size": localizer.size, "mean": backbone.mean, "std": backbone.std, **gray}
    return {
        "backbone": {
            "name": backbone.name,
            "output_stride": backbone.output_stride,
            "stages": len(backbone.levels),
        },
        "method": {"name": localizer.method.name, "options": localizer.method.options.model_dump()},
        "preprocessing": seen,
    }


def _tensors(localizer: Localizer) -> dict[str, torch.Tensor]:
    tensors = {
        f"{part}.{key}": tensor.detach().cpu().contiguous()
        for part, module in (("backbone", localizer.backbone), ("method", localizer.method))
        for key, tensor in module.state_dict().items()
    }
    for side, one in localizer.foreground.items():
        parts = {"weight": one.weight, "bias": one.bias, "fine": one.fine}
        tensors |= {f"foreground.{side}.{k}": v.cpu().contiguous() for k, v in parts.items() if v is not None}
    return tensors


def _renamed(tensor: str) -> str:
    """The name of a tensor in this format."""
    for old, now in _OLD_PREFIXES.items():
        if tensor.startswith(old):
            return now + tensor.removeprefix(old)
    return tensor


def _origin(run: Path) -> tuple[str, str] | None:
    """Data and folder of a run, for a command that a person can call."""
    with suppress(ValueError):
        return RunConfig.load(run / "config.yaml").data, str(run)
    return None


def _foreground(
    tensors: dict[str, torch.Tensor], method: Method, backbone: Backbone, size: int, classes: int
) -> dict[int, ForegroundScore]:
    """What was saved of it, by side. Localizers of before there was such a thing have none."""
    stage = method.foreground_feature
    finer = backbone.finer(stage)
    found: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("foreground."):
            side, _, part = key.removeprefix("foreground.").rpartition(".")
            found.setdefault(int(side or size), {})[part] = tensor  # without a side: of when there was only one
    for parts in found.values():
        shapes = {part: tuple(tensor.shape) for part, tensor in parts.items()}
        rows = (classes,) if "fine" in parts else ()  # those learned from maps, as in version 0.1, read one stage
        right = {"weight": (*rows, backbone.info[stage].channels), "bias": rows}
        if "fine" in parts:
            right["fine"] = (*rows, backbone.info[finer].channels if finer else 0)
        if shapes != right:
            raise ValueError(f"its foreground score has {shapes}, which is not for {stage} of {backbone.name}")
    return {side: ForegroundScore(**parts) for side, parts in found.items()}
