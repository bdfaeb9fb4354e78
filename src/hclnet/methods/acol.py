"""ACoL: adversarial complementary learning (Zhang et al., CVPR 2018)."""

from __future__ import annotations

from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor

from hclnet.backbones.backbone import Backbone, Features
from hclnet.config import Strict
from hclnet.methods.base import Method, Output
from hclnet.methods.branch import Branch
from hclnet.methods.minmax import minmax


class ACoLOptions(Strict):
    threshold: float = Field(0.7, gt=0, le=1, description="features where A's map is at least this are erased for B")
    width: int | None = Field(None, ge=1, description="channels of the 3x3 convolutions; None: by backbone")


def erase(
    features: Float[Tensor, "b d h w"], cam: Float[Tensor, "b h w"], threshold: float
) -> Float[Tensor, "b d h w"]:
    """Zero the features where the normalized map is `threshold` or more (their section 3.2)."""
    return features * (cam < threshold).unsqueeze(1)


class ACoL(Method):
    """Branch B sees the features without the place that branch A found most discriminative.

    The official script erases at 0.6, the reimplementations at 0.7, which is the default here. No gradient passes
    through the erasing. Branch A classifies.
    """

    name = "acol"
    paper = "Zhang et al., Adversarial Complementary Learning for Weakly Supervised Object Localization, CVPR 2018"
    Options = ACoLOptions
    options: ACoLOptions
    fusion = "max"

    def __init__(self, backbone: Backbone, classes: int, options: ACoLOptions) -> None:
        super().__init__(backbone, classes, options)
        channels, width = backbone.info[backbone.last].channels, options.width or backbone.branch_width
        self.branch_a = Branch(channels, classes, width)
        self.branch_b = Branch(channels, classes, width)

    def forward(self, features: Features, classes: Int64[Tensor, "b"] | None = None) -> Output:
        x = features[self.in_features[0]]
        a = self.branch_a(x)
        logits = a.logits()
        asked = logits.argmax(1) if classes is None else classes
        b = self.branch_b(erase(x, minmax(a.of(asked).detach()), self.options.threshold))
        return Output(logits, (a, b), asked, {"A": logits, "B": b.logits()})


METHOD = ACoL
