"""BAS: background activation suppression (Wu et al., CVPR 2022)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from hclnet.backbones.backbone import Backbone, Features
from hclnet.config import Strict
from hclnet.methods.base import Method, Output
from hclnet.methods.branch import Branch, ClassMaps, xavier
from hclnet.methods.convolution import Conv3x3

_EPSILON = 1e-8


class BASOptions(Strict):
    """The published code has guidance 0 to 1 and area 0.7 to 2.5, by backbone and data set."""

    guidance: float = Field(0.5, ge=0, description="weight of the cross entropy of class maps times foreground map")
    area: float = Field(1.5, ge=0, description="weight of the foreground map's mean; more of it makes the map smaller")
    top_k: int = Field(1, ge=1, description="average the map with those of the k - 1 most probable other classes")
    width: int | None = Field(None, ge=1, description="channels of the 3x3 convolutions; None: by backbone (1024: VGG)")


def background_ratio(whole: Float[Tensor, "b"], background: Float[Tensor, "b"]) -> Float[Tensor, "b"]:
    """The share of a class's activation that the background alone gives, 0..1.

    It is 0, and teaches nothing, where the background gives no less than the whole.
    """
    whole, background = whole.relu(), background.relu()
    return torch.where(background < whole, background / (whole + _EPSILON), 0)


def with_probable(maps: Float[Tensor, "b c h w"], logits: Float[Tensor, "b c"], top_k: int) -> Float[Tensor, "b c h w"]:
    """For each class the mean of its map and of those of the `top_k` - 1 other classes with the highest logits."""
    k = min(top_k, maps.shape[1])
    top = logits.topk(k, 1).indices
    best = maps.gather(1, top[:, :, None, None].expand(-1, -1, *maps.shape[2:]))
    others = best[:, :-1].sum(1, keepdim=True)
    is_top = torch.zeros_like(logits, dtype=torch.bool).scatter(1, top, True)[:, :, None, None]
    return (others + torch.where(is_top, best[:, -1:], maps)) / k


class BAS(Method):
    """A generator draws a foreground map, and the classifier says how much of the class is left in the background.

    The generator is a 3x3 convolution to C maps and a sigmoid. The classifier has HCLNet's branch: two 3x3 convolutions
    with ReLU, a 1x1 convolution to C class maps, global average pooling. S is the activation of the true class, its
    logit after ReLU; S_b is that of the features times (1 - M), where M is the generator's map of the true class. The
    loss is the sum of

        A: the cross entropy of the logits,
        suppression: S_b / S. It teaches the generator: S, the masked features and the classifier are constants in it,
        guidance: the cross entropy of the mean of the class maps times M,
        area: the mean of M.

    The last two have the weights of the options. The published code masks the features before the backbone's last
    stage, which belongs to the classifier there. Here those of the last stage are masked and the classifier is the
    head, so that the backbone may be frozen.

    At test the heatmap is M of the target class. With `top_k` over 1 it is averaged with those of the most probable
    classes: the published code does so on CUB (80 or all 200), and on ILSVRC takes one.
    """

    name = "bas"
    paper = "Wu et al., Background Activation Suppression for Weakly Supervised Object Localization, CVPR 2022"
    Options = BASOptions
    options: BASOptions

    def __init__(self, backbone: Backbone, classes: int, options: BASOptions) -> None:
        super().__init__(backbone, classes, options)
        channels, width = backbone.info[backbone.last].channels, options.width or backbone.branch_width
        self.branch = Branch(channels, classes, width)
        self.generator = Conv3x3(channels, classes).apply(xavier)

    def forward(self, features: Features, classes: Int64[Tensor, "b"] | None = None) -> Output:
        x = features[self.in_features[0]]
        seen = self.branch(x)
        logits = seen.logits()
        asked = logits.argmax(1) if classes is None else classes
        foreground = self.generator(x).to(logits.dtype).sigmoid()
        parts = {"A": logits}
        if self.training:
            mask = foreground[torch.arange(len(x)), asked].unsqueeze(1)
            fixed = {name: value.detach() for name, value in self.branch.named_parameters()}
            background = functional_call(self.branch, fixed, (x.detach() * (1 - mask),)).logits()
            true = asked.unsqueeze(1)
            parts |= {
                "suppression": background_ratio(
                    logits.detach().gather(1, true).squeeze(1), background.gather(1, true).squeeze(1)
                ),
                "guidance": (seen.all() * mask).mean((2, 3)),
                "area": mask.mean((1, 2, 3)),
            }
        maps = with_probable(foreground, logits, self.options.top_k)
        own = torch.eye(self.num_classes, dtype=maps.dtype, device=maps.device)
        return Output(logits, (ClassMaps(maps, own, torch.zeros_like(own[0])),), asked, parts)

    def loss(self, output: Output, targets: Float[Tensor, "b c"]) -> dict[str, Float[Tensor, ""]]:
        """The four terms; in eval mode, where the background is not classified, the cross entropy alone."""
        parts, o = output.parts, self.options
        terms = {"A": F.cross_entropy(parts["A"], targets)}
        if "area" in parts:
            terms["suppression"] = parts["suppression"].mean()
            terms["guidance"] = o.guidance * F.cross_entropy(parts["guidance"], targets)
            terms["area"] = o.area * parts["area"].mean()
        return terms


METHOD = BAS
