"""The interface of every backbone: named stages that can be walked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

Features = dict[str, Float[Tensor, "b _ _ _"]]  # by stage, b x c x h x w
FeatureHook = Callable[[str, Float[Tensor, "b c h w"]], Float[Tensor, "b c h w"]]


@dataclass(frozen=True, slots=True)
class StageInfo:
    """Channels of a stage's features, and pixels of the image per feature (its stride)."""

    channels: int
    stride: int


class Backbone(nn.Module):
    """A backbone as a list of named stages; it has no hooks.

    Attributes:
        name: as given to `--backbone`.
        stages: the modules in order, by name. `stage1` ... `stage5` halve the resolution each (or keep it, where the
            output stride says so); a backbone may have more after them. A pool ends the stage before it.
        info: channels and stride by stage.
        last: the stage that class maps are computed from unless a method says otherwise.
        branch_width: channels of the 3x3 convolutions of a classifier branch on this backbone.
        mean, std: of the input, per channel, for images in 0..1.
        names: the backbone's name of each tensor, by its name in the model that the stages were taken from.
        levels: the stages that make up the last one's features, in order; itself alone unless `combine_levels` said
            otherwise.
    """

    def __init__(
        self,
        name: str,
        stages: dict[str, nn.Module],
        info: dict[str, StageInfo],
        last: str,
        branch_width: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        source: nn.Module,
    ) -> None:
        super().__init__()
        self.name = name
        self.stages = nn.ModuleDict(stages)
        self.info = info
        self.last = last
        self.branch_width = branch_width
        self.mean = mean
        self.std = std
        self.levels: tuple[str, ...] = (last,)
        own = {id(tensor): key for key, tensor in self.state_dict(keep_vars=True).items()}
        tensors = source.state_dict(keep_vars=True).items()
        self.names = {name: own[id(tensor)] for name, tensor in tensors if id(tensor) in own}

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
            wanted: names of stages.
            change: called with each stage's name and output while walking; what it returns goes on (ADL).
        """
        left, features, before, x = set(wanted), {}, [], images
        assert left <= set(self.stages), f"{left - set(self.stages)} are not stages of {self.name}"
        for name, stage in self.stages.items():
            x = stage(x)
            if change is not None:
                x = change(name, x)
            if name in self.levels[:-1] and self.last in left:
                before.append(x)
            if name in left:
                features[name] = _side_by_side(before, x) if name == self.last and before else x
                left.remove(name)
                if not left:
                    break
        return features

    def folded(self) -> Backbone:
        """A copy for inference with every batch norm folded into the convolution before it: a third less time."""
        copy = deepcopy(self).eval().requires_grad_(False)
        convolution: nn.Conv2d | None = None
        for name, module in list(copy.named_modules()):
            if isinstance(module, nn.Conv2d):
                convolution = module
            elif isinstance(module, nn.BatchNorm2d):
                # In every backbone here a batch norm is defined right after the convolution whose output it sees.
                assert convolution is not None and convolution.out_channels == module.num_features, name
                assert module.running_mean is not None and module.running_var is not None, name
                convolution.weight, convolution.bias = fuse_conv_bn_weights(
                    convolution.weight, convolution.bias, module.running_mean, module.running_var,
                    module.eps, module.weight, module.bias,
                )  # fmt: skip
                parent, _, own = name.rpartition(".")
                # timm's batch norms carry the activation that follows them.
                setattr(copy.get_submodule(parent), own, getattr(module, "act", nn.Identity()))
                convolution = None
        return copy


def _side_by_side(before: list[Float[Tensor, "b _ _ _"]], last: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
    size = (last.shape[2], last.shape[3])
    return torch.cat([x if x.shape[2:] == size else F.adaptive_avg_pool2d(x, size) for x in before] + [last], 1)
