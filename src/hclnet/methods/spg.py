"""SPG: self-produced guidance (Zhang et al., ECCV 2018), with the stages of its port to VGG-16."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from hclnet.backbones.backbone import Backbone, Features
from hclnet.config import Strict
from hclnet.methods.base import Method, Output
from hclnet.methods.branch import Branch, xavier
from hclnet.methods.convolution import Conv3x3
from hclnet.methods.minmax import minmax
from hclnet.methods.whole_batch import share_of_total

_FEWEST, _SHARE = 30, 0.7  # pixels of foreground; of the guide's maximum, where there are fewer


class SPGOptions(Strict):
    """A guide teaches foreground above its high threshold, background below its low one, and nothing between."""

    b2_high: float = Field(0.7, ge=0, le=1, description="of the attention map, which teaches B2: foreground above")
    b2_low: float = Field(0.05, ge=0, le=1, description="of the same: background below")
    b1_high: float = Field(0.5, ge=0, le=1, description="of B2's map, which teaches B1")
    b1_low: float = Field(0.05, ge=0, le=1, description="of the same")
    c_high: float = Field(0.7, ge=0, le=1, description="of the mean of B1's and B2's maps, which teaches C")
    c_low: float = Field(0.1, ge=0, le=1, description="of the same")
    width: int | None = Field(None, ge=1, description="channels of the 3x3 convolutions; None: by backbone (512: VGG)")

    @model_validator(mode="after")
    def _low_is_lower(self) -> SPGOptions:
        for branch in ("b2", "b1", "c"):
            low, high = getattr(self, f"{branch}_low"), getattr(self, f"{branch}_high")
            if low > high:
                raise ValueError(f"{branch}_low is {low} and above {branch}_high, which is {high}")
        return self


def pseudo_mask(
    guide: Float[Tensor, "b h w"], high: float, low: float
) -> tuple[Bool[Tensor, "b h w"], Bool[Tensor, "b h w"]]:
    """Foreground, and what is known at all: foreground and background (their section 3.2).

    Foreground is above `high`; where that is fewer than 30 px of an image, above 0.7 of the guide's maximum.
    Background is below `low`, and wins.

    Args:
        guide: 0..1, at the input's resolution.
    """
    few = (guide > high).sum((1, 2)) < _FEWEST
    threshold = torch.where(few, _SHARE * guide.amax((1, 2)), high)
    background = guide < low
    foreground = (guide > threshold[:, None, None]) & ~background
    return foreground, foreground | background


def guided(logits: Float[Tensor, "b h w"], guide: Float[Tensor, "b h w"], high: float, low: float) -> Float[Tensor, ""]:
    """Binary cross entropy with the guide's pseudo mask, the mean over the pixels of the batch that are known.

    There are always some: the maximum of a guide is foreground, or else below `low`. No gradient goes to the guide.
    """
    foreground, known = pseudo_mask(guide.detach(), high, low)
    losses = F.binary_cross_entropy_with_logits(logits, foreground.to(logits.dtype), reduction="none")
    count = known.sum(dtype=torch.promote_types(losses.dtype, torch.float32))
    return (losses * known).sum() / share_of_total(count)


class SPG(Method):
    """The class's map teaches one shallower map where the object is, that one teaches the next, and both teach C.

    A3 (two 3x3 convolutions with ReLU on the last stage) and A4 (a 1x1 convolution to C maps) classify. B2 on the last
    stage and B1 on the one before it are each a 3x3 convolution with ReLU, and then share a 3x3 convolution with ReLU
    and a 1x1 convolution to one map; C is the same two on A3's output, with weights of its own. So on VGG-16 B1 sees
    the conv4 block and B2 the conv5 block.

    The loss is CE + BCE(B2 | attention) + BCE(B1 | sigmoid of B2) + BCE(C | mean of the sigmoids of B1 and B2), weight
    1 each, at the input's resolution; attention is A4's map of the true class, min-max normalized. That map is picked
    before it is upsampled: to upsample all C maps would give the same and take 200 MB an image at C = 1000.

    At test A4's map is the heatmap. B and C are only run in training mode.
    """

    name = "spg"
    paper = "Zhang et al., Self-produced Guidance for Weakly-supervised Object Localization, ECCV 2018"
    Options = SPGOptions
    options: SPGOptions
    frozen_note = (
        "the losses of B1 and B2 teach these two alone, not the stages they look at; the map that boxes are drawn from "
        "feels guidance through C and A3 only."
    )

    def __init__(self, backbone: Backbone, classes: int, options: SPGOptions) -> None:
        super().__init__(backbone, classes, options)
        names = list(backbone.info)
        if len({info.stride for info in backbone.info.values()}) == 1:
            raise ValueError(
                f"spg needs stages of several resolutions, and all features of {backbone.name} have one. Take another "
                f"method, or a backbone such as resnet50."
            )
        self.in_features = (names[names.index(backbone.last) - 1], backbone.last)
        early, late = (backbone.info[name].channels for name in self.in_features)
        self.stride = backbone.output_stride
        width = options.width or max(backbone.branch_width // 2, 1)
        self.branch = Branch(late, classes, width)
        self.b1, self.b2 = _block(early, width), _block(late, width)
        self.shared, self.c = _to_map(width), _to_map(width)

    def forward(self, features: Features, classes: Int64[Tensor, "b"] | None = None) -> Output:
        early, late = (features[name] for name in self.in_features)
        maps = self.branch(late)
        logits = maps.logits()
        asked = logits.argmax(1) if classes is None else classes
        parts = {"A": logits}
        if self.training:
            size = (self.stride * late.shape[2], self.stride * late.shape[3])
            seen = {
                "attention": maps.of(asked).unsqueeze(1),
                "B2": self.shared(self.b2(late)),
                "B1": self.shared(self.b1(early)),
                "C": self.c(maps.hidden),
            }
            parts |= {name: _upsampled(value, size) for name, value in seen.items()}
        return Output(logits, (maps,), asked, parts)

    def loss(self, output: Output, targets: Float[Tensor, "b c"]) -> dict[str, Float[Tensor, ""]]:
        """The four terms; in eval mode, where B and C are not run, the cross entropy alone."""
        parts, o = output.parts, self.options
        terms = {"A": F.cross_entropy(parts["A"], targets)}
        if "C" in parts:
            b2, b1 = parts["B2"].sigmoid(), parts["B1"].sigmoid()
            terms["B2"] = guided(parts["B2"], minmax(parts["attention"]), o.b2_high, o.b2_low)
            terms["B1"] = guided(parts["B1"], b2, o.b1_high, o.b1_low)
            terms["C"] = guided(parts["C"], (b1 + b2) / 2, o.c_high, o.c_low)
        return terms


def _block(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(Conv3x3(channels, width), nn.ReLU()).apply(xavier)


def _to_map(width: int) -> nn.Sequential:
    return nn.Sequential(Conv3x3(width, width), nn.ReLU(), nn.Conv2d(width, 1, 1)).apply(xavier)


def _upsampled(maps: Float[Tensor, "b 1 h w"], size: tuple[int, int]) -> Float[Tensor, "b sh sw"]:
    maps = maps if maps.dtype == torch.float64 else maps.float()
    return F.interpolate(maps, size, mode="bilinear", align_corners=False).squeeze(1)


METHOD = SPG
