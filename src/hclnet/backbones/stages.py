"""What walks through a backbone: stages of one's own, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

Features = dict[str, Float[Tensor, "b _ _ _"]]  # by stage, b x c x h x w
FeatureHook = Callable[[str, Float[Tensor, "b c h w"]], Float[Tensor, "b c h w"]]


@dataclass(frozen=True, slots=True)
class StageInfo:
    """Channels of a stage's features, and pixels of the image per feature (its stride)."""

    channels: int
    stride: int


class StageList(nn.ModuleDict):
    """Modules that run one after the other, by the name of the stage that each of them ends; it has no hooks."""

    def walk(self, images: Float[Tensor, "b 3 h w"], wanted: Collection[str], change: FeatureHook | None) -> Features:
        """Features of the wanted stages, as `hclnet.backbones.Backbone.forward` has them."""
        left, features, x = set(wanted), {}, images
        for name, stage in self.items():
            x = stage(x)
            if change is not None:
                x = change(name, x)
            if name in left:
                features[name] = x
                left.remove(name)
                if not left:
                    break
        return features
