"""What a protocol is, and what it finds on one map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float64, Int32, Real, UInt8

from hclnet.config import Inference
from hclnet.metrics.masks import Counts, Mask
from hclnet.types import MaskFiles
from hclnet_runtime.boxes import Choice, Evidence, Rule


class Found(NamedTuple):
    """What one map contributes to the records.

    Attributes:
        level: the box rule's.
        box: the box rule's; half-open, map pixels, zeros if there is none.
        iou: its best IoU with a ground-truth box.
        level_iou: at each level t = 0..255 the same of the largest component of `levels > t`.
        level_best: at each level the best IoU of any component with a ground-truth box. Without ground-truth boxes IoUs
            are NaN.
    """

    level: int
    box: Int32[np.ndarray, " 4"]
    iou: float
    level_iou: Float64[np.ndarray, " 256"]
    level_best: Float64[np.ndarray, " 256"]


def unlocated() -> Found:
    """What a map contributes in which no box was looked for."""
    return without_gt(Choice(255, np.zeros(4, dtype=np.int32)))


@runtime_checkable
class Scoring(Protocol):
    """A protocol, with its settings.

    Attributes:
        name: on the command line and in files.
        suffix: of the names of files and folders with what was measured under it; none for the default protocol.
        bins: how many bins PxAP has.
        note: what the reader of a report has to know, where the page can't find the protocol's boxes itself.
        map_size: side of the level maps, pixels.
        upsampling: `bilinear` or `bicubic`.
        normalization: how maps come to 0..1.
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    bins: ClassVar[int]
    note: ClassVar[str]

    @property
    def map_size(self) -> int: ...

    @property
    def upsampling(self) -> str: ...

    @property
    def normalization(self) -> str: ...

    @classmethod
    def of(cls, settings: Inference) -> Scoring:
        """The protocol under a localizer's settings of maps, as far as it leaves them open."""
        ...

    @classmethod
    def make(cls, map_size: int, upsampling: str, normalization: str) -> Scoring:
        """The protocol with these settings. ValueError if it has another normalization."""
        ...

    def heatmap(self, map: Real[np.ndarray, "h w"]) -> Float[np.ndarray, "s s"]:
        """A map of any size at `map_size`, in 0..1. ValueError if it is empty or not finite."""
        ...

    def levels(self, heatmap: Float[np.ndarray, "s s"]) -> UInt8[np.ndarray, "s s"]:
        """The heatmap in 256 levels."""
        ...

    def gt_boxes(self, boxes: Real[np.ndarray, "m 4"], size: tuple[int, int]) -> Real[np.ndarray, "m 4"]:
        """Ground-truth boxes of an image of this width and height, on the map."""
        ...

    def locate(self, evidence: Evidence, gt_boxes: Real[np.ndarray, "m 4"], rules: Sequence[Rule]) -> list[Found]:
        """What a level map contributes under each box rule, which has what it needs among the evidence."""
        ...

    def pixels(
        self, heatmap: Float[np.ndarray, "s s"], levels: UInt8[np.ndarray, "s s"], mask: MaskFiles | Mask
    ) -> tuple[Counts, Counts]:
        """Pixels in each bin inside and outside of the ground-truth mask."""
        ...

    def describe(self, rule: str) -> dict[str, str | int]:
        """How metrics under this protocol and box rule are measured, to be written beside them."""
        ...


def without_gt(choice: Choice) -> Found:
    """What a map contributes of an image without a ground-truth box."""
    nothing = np.full(256, np.nan)
    return Found(*choice, float("nan"), nothing, nothing)
