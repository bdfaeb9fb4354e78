"""Squares in, probabilities and maps out: the one network behind locating, scoring and learning the foreground score.

It is a `torch.nn.Module` of the backbone, with its batch norms folded, and the method. `forward` is `features`, which
a cache may stand in for where the backbone is frozen, and then `heads`. What a map becomes after that, a heatmap and a
box, is not part of it: see `hclnet.localizer.pipeline`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from hclnet.backbones import Backbone, Features
from hclnet.config import Inference
from hclnet.device import autocast
from hclnet.localizer.features import as_input, extract
from hclnet.maps.augmentation import View, mean_probabilities, merge, merge_features, merge_maps, views
from hclnet.maps.foreground import ForegroundScore
from hclnet.maps.fused import fuse_branches
from hclnet.methods import Method, Output
from hclnet_runtime.data.images import crop_corners, enlarged

Squares = UInt8[Tensor, "b _ _ 3"] | UInt8[np.ndarray, "b _ _ 3"]


class Variant(NamedTuple):
    """Settings of maps, and the views that they ask for."""

    settings: Inference
    views: tuple[View, ...]


class Answer(NamedTuple):
    """What the network makes of a batch of images.

    Attributes:
        probabilities: of all classes, the mean over the views; not of ten crops.
        logits: what classes are ranked by. They never depend on the target classes.
        classes: the target class of each image.
        maps: its fused map, which a protocol makes a heatmap of. At feature resolution, or with `upsample_first` at
            `map_size`.
        grid: its fused map at feature resolution.
        branches: its min-max normalized map in each branch, at feature resolution.
        foreground: the foreground score of each cell of the features; None if it was not learned at the views' sizes.
        outlined: whether it was learned from outlines (`hclnet.maps.foreground`).
        features: that it reads; only where they were asked for.
    """

    probabilities: Float[Tensor, "b c"]
    logits: Float[Tensor, "b c"]
    classes: Int64[Tensor, " b"]
    maps: Float[Tensor, "b h w"]
    grid: Float[Tensor, "b fh fw"]
    branches: Float[Tensor, "b k fh fw"]
    foreground: Float[Tensor, "b gh gw"] | None = None
    outlined: bool = False
    features: Float[Tensor, "b d fgh fgw"] | None = None


def sides_of(settings: Inference, size: int) -> tuple[int, ...]:
    """Sides of the squares that an image of this size is seen as under some settings, pixels, ascending."""
    crops = {enlarged(size)} if settings.crops == 10 else set()
    return tuple(sorted({view.size for view in views(settings, size)} | crops))


class Network(nn.Module):
    """A backbone and a method under settings of maps.

    Args:
        backbone: for inference (`Backbone.folded`).
        method: on it, in eval mode.
        foreground: the foreground score, by the side of the images that it was learned at, pixels.
        settings: how maps are made: test-time augmentation, fusion, `upsample_first`, ten crops.
        size: side of the square that images are resized to at scale 1, pixels.
        dtype: what it computes in.
    """

    def __init__(
        self,
        backbone: Backbone,
        method: Method,
        foreground: dict[int, ForegroundScore],
        settings: Inference,
        size: int,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.backbone, self.method = backbone, method
        self.foreground, self.settings, self.size, self.dtype = foreground, settings, size, dtype
        self.training = False  # what learns is the method and the backbone, not their network

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.method.parameters()).device

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides of the squares that `forward` takes, pixels, ascending."""
        return sides_of(self.settings, self.size)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages whose features are needed: those that the method reads, and a finer one for the foreground
        score."""
        reads_finer = any(one.outlined for one in self.foreground.values())
        return tuple(dict.fromkeys([*self.method.in_features, *(self.foreground_stages if reads_finer else ())]))

    @property
    def foreground_stages(self) -> tuple[str, ...]:
        """The stages that a foreground score may read: that of the method, and a finer one if the backbone has it."""
        stage = self.method.foreground_feature
        finer = self.backbone.finer(stage)
        return (stage,) if finer is None else (stage, finer)

    def variant(self, settings: Inference) -> Variant:
        """Settings, with their views of an image."""
        return Variant(settings, views(settings, self.size))

    def forward(self, *squares: Squares, classes: Int64[Tensor, " b"] | None = None) -> Answer:
        """What the network makes of images.

        Args:
            squares: the images squashed to each of `sides`, in this order.
            classes: for each image the class whose map is made; the most probable one by default.
        """
        of = dict(zip(self.sides, squares, strict=True))
        seen = views(self.settings, self.size)
        (answer,) = self.heads({view: self.features(of[view.size], view.mirrored) for view in seen}, classes)
        if self.settings.crops == 10:
            answer = answer._replace(probabilities=self.crop_probabilities(of[enlarged(self.size)]))
        return answer

    def features(self, squares: Squares, mirrored: bool = False, stages: Sequence[str] | None = None) -> Features:
        """The images' features in one view, of `stages` or of those named, in the network's precision."""
        x = as_input(squares, self.backbone, self.device)
        return extract(self.backbone, x.flip(3) if mirrored else x, stages or self.stages, self.dtype)

    def output(self, features: Features, classes: Int64[Tensor, " b"] | None = None) -> Output:
        """What the method makes of the features of one view."""
        with autocast(self.device, self.dtype):
            return self.method(features, classes)

    def heads(
        self,
        features: Mapping[View, Features],
        classes: Int64[Tensor, " b"] | None = None,
        variants: Sequence[Variant] | None = None,
        with_features: bool = False,
    ) -> list[Answer]:
        """What the network makes of features.

        Args:
            features: of the images, by view.
            classes: for each image the class whose map is made; the most probable one by default.
            variants: settings to answer under, whose views are all among the features; the network's own by default.
                Outputs are computed once for all of them.
            with_features: also those that the foreground score reads.

        Returns:
            An answer for each variant.
        """
        wanted = variants or [self.variant(self.settings)]
        outputs = {view: self.output(of, classes) for view, of in features.items()}
        merged = {}  # what does not depend on the settings, by views
        for seen in dict.fromkeys(variant.views for variant in wanted):
            of = [outputs[view] for view in seen]
            probabilities = mean_probabilities(of)
            if classes is None and len(seen) > 1:  # the views need not agree on a class
                of = [self.output(features[view], probabilities.argmax(1)) for view in seen]
            outlined = all(view.size in self.foreground and self.foreground[view.size].outlined for view in seen)
            of_foreground = self.foreground_features(features, seen) if with_features else None
            output = merge(of, seen)
            score = self._foreground(features, seen, output.classes)
            merged[seen] = output, probabilities, (score, outlined, of_foreground)
        answers = []
        for settings, seen in wanted:
            output, probabilities, foreground = merged[seen]
            maps = fuse_branches(output, settings, self.method.fusion)
            answers.append(Answer(probabilities, output.logits, output.classes, *maps, *foreground))
        return answers

    def probabilities(self, features: Mapping[View, Features]) -> Float[Tensor, "b c"]:
        """Of all classes, the mean over the views of the features."""
        return mean_probabilities([self.output(of) for of in features.values()])

    def crop_probabilities(self, squares: Squares) -> Float[Tensor, "b c"]:
        """The mean of the softmax over ten crops of side `size` (paper, section 4; reading 17).

        Args:
            squares: the images squashed to `enlarged(size)`.
        """
        side, size = squares.shape[1], self.size
        crops = [squares[:, y : y + size, x : x + size] for y, x in crop_corners(side, size)]
        return mean_probabilities([self.output(self.features(of, turned)) for of in crops for turned in (False, True)])

    def _foreground(
        self, features: Mapping[View, Features], seen: Sequence[View], classes: Int64[Tensor, " b"]
    ) -> Float[Tensor, "b gh gw"] | None:
        """The foreground score, if it was learned at the size of every view: at another size features are others."""
        if {view.size for view in seen} - set(self.foreground):
            return None
        scores = []
        for view in seen:
            score = self.foreground[view.size]
            coarse, *finer = (features[view][stage] for stage in self._stages_of(score))
            scores.append(score(coarse, classes, *finer))
        return merge_maps(scores, seen)

    def _stages_of(self, score: ForegroundScore) -> tuple[str, ...]:
        return self.foreground_stages if score.outlined else self.foreground_stages[:1]

    def foreground_features(
        self, features: Mapping[View, Features], seen: Sequence[View]
    ) -> Float[Tensor, "b d fgh fgw"]:
        return merge_features([features[view][self.method.foreground_feature].float() for view in seen], seen)
