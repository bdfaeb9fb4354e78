"""Weights of a backbone: from a file, a package that installs with pip, or timm's hub. Never silently random."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping, Set
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from hclnet.backbones.backbone import Backbone

# What torchvision and timm call the tensors after the backbone.
_CLASSIFIER = ("classifier.", "fc.", "head.", "head_dist.", "pre_logits.")
# Where a checkpoint keeps the state dict; DINO's has a teacher and a student, and the teacher is the model.
_WRAPPERS = ("state_dict", "model", "teacher")
_MOST = 3  # names in a message

Tensors = Mapping[str, Tensor]


class Misfit(ValueError):
    """Tensors are not those of the backbone; the text says which."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The named tensors in a safetensors file or a file of torch's; the content decides which of them it is.

    A state dict inside of a checkpoint, under `state_dict`, `model` or `teacher`, is found.

    Raises:
        ValueError: the file is missing, damaged, of another kind, or needs objects besides tensors to be made.
    """
    if not path.is_file():
        raise ValueError(f"There is no weights file {path}. --weights takes auto, none or a file.")
    with path.open("rb") as file:
        head = file.read(9)
    try:
        if head[8:] == b"{":
            found: object = load_file(path)
        elif head[:4] == b"PK\x03\x04" or head[:1] == b"\x80":
            found = torch.load(path, map_location="cpu", weights_only=True)
        else:
            raise ValueError("it is neither safetensors nor a file of torch's")
    except pickle.UnpicklingError:
        raise ValueError(
            f"{path} is damaged, or holds objects besides tensors, which could run any program: it is not opened. "
            f"Where you trust it, load it and save its state dict alone, as safetensors or by torch.save."
        ) from None
    except Exception as error:  # a damaged file can fail in any way
        raise ValueError(f"{path} can't be read as weights: {reason_of(error)}.") from None
    for wrapper in _WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(wrapper), dict):
            found = found[wrapper]
    tensors = {k: v for k, v in found.items() if isinstance(v, Tensor)} if isinstance(found, dict) else {}
    if not tensors:
        raise ValueError(f"{path} holds no named tensors. --weights takes a file of a model's state dict.")
    return tensors


def fit(backbone: Backbone, tensors: Tensors) -> dict[str, Tensor]:
    """The backbone's state dict from tensors under the names of timm and torchvision, of the backbone itself, or of any
    library that keeps the same tensors in the same order.

    A prefix that all share (`module.`, a localizer's `backbone.`) and the tensors of a classifier are left out.

    Raises:
        Misfit: tensors are missing, too many or of another shape.
    """
    own = backbone.state_dict()
    for names in (backbone.names, {key: key for key in own}):
        if (prefix := common_prefix(names, tensors)) is not None:
            inner = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            return by_name(own, names, inner, backbone.unused)
    if _kinds(list(tensors.items())[: len(own)]) == _kinds(own.items()):
        return dict(zip(own, tensors.values()))
    raise Misfit(f"it has {_some(list(tensors))}, and nothing that is called {_some(list(backbone.names))}")


def by_name(
    own: Tensors,
    names: Mapping[str, str],
    tensors: Tensors,
    unused: Set[str] = frozenset(),
    heads: tuple[str, ...] = _CLASSIFIER,
) -> dict[str, Tensor]:
    """A state dict from tensors under other names.

    Args:
        own: the state dict as it is.
        names: its names, by those of the tensors.
        tensors: that are to be in it.
        unused: names that the tensors may have besides.
        heads: how the names begin of a classifier's tensors, which they may have besides.

    Raises:
        Misfit: tensors are missing, too many or of another shape.
    """
    known = {*names, *unused}
    # Files from before batch norms counted their batches don't have the counter, which nothing here reads.
    optional = {name for name in names if name.endswith("num_batches_tracked")}
    missing = [name for name in names if name not in tensors and name not in optional]
    extra = [name for name in tensors if name not in known and not name.startswith(heads)]
    shapes = [
        f"{name} is {_shape(tensors[name])}, not {_shape(own[key])}"
        for name, key in names.items()
        if name in tensors and _kind(tensors[name]) != _kind(own[key])
    ]
    found = {"missing": missing, "too many": extra, "misshaped": shapes}
    if wrong := [f"{what}: {_some(which)}" for what, which in found.items() if which]:
        raise Misfit("; ".join(wrong))
    return {key: tensors.get(name, own[key]) for name, key in names.items()}


def reason_of(error: Exception) -> str:
    """The first sentence of what an exception says, or its name where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].partition(". ")[0].rstrip(".")


def common_prefix(names: Iterable[str], tensors: Tensors) -> str | None:
    """What comes before the first of the names in the tensors' names; None where they don't have it."""
    name = next(iter(names))
    found = [key for key in tensors if key == name or key.endswith(f".{name}")]
    return min(found, key=len).removesuffix(name) if found else None


def _kind(tensor: Tensor) -> tuple[tuple[int, ...], bool]:
    return tuple(tensor.shape), tensor.is_floating_point()


def _kinds(tensors: Iterable[tuple[str, Tensor]]) -> list[tuple[str, tuple[int, ...], bool]]:
    return [(name.rpartition(".")[2], *_kind(tensor)) for name, tensor in tensors]


def _shape(tensor: Tensor) -> str:
    sides = " x ".join(map(str, tensor.shape)) or "one number"
    return sides if tensor.is_floating_point() else f"{sides} integers"


def _some(names: list[str]) -> str:
    return ", ".join(names[:_MOST]) + (f" and {len(names) - _MOST} more" if len(names) > _MOST else "")
