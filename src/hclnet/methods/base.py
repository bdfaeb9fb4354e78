"""What a method is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from hclnet.backbones.trunk import Features, Trunk
from hclnet.config import Strict
from hclnet.methods.branch import ClassMaps


@dataclass(frozen=True, slots=True)
class Output:
    """What a method makes of a batch.

    Attributes:
        logits: what the image is classified by; the classes asked for never touch them.
        branches: the class maps of each branch, A first.
        classes: for each image, the class that branches after A were conditioned on: the one asked for, or A's argmax.
        parts: what `loss` needs besides, by name.
    """

    logits: Float[Tensor, "b c"]
    branches: tuple[ClassMaps, ...]
    classes: Int64[Tensor, "b"]
    parts: dict[str, Tensor] = field(default_factory=dict)


class Method(nn.Module):
    """Stage features -> class maps, and the loss that teaches it.

    A subclass lives in a file of its own in `hclnet.methods` (or behind an `hclnet.methods` entry point), sets the
    class attributes, and implements `__init__(trunk, classes, options)` and `forward`. Nothing else has to know of it.

    Attributes:
        name: on the command line; the file's name.
        paper: the source, for `hclnet methods`.
        Options: the method's options with their defaults.
        fusion: how its branches' maps are fused unless the user says otherwise.
        changes_images: it changes images while training, so features can't be cached.
        changes_stages: it changes the trunk's stages while training, so features can't be cached.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    Options: ClassVar[type[Strict]]
    fusion: ClassVar[str] = "addition"
    changes_images: ClassVar[bool] = False
    changes_stages: ClassVar[bool] = False

    def __init__(self, trunk: Trunk, classes: int, options: Strict) -> None:
        super().__init__()
        self.options = options
        self.reads: tuple[str, ...] = (trunk.last,)
        self.num_classes = classes

    def forward(self, features: Features, classes: Int64[Tensor, "b"] | None = None) -> Output:
        """Args:
        features: of the stages in `reads`.
        classes: for each image, the class whose map is asked for; A's argmax by default.
        """
        raise NotImplementedError

    def loss(self, output: Output, targets: Float[Tensor, "b c"]) -> dict[str, Float[Tensor, ""]]:
        """Named terms that are added up; `targets` are class probabilities.

        By default the cross entropy of every entry of `parts`, weight 1 each (eq. 6 with its missing minus sign).
        """
        return {name: F.cross_entropy(logits, targets) for name, logits in output.parts.items()}
