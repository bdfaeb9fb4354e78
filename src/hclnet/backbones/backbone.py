"""The interface of every backbone: features of named stages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from hclnet.backbones.folding import folded
from hclnet.backbones.stages import FeatureHook, Features, StageInfo, StageList

__all__ = ["ATTENTION", "CLASS_TOKEN", "Backbone", "FeatureHook", "Features", "StageInfo", "StageList", "Walker"]

ATTENTION = "attention"
"""Attention of the class token to each patch, the mean over the heads: a channel for each block."""
CLASS_TOKEN = "class_token"
"""The class token after the last block, normalized as its head would have it: b x d x 1 x 1."""


class Walker(Protocol):
    """What computes features of stages; also a `torch.nn.Module`."""

    def walk(self, images: Float[Tensor, "b 3 h w"], wanted: Collection[str], change: FeatureHook | None) -> Features:
        """Features of the wanted stages, in their order."""
        ...


class Backbone(nn.Module):
    """A backbone: named stages in order, and what walks through them.

    Attributes:
        name: as given to `--backbone`.
        stages: what walks: the modules in order, by name (`StageList`), or a whole model.
        info: channels and stride by stage. `stageK` has stride 2^K, or a smaller one where the output stride says so; a
            transformer that has one resolution has stages `blockK`. A pool ends the stage before it.
        extras: channels and stride of what it can tell besides, by name: `ATTENTION`, `CLASS_TOKEN`. They are asked
            for as stages are.
        last: the stage that class maps are computed from unless a method says otherwise.
        branch_width: channels of the 3x3 convolutions of a classifier branch on this backbone.
        mean, std: of the input, per channel, for images in 0..1.
        side: the only side that images can have, pixels; None: any.
        changeable: whether what a stage puts out can be changed while walking.
        reentrant: whether several threads may walk at a time: no module holds what it computes for one image.
        names: the backbone's name of each tensor, by its name in the model that the stages were taken from.
        levels: the stages that make up the last one's features, in order; itself alone unless `combine_levels` said
            otherwise.
    """

    def __init__(
        self,
        name: str,
        stages: dict[str, nn.Module] | nn.Module,
        info: dict[str, StageInfo],
        last: str,
        branch_width: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        source: nn.Module | Mapping[str, Tensor],
        *,
        extras: dict[str, StageInfo] | None = None,
        side: int | None = None,
        changeable: bool = True,
        reentrant: bool = False,
    ) -> None:
        super().__init__()
        self.name = name
        self.stages = StageList(stages) if isinstance(stages, dict) else stages
        self.info = info
        self.extras = extras or {}
        self.last = last
        self.branch_width = branch_width
        self.mean = mean
        self.std = std
        self.side = side
        self.changeable = changeable
        self.reentrant = reentrant
        self.levels: tuple[str, ...] = (last,)
        own = {id(tensor): key for key, tensor in self.state_dict(keep_vars=True).items()}
        tensors = source.state_dict(keep_vars=True) if isinstance(source, nn.Module) else source
        self.names = {name: own[id(tensor)] for name, tensor in tensors.items() if id(tensor) in own}
        self.unused = frozenset(tensors) - frozenset(self.names)

    @property
    def output_stride(self) -> int:
        """Pixels of the image per feature of the last stage."""
        return self.info[self.last].stride

    def finer(self, stage: str) -> str | None:
        """The last stage of a smaller stride than this one's; None if there is none."""
        names = list(self.info)
        before = [one for one in names[: names.index(stage)] if self.info[one].stride < self.info[stage].stride]
        return before[-1] if before else None

    def combine_levels(self, count: int) -> Backbone:
        """Multi-level features: let the features of the last stage be those of the last `count` stages, side by side at
        its grid. To be called once. Returns the backbone.

        What comes after the last stage, such as a head, still sees the last one's own channels. A stage with a finer
        grid is averaged down.

        Raises:
            ValueError: the backbone has fewer stages.
        """
        assert self.levels == (self.last,)
        names = list(self.info)
        here = names[: names.index(self.last) + 1]
        if not 1 <= count <= len(here):
            raise ValueError(f"{self.name} has {len(here)} stages; the features of {count} can't be combined.")
        self.levels = tuple(here[-count:])
        channels = sum(self.info[name].channels for name in here[-count:])
        self.info[self.last] = StageInfo(channels, self.info[self.last].stride)
        return self

    def forward(
        self, images: Float[Tensor, "b 3 h w"], wanted: Iterable[str], change: FeatureHook | None = None
    ) -> Features:
        """Features of the wanted stages; stages after the last wanted one are not run.

        Args:
            images: normalized by `mean` and `std`.
            wanted: names of stages, or of `extras`.
            change: called with each stage's name and output while walking; what it returns goes on (ADL).
        """
        named = set(wanted)
        known = {*self.info, *self.extras}
        assert named <= known, f"{named - known} are not stages of {self.name}"
        levels = self.levels if self.last in named else ()
        walker: Walker = self.stages  # type: ignore[assignment] # a module that also is one
        found = walker.walk(images, named.union(levels), change)
        if len(levels) > 1:
            found[self.last] = _side_by_side([found[name] for name in levels[:-1]], found[self.last])
        return {name: features for name, features in found.items() if name in named}

    def folded(self) -> Backbone:
        """A copy for inference, with batch norms folded into the convolutions before them: a third less time.

        The copy is compared with the backbone on a drawn image. Where it computes something else, as in a model that
        uses a batch norm in a way of its own, it is a copy without folding.
        """
        return folded(self, list(self.info), self.side or 64)


def _side_by_side(before: list[Float[Tensor, "b _ _ _"]], last: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
    size = (last.shape[2], last.shape[3])
    return torch.cat([x if x.shape[2:] == size else F.adaptive_avg_pool2d(x, size) for x in before] + [last], 1)
