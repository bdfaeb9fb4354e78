"""TriLite: three regions on a frozen self-supervised transformer (Sabaghi & Oramas, CVPR 2026)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from hclnet.backbones.backbone import CLASS_TOKEN, Backbone, Features
from hclnet.config import Strict
from hclnet.device import full_precision
from hclnet.methods.base import Method, Output
from hclnet.methods.branch import ClassMaps, xavier

_TINY = 1e-6
_REGIONS = 3  # ambiguous, foreground, background


class TriLiteOptions(Strict):
    kernel: int = Field(1, ge=1, description="side of the convolution to the three regions, features; odd")
    background: float = Field(1.0, ge=0, description="weight of the adversarial background loss")


def region_feature(mask: Float[Tensor, "b h w"], features: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d"]:
    """f = sum of M_i F_i over sum of M_i: the mean feature of a region (their section 3.2)."""
    return torch.einsum("bhw,bdhw->bd", mask, features) / (mask.sum((1, 2)) + _TINY)[:, None]


def background_loss(logits: Float[Tensor, "b c"], targets: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """-log(1 - p_y): the class is not to be told from the background's feature (their section 3.3).

    It is computed as the log of the other classes' share, which does not end at 1 - 1 = 0.
    """
    classes = logits.shape[1]
    if classes == 1:
        return logits.sum() * 0
    own = torch.eye(classes, dtype=torch.bool, device=logits.device)
    others = logits.unsqueeze(1).masked_fill(own, -torch.inf).logsumexp(2)
    return (targets * (logits.logsumexp(1, keepdim=True) - others)).sum(1).mean()


class TriLite(Method):
    """A linear layer on the class token classifies; a convolution says which patches are the object.

    The TriHead, a convolution with batch norm and a softmax over three channels, splits the patches into ambiguous
    ones, foreground and background. Of foreground and background the mean feature is classified by a linear layer of
    their own: the foreground by the cross entropy with the class, the background by the adversarial loss
    -log(1 - p_y). No loss sees the ambiguous region, where what is salient and not the object can go. At test the
    heatmap is the foreground's probability, the same for each class.

    The paper's code is not published. As far as its text was at hand, it does not tell the side of the convolution, and
    how the losses are weighted against one another; here it is 1 x 1, and all weigh 1.
    """

    name = "trilite"
    paper = (
        "Sabaghi & Oramas, TriLite: Efficient Weakly Supervised Object Localization with Universal Visual Features and "
        "Tri-Region Disentanglement, CVPR 2026"
    )
    Options = TriLiteOptions
    options: TriLiteOptions
    needs = (CLASS_TOKEN,)

    def __init__(self, backbone: Backbone, classes: int, options: TriLiteOptions) -> None:
        super().__init__(backbone, classes, options)
        if options.kernel % 2 == 0:
            raise ValueError(f"kernel={options.kernel}: a convolution that keeps its place has an odd side.")
        self.in_features = (backbone.last, CLASS_TOKEN)
        of_patch, of_token = backbone.info[backbone.last].channels, backbone.extras[CLASS_TOKEN].channels
        self.regions = nn.Sequential(
            nn.Conv2d(of_patch, _REGIONS, options.kernel, padding=options.kernel // 2, bias=False).apply(xavier),
            nn.BatchNorm2d(_REGIONS),
        )
        self.classifier = nn.Linear(of_token, classes)
        self.region_classifier = nn.Linear(of_patch, classes)

    def forward(self, features: Features, classes: Int64[Tensor, "b"] | None = None) -> Output:
        with full_precision(features[CLASS_TOKEN].device):
            weights = self.classifier.weight.dtype
            patches, token = (features[name].to(weights) for name in self.in_features)
            logits = self.classifier(token.flatten(1))
            _, foreground, background = self.regions(patches).softmax(1).unbind(1)
            parts = {"A": logits}
            for name, mask in (("foreground", foreground), ("background", background)):
                parts[name] = self.region_classifier(region_feature(mask, patches))
        asked = logits.argmax(1) if classes is None else classes
        alike = torch.ones_like(logits[0])  # of each class
        maps = ClassMaps(foreground.unsqueeze(1), alike[:, None], torch.zeros_like(alike))
        return Output(logits, (maps,), asked, parts)

    def loss(self, output: Output, targets: Float[Tensor, "b c"]) -> dict[str, Float[Tensor, ""]]:
        """Cross entropies of the class token and of the foreground, and the adversarial loss of the background."""
        parts = output.parts
        return {
            "A": F.cross_entropy(parts["A"], targets),
            "foreground": F.cross_entropy(parts["foreground"], targets),
            "background": self.options.background * background_loss(parts["background"], targets),
        }


METHOD = TriLite
