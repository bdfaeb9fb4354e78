"""HCLNet: hierarchical complementary learning (arXiv 2011.08014; Signal Processing: Image Communication 100, 2022)."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from hclnet.backbones.backbone import Backbone, Features
from hclnet.config import Strict
from hclnet.methods.base import Method, Output
from hclnet.methods.branch import Branch, ClassMaps
from hclnet.methods.minmax import minmax


class HCLNetOptions(Strict):
    """Numbers are the rows of the list of readings (docs/paper.md)."""

    branches: int = Field(2, ge=1, description="K; branch k sees features * prod over j < k of (1 - CAM_j) (row 14)")
    complement: Literal["ccam", "threshold"] = Field("ccam", description="1 - CAM, or ACoL's erasing (Table 4)")
    threshold: float = Field(0.7, gt=0, le=1, description="of complement=threshold")
    cam_range: Literal["minmax", "sigmoid"] = Field("minmax", description="how the CAM comes to lie in 0..1 (row 3)")
    gradient: Literal["detached", "attached"] = Field("detached", description="through 1 - CAM (row 4)")
    pools: Literal["none", "acol"] = Field("none", description="acol: its 3x3 maximum and mean after conv5-3 (row 5)")
    classify: Literal["first", "last", "mean"] = Field("first", description="branch that classifies (row 12)")
    width: int | None = Field(None, ge=1, description="channels of the 3x3 convolutions; None: by backbone (1024: VGG)")


def complement(cam: Float[Tensor, "b h w"], options: HCLNetOptions) -> Float[Tensor, "b h w"]:
    """What the next branch's features are multiplied by, 0..1: `1 - CAM` (section 3.2), or ACoL's mask."""
    normalized = torch.sigmoid(cam) if options.cam_range == "sigmoid" else minmax(cam)
    if options.complement == "threshold":
        return (normalized < options.threshold).to(normalized.dtype)
    return 1 - normalized


class HCLNet(Method):
    """Branch A sees the features, branch B sees `features * (1 - CAM of A)`, and so on for K branches.

    Readings (section numbers are the paper's):
        1: the complement multiplies the features, over all channels alike.
        2: the CAM is that of the target class: the true one in training, A's argmax or the user's at test.
        3: min-max per image at feature resolution in float32; a constant map gives a complement of ones.
        4: no gradient through the complement; it guides, as in ACoL.
        6: ReLU after both 3x3 convolutions, no dropout, Xavier initialization.
        12: A classifies. Another branch does so only conditioned on A's argmax, so that the target class, which in
            scoring is the true one, can't leak into the classification.
        13: cross entropies of all branches, weight 1 each.
        14: K = 2. K = 1 is the same head without a complement: a fair base line of equal depth.
    """

    name = "hclnet"
    paper = "Hierarchical Complementary Learning for Weakly Supervised Object Localization, SPIC 100 (2022) 116520"
    Options = HCLNetOptions
    options: HCLNetOptions
    fusion = "addition"

    def __init__(self, backbone: Backbone, classes: int, options: HCLNetOptions) -> None:
        super().__init__(backbone, classes, options)
        channels, width = backbone.info[backbone.last].channels, options.width or backbone.branch_width
        self.branches = nn.ModuleList(Branch(channels, classes, width) for _ in range(options.branches))

    def forward(self, features: Features, classes: Int64[Tensor, "b"] | None = None) -> Output:
        x = features[self.in_features[0]]
        if self.options.pools == "acol":
            x = F.avg_pool2d(F.max_pool2d(x, 3, 1, 1), 3, 1, 1)
        first = self.branches[0](x)
        logits = first.logits()
        predicted = logits.argmax(1)
        asked = predicted if classes is None else classes
        maps = self._cascade(x, first, asked)
        parts = {chr(ord("A") + k): m.logits() for k, m in enumerate(maps)}
        if self.options.classify != "first":
            unconditioned = maps if classes is None else self._cascade(x, first, predicted)
            logits = _classification(unconditioned, self.options.classify)
        return Output(logits, maps, asked, parts)

    def _cascade(
        self, x: Float[Tensor, "b d h w"], first: ClassMaps, classes: Int64[Tensor, "b"]
    ) -> tuple[ClassMaps, ...]:
        maps, keep = [first], None
        for branch in self.branches[1:]:
            cam = maps[-1].of(classes)
            if self.options.gradient == "detached":
                cam = cam.detach()
            left = complement(cam, self.options)
            keep = left if keep is None else keep * left
            maps.append(branch(x * keep.unsqueeze(1)))
        return tuple(maps)


def _classification(maps: tuple[ClassMaps, ...], which: str) -> Float[Tensor, "b c"]:
    if which == "last":
        return maps[-1].logits()
    return torch.stack([m.logits().softmax(1) for m in maps]).mean(0).clamp_min(1e-12).log()


METHOD = HCLNet
