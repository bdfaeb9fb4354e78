"""What is found in an image. Boxes are `x0, y0, x1, y1` in pixels of the upright original image, 0-based and half-open,
so that `x1 - x0` is a width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Gray:
    """Which values of gray of more than 8 bits are shown as 0 and as 255.

    Attributes:
        whole: of images of whole numbers; None: each image goes by its own values.
        fractions: likewise, of images of floating-point numbers.
        by_depth: each image by the number of bits that its largest value needs, as in runs of version 0.1.
    """

    whole: tuple[float, float] | None = None
    fractions: tuple[float, float] | None = None
    by_depth: bool = False

    @classmethod
    def of(cls, scales: Mapping[str, Any] | None) -> Gray:
        """What the files of a model have of it: the two scales by name. Models of version 0.1 have nothing of it."""
        if scales is None:
            return cls(by_depth=True)
        whole, fractions = (
            (float(of[0]), float(of[1])) if (of := scales.get(kind)) else None for kind in ("whole", "fractions")
        )
        return cls(whole, fractions)


@dataclass(frozen=True, slots=True)
class LocatedObject:
    """One object.

    Attributes:
        label: its class.
        score: how probable the classifier finds the class, 0..1; of several objects of one class, times the peak of the
            heatmap in its box, of the highest peak in any.
        box: in image pixels.
        mask: its pixels, in the heatmap's resolution over the whole image; None where it was not kept.
        agreement: how far the box can be trusted: the share of cuts of the map, 0..1, whose box overlaps it by half
            (`hclnet_runtime.boxes.consensus`); None where the box rule can't say.
    """

    label: str
    score: float
    box: Box
    mask: Bool[np.ndarray, "h w"] | None = field(default=None, repr=False, compare=False)
    agreement: float | None = None


@dataclass(frozen=True, slots=True)
class Localization:
    """What was found in one image.

    Attributes:
        path: the image's path; empty for an image that came from memory.
        size: width and height of the upright image, pixels.
        objects: of the target classes, most probable class first; of one class, best score first. A class whose
            heatmap is flat or whose probability is below `min_score` has none, nor has an image that is predicted to
            show no object.
        predictions: the most probable classes and the target classes with their probabilities, best first.
        heatmaps: by label, the heatmap of each target class, 0..1, in the map's own resolution over the whole
            image; most probable first.
        branches: by label, the normalized map of every branch, feature resolution.
        gray: how gray of more than 8 bits was seen, and is to be drawn.
        maps: by label, the fused map at feature resolution. A protocol makes the heatmap of it, so that boxes can be
            drawn again, by other rules too, without the model.
    """

    path: str
    size: tuple[int, int]
    objects: tuple[LocatedObject, ...]
    predictions: tuple[tuple[str, float], ...]
    heatmaps: dict[str, Float[np.ndarray, "h w"]] = field(repr=False)
    branches: dict[str, Float[np.ndarray, "k fh fw"]] = field(repr=False)
    gray: Gray = field(default=Gray(), repr=False)
    maps: dict[str, Float[np.ndarray, "fh fw"]] = field(default_factory=dict, repr=False)

    @property
    def label(self) -> str:
        """The most probable target class."""
        return next(iter(self.heatmaps))

    @property
    def score(self) -> float:
        """Its probability."""
        return dict(self.predictions)[self.label]

    @property
    def box(self) -> Box | None:
        """Its box, or None where its heatmap is flat."""
        return next((o.box for o in self.objects if o.label == self.label), None)

    @property
    def heatmap(self) -> Float[np.ndarray, "h w"]:
        """Its heatmap."""
        return self.heatmaps[self.label]

    def plot(self, image: object | None = None, ax: object | None = None) -> object:
        """Draw the image with heatmap and boxes on matplotlib axes, and return the axes.

        Args:
            image: a Pillow image or an H x W x 3 array; needed only if it did not come from a file.
            ax: matplotlib axes; new ones by default.

        Raises:
            ValueError: hclnet is not installed beside the runtime.
        """
        try:
            from hclnet.formats.overlay import plot
        except ModuleNotFoundError:
            raise ValueError("The runtime draws nothing. Install what does:  pip install hclnet") from None

        return plot(self, image, ax)
