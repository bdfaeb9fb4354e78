"""Weights of timm's models: from its hub, or from a file under the names of timm, torchvision or their authors."""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any

import timm
from huggingface_hub import errors
from torch import Tensor

from hclnet.backbones.anatomy import Anatomy, skeleton
from hclnet.backbones.weights import common_prefix, reason_of

_HUB = "https://huggingface.co"
# torchvision's names of a ViT's parts, and timm's. Its other models have timm's names, or timm's order of tensors.
_TORCHVISION_VIT = (
    (r"^class_token$", "cls_token"),
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^encoder\.pos_embedding$", "pos_embed"),
    (r"^encoder\.ln\.", "norm."),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.ln_(\d)\.", r"blocks.\1.norm\2."),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.self_attention\.in_proj_", r"blocks.\1.attn.qkv."),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.self_attention\.out_proj\.", r"blocks.\1.attn.proj."),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:linear_1|0)\.", r"blocks.\1.mlp.fc1."),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:linear_2|3)\.", r"blocks.\1.mlp.fc2."),
    (r"^heads\.(?:head\.)?", "head."),
)


def converted(found: Anatomy, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under timm's names, position embeddings at the model's size: as timm converts them when it loads weights.

    Tensors that timm can't convert come back as they are, and then do not fit.
    """
    model: Any = skeleton(found)
    names = list(model.state_dict())
    if prefix := common_prefix(names, tensors):
        tensors = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    if "class_token" in tensors and "conv_proj.weight" in tensors:
        tensors = {_timms(key): value for key, value in tensors.items()}
    module = sys.modules[type(model).__module__]
    convert = getattr(module, "checkpoint_filter_fn", None) or getattr(module, "_filter_fn", None)
    if convert is None:
        return tensors
    try:
        given = (dict(tensors), model)[: len(inspect.signature(convert).parameters)]
        result = convert(*given)
    except Exception:  # it is made for files that it knows
        return tensors
    return {key: value for key, value in result.items() if isinstance(value, Tensor)}


def _timms(name: str) -> str:
    for pattern, theirs in _TORCHVISION_VIT:
        name, count = re.subn(pattern, theirs, name)
        if count:
            break
    return name


def fetched(name: str, title: str, random: bool = True, address: str = "") -> dict[str, Tensor]:
    """The weights of a model, that timm names after it, from timm's hub or the disk that they were kept on.

    Args:
        name: timm's of the model, with or without the tag of the weights.
        title: of the model, in messages.
        random: whether it can start from random weights, which the messages then say.
        address: of the same weights in another place, for people without the hub; by default the one that timm tells.

    Raises:
        ValueError: there are none, they are neither there nor to be had, or they are gated; the message says what to
            do.
    """
    config: Any = timm.get_pretrained_cfg(name)
    repository = config.hf_hub_id
    anew = "start from random weights with --weights none" if random else ""
    if not (repository or config.url):
        raise ValueError(
            f"timm has no weights of {title}. Give a file of your own with --weights FILE{anew and f', or {anew}'}."
        )
    try:
        tensors: dict[str, Tensor]
        if repository:
            file = {"filename": config.hf_hub_filename} if config.hf_hub_filename else {}
            tensors = timm.models.load_state_dict_from_hf(repository, weights_only=True, **file)
        else:
            from torch.hub import load_state_dict_from_url

            tensors = load_state_dict_from_url(config.url, map_location="cpu", weights_only=True)
        return tensors
    except errors.GatedRepoError:
        raise ValueError(
            f"The weights of {title} are gated: accept their terms at {_HUB}/{repository}, log in with "
            f"`hf auth login` and call this again; or give a file with --weights FILE."
        ) from None
    except Exception as error:  # a network can fail in any way
        places = [f"{_HUB}/{repository}"] if repository else []
        place = " or ".join(filter(None, [*places, address or config.url]))
        raise ValueError(
            f"The weights of {title} are not on this machine and can't be had from timm's hub "
            f"({reason_of(error)}). Fetch them where there is a network, from {place}, and give the file with "
            f"--weights FILE, or copy the hub's cache and set HF_HOME{anew and f'; or {anew}'}."
        ) from None
