"""What a method is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from hclnet.backbones.backbone import Backbone, Features
from hclnet.config import Strict
from hclnet.methods.branch import ClassMaps


@dataclass(frozen=True, slots=True)
class Output:
    """What a method makes of a batch.

    Attributes:
        logits: what the image is classified by; the target classes never touch them.
        branches: the class maps of each branch, A first.
        classes: for each image, the target class, which branches after A were conditioned on: the one that was given,
            or A's argmax.
        parts: what `loss` needs besides, by name.
    """

    logits: Float[Tensor, "b c"]
    branches: tuple[ClassMaps, ...]
    classes: Int64[Tensor, "b"]
    parts: dict[str, Tensor] = field(default_factory=dict)


class Method(nn.Module):
    """Stage features -> class maps, and the loss that teaches it.

    A subclass lives in a file of its own in `hclnet.methods` (or behind an `hclnet.methods` entry point), sets the
    class attributes, and implements `__init__(backbone, classes, options)` and `forward`. Nothing else has to know of
    it.

    Attributes:
        name: on the command line; the file's name.
        paper: the source, for `hclnet methods`.
        Options: the method's options with their defaults.
        options: those of this object. A subclass declares its own type of them.
        fusion: how its branches' maps are fused unless the user says otherwise; None: it has one branch.
        augments_batches: it changes images while training, which needs `--tune all`: features of changed images can't
            be cached.
        hooks_features: it changes what stages put out while training. With `--tune heads` only the stages that it reads
            can be changed, so that it acts only there.
        needs: what it asks of a backbone besides stages: `ATTENTION`, `CLASS_TOKEN`. They can be among `in_features`.
        frozen_note: what a frozen backbone (`--tune heads`) leaves of the method, where that is not all of it; people
            read it.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    Options: ClassVar[type[Strict]]
    fusion: ClassVar[str | None] = None
    augments_batches: ClassVar[bool] = False
    hooks_features: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    frozen_note: ClassVar[str] = ""
    options: Strict

    def __init__(self, backbone: Backbone, classes: int, options: Strict) -> None:
        super().__init__()
        if lacking := [name for name in self.needs if name not in backbone.extras]:
            raise ValueError(
                f"{self.name} needs a transformer that has a class token ({', '.join(lacking)}), such as "
                f"timm:deit_small_patch16_224, and {backbone.name} is none. Take another method or backbone."
            )
        self.options = options
        self.in_features: tuple[str, ...] = (backbone.last,)
        self.num_classes = classes
        self._last, self._foreground_feature = backbone.last, ""

    @property
    def foreground_feature(self) -> str:
        """The stage among `in_features` that the foreground score is learned from and reads: the backbone's last, or
        where the method does not read it, the last of `in_features`. A method may set another one."""
        default = self._last if self._last in self.in_features else self.in_features[-1]
        return self._foreground_feature or default

    @foreground_feature.setter
    def foreground_feature(self, stage: str) -> None:
        self._foreground_feature = stage

    def __call__(self, features: Features, classes: Int64[Tensor, "b"] | None = None) -> Output:
        """`forward` on features of any precision: where no autocast is at work, in that of the weights."""
        weights = next(self.parameters())
        if not torch.is_autocast_enabled(weights.device.type):
            features = {stage: x.to(weights.dtype) for stage, x in features.items()}
        output: Output = super().__call__(features, classes)
        return output

    def forward(self, features: Features, classes: Int64[Tensor, "b"] | None = None) -> Output:
        """Args:
        features: of the stages in `in_features`.
        classes: for each image, the target class; A's argmax by default.
        """
        raise NotImplementedError

    def augment_batch(
        self, images: Float[Tensor, "b 3 h w"], targets: Float[Tensor, "b c"], random: np.random.Generator
    ) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b c"]]:
        """What the backbone sees and learns in place of a batch, in training only and if `augments_batches`.

        Args:
            images: normalized, so that the mean color is 0; not to be changed in place.
            targets: class probabilities.
            random: of this step, a function of seed, epoch and step; all chance comes from it.
        """
        raise NotImplementedError

    def feature_hook(
        self, stage: str, features: Float[Tensor, "b d h w"], random: np.random.Generator
    ) -> Float[Tensor, "b d h w"]:
        """What goes on in place of a stage's output, in training only and if `hooks_features`.

        Args:
            stage: its name; stages come in the order in which they are walked.
            features: its output; not to be changed in place.
            random: as for `augment_batch`, and after it.
        """
        raise NotImplementedError

    def loss(self, output: Output, targets: Float[Tensor, "b c"]) -> dict[str, Float[Tensor, ""]]:
        """Named terms that are added up; `targets` are class probabilities.

        By default the cross entropy of every entry of `parts`, weight 1 each (eq. 6 with its missing minus sign).
        """
        return {name: F.cross_entropy(logits, targets) for name, logits in output.parts.items()}
