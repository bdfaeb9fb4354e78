"""`--backbone timm:NAME`: any model of timm that gives spatial features.

timm's `forward_intermediates` gives the features of convolutional networks and of transformers alike: as maps, without
class and register tokens, and no later block is run than is needed. Position embeddings are interpolated at every size.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from hclnet.backbones.anatomy import Anatomy, anatomy, attention_rows, intermediates
from hclnet.backbones.backbone import ATTENTION, CLASS_TOKEN, Backbone
from hclnet.backbones.stages import FeatureHook, Features, StageInfo

PREFIX = "timm:"
_NARROWEST, _WIDEST = 64, 512  # channels of a branch


class TimmStages(nn.Module):
    """A model of timm without its head, as stages.

    Args:
        model: with its head.
        found: what it is.
    """

    def __init__(self, model: nn.Module, found: Anatomy) -> None:
        super().__init__()
        # Models that average the tokens before they normalize have the norm in their head.
        norm, of_head = getattr(model, "norm", None), getattr(model, "fc_norm", None)
        late = isinstance(norm, nn.Identity) and isinstance(of_head, nn.LayerNorm)
        self.final: nn.Module = of_head if late and isinstance(of_head, nn.Module) else nn.Identity()
        indices = [k for k, _ in found.stages.values()]
        model.prune_intermediate_layers(indices, prune_norm=False, prune_head=True)  # type: ignore[operator] # as above
        self.model = model
        self.found = found

    def walk(self, images: Float[Tensor, "b 3 h w"], wanted: Collection[str], change: FeatureHook | None) -> Features:
        """Features of the wanted stages, as `hclnet.backbones.Backbone.forward` has them."""
        found, last = self.found, self.found.last
        extras = {ATTENTION, CLASS_TOKEN}.intersection(wanted)
        run = [name for name in found.stages if name in wanted or (extras and name == last)]
        more: dict[str, Any] = {"stop_early": True}
        if CLASS_TOKEN in extras:
            more["return_prefix_tokens"] = True
        with ExitStack() as stack:
            rows = stack.enter_context(attention_rows(self.model, self._prefix)) if ATTENTION in extras else []
            if change is not None:
                stack.enter_context(self._changed(change, run[-1]))
            indices = [found.stages[name][0] for name in run]
            outputs = intermediates(self.model, fitting(images, found.multiple), indices, found.normed, **more)
        features: Features = {}
        for name, output in zip(run, outputs, strict=True):
            maps, tokens = output if CLASS_TOKEN in extras else (output, None)
            features[name] = self._normed(maps)
            if tokens is not None and name == last:
                features[CLASS_TOKEN] = self._normed(tokens[:, 0, :, None, None])
        if rows:
            height, width = features[last].shape[2:]
            features[ATTENTION] = torch.stack(rows, 1).unflatten(2, (height, width))
        return features

    @property
    def _prefix(self) -> int:
        return int(getattr(self.model, "num_prefix_tokens", 0))

    def _normed(self, maps: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        if isinstance(self.final, nn.Identity):
            return maps
        normed: Tensor = self.final(maps.permute(0, 2, 3, 1))
        return normed.permute(0, 3, 1, 2)

    @contextmanager
    def _changed(self, change: FeatureHook, last: str) -> Iterator[None]:
        """While it is entered, each stage up to the last one puts out what `change` makes of its features."""
        channels_last = getattr(self.model, "output_fmt", "NCHW") == "NHWC"

        def hook(name: str, _module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
            if channels_last:
                return change(name, output.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            return change(name, output)

        names = list(self.found.stages)
        with ExitStack() as stack:
            for name in names[: names.index(last) + 1]:
                module = self.model.get_submodule(self.found.modules[name])
                stack.callback(module.register_forward_hook(partial(hook, name)).remove)
            yield


def fitting(images: Float[Tensor, "b 3 h w"], step: int) -> Float[Tensor, "b 3 fh fw"]:
    """Images of the nearest size whose sides are multiples of a step, such as a model's patches."""
    height, width = (max(step, round(side / step) * step) for side in images.shape[2:])
    if (height, width) == tuple(images.shape[2:]):
        return images
    return F.interpolate(images, (height, width), mode="bilinear", align_corners=False)


def is_model(name: str) -> bool:
    """Whether timm has a model of this name."""
    return bool(timm.is_model(name.partition(".")[0]))


def branch_width(channels: int) -> int:
    """Channels of a branch: the largest power of two that is not above those of the features, from 64 to 512."""
    return min(max(1 << (channels.bit_length() - 1), _NARROWEST), _WIDEST)


def build(name: str, output_stride: int) -> Backbone:
    """The backbone of a model of timm, by timm's name, with random weights.

    Raises:
        ValueError: the model can't be a backbone, or can't have this output stride.
    """
    found = anatomy(name, output_stride)
    model: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **found.options)
    tensors = dict(model.state_dict(keep_vars=True))
    stages = TimmStages(model, found)
    info = {stage: told for stage, (_, told) in found.stages.items()}
    channels = info[found.last].channels
    extras = {}
    if found.class_token:
        extras[CLASS_TOKEN] = StageInfo(channels, 0)
    if found.blocks:
        extras[ATTENTION] = StageInfo(found.blocks, info[found.last].stride)
    return of_timm(
        PREFIX + name, model, stages, info, found.last, tensors=tensors, extras=extras, side=found.side,
        changeable=found.changeable,
    )  # fmt: skip


def of_timm(
    name: str,
    model: nn.Module,
    stages: nn.Module | dict[str, nn.Module],
    info: dict[str, StageInfo],
    last: str,
    width: int | None = None,
    tensors: dict[str, Tensor] | None = None,
    **more: Any,
) -> Backbone:
    """A backbone that is made of a model of timm, and sees images as timm says of the model.

    Args:
        name, stages, info, last: as of `Backbone`.
        model: of which the stages are.
        width: channels of a branch; by default those that `branch_width` says.
        tensors: of the model before it was pruned; by default those that it has.
        more: what else a `Backbone` is told.
    """
    config: Any = model.pretrained_cfg
    width = branch_width(info[last].channels) if width is None else width
    mean, std = tuple(config["mean"]), tuple(config["std"])
    return Backbone(name, stages, info, last, width, mean, std, tensors or model, **more)
