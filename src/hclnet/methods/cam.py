"""CAM: class activation maps (Zhou et al., CVPR 2016)."""

from __future__ import annotations

from jaxtyping import Int64
from pydantic import Field
from torch import Tensor

from hclnet.backbones.backbone import Backbone, Features
from hclnet.config import Strict
from hclnet.methods.base import Method, Output
from hclnet.methods.branch import Branch


class CAMOptions(Strict):
    convs: int = Field(1, ge=0, description="3x3 convolutions before the classifier; 0 is a linear classifier")
    width: int | None = Field(None, ge=1, description="their channels; None: by backbone (1024 for VGG-16)")
    stage: str | None = Field(None, description="the stage that is classified; None: the backbone's last")


class CAM(Method):
    """A 3x3 convolution with ReLU, global average pooling, a linear classifier.

    The map of class c is the sum over channels of w_c times the features (their section 2).
    """

    name = "cam"
    paper = "Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016"
    Options = CAMOptions
    options: CAMOptions

    def __init__(self, backbone: Backbone, classes: int, options: CAMOptions) -> None:
        super().__init__(backbone, classes, options)
        stage = options.stage or backbone.last
        if stage not in backbone.info:
            raise ValueError(f"stage={stage}: {backbone.name} has no such stage; it has {', '.join(backbone.info)}.")
        self.in_features = (stage,)
        width = options.width or backbone.branch_width
        self.branch = Branch(backbone.info[stage].channels, classes, width, options.convs)

    def forward(self, features: Features, classes: Int64[Tensor, "b"] | None = None) -> Output:
        maps = self.branch(features[self.in_features[0]])
        logits = maps.logits()
        return Output(logits, (maps,), logits.argmax(1) if classes is None else classes, {"A": logits})


METHOD = CAM
