"""The last step of a training: the foreground score that its class maps teach, for the box rule `auto`.

Two rounds (`hclnet.maps.foreground`): the maps of training images at the localizer's size teach a coarse score, which
starts the outlines of the same images; these teach the score that is kept, at every size that images are seen at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor

from hclnet.backbones import Features
from hclnet.localizer.cache import FeatureStore
from hclnet.localizer.features import inference_batch
from hclnet.localizer.localizer import Localizer
from hclnet.localizer.network import Variant
from hclnet.localizer.pipeline import feature_batches, stored_features
from hclnet.maps.augmentation import View, resized
from hclnet.maps.foreground import IMAGES, ForegroundScore, fit_foreground, fit_to_outlines
from hclnet.maps.outlines import SIDE, outline
from hclnet.progress import Report, bar
from hclnet.samples import labels_of
from hclnet.types import Sample
from hclnet_runtime.data.images import load_square

Outline = UInt8[np.ndarray, "s s"]


def learn_missing(
    localizer: Localizer, samples: Sequence[Sample], seen: Iterable[View], store: FeatureStore | None = None
) -> bool:
    """Give a localizer the foreground score for the sizes of these views, as far as it lacks it; whether it lacked any.

    Args:
        localizer: trained.
        samples: the training images.
        seen: the views that it is to be used with.
        store: features of the training images at the localizer's size, if they are at hand.
    """
    lacking = sorted({view.size for view in seen} - set(localizer.foreground))
    if lacking:
        localizer.foreground |= learn_foreground(localizer, samples, lacking, store)
    return bool(lacking)


@torch.inference_mode()
def learn_foreground(
    localizer: Localizer, samples: Sequence[Sample], sides: Sequence[int], store: FeatureStore | None = None
) -> dict[int, ForegroundScore]:
    """What the localizer's maps of the labelled images teach about objects, by side; nothing if they are all flat.

    It is learned from the maps of the method's first branch whatever the settings of maps and boxes are, so that one
    training serves all of them, but for the size that images are seen at: features change with it. The first branch
    learns nothing but the classes; those that complement it flood textures and what surrounds small objects. Images of
    the background class teach what surroundings are.

    Args:
        localizer: trained.
        samples: the training images, of which at most `IMAGES` are used, evenly spread, and as many of the background
            class.
        sides: of the images, pixels.
        store: features of the samples at the localizer's size, if they are at hand.
    """
    nothing = localizer.inference.background_class
    empty = np.isin(labels_of(samples), [k for k, name in enumerate(localizer.classes) if name == nothing])
    chosen = np.concatenate([_spread(np.flatnonzero(which)) for which in (~empty, empty)])
    localizer = copy(localizer)
    localizer.foreground = {}  # what was learned before has no part in it
    lesson = _Lesson(localizer, [samples[i] for i in chosen], chosen, store)
    coarse = lesson.from_maps(localizer.size)
    if coarse is None:
        return {}
    outlines = lesson.outlines(coarse)
    learned = {side: lesson.from_outlines(side, outlines) or lesson.from_maps(side) for side in sides}
    return {side: score for side, score in learned.items() if score is not None}


def _spread(places: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " k"]:
    """At most `IMAGES` of them, evenly spread."""
    return places[np.linspace(0, len(places) - 1, min(IMAGES, len(places))).round().astype(np.int64)]


@dataclass(frozen=True, slots=True)
class _Lesson:
    """What training images teach.

    Attributes:
        localizer: trained, and without a foreground score.
        images: training images.
        rows: which ones of the store they are.
        store: features at the localizer's size, if they are at hand.
    """

    localizer: Localizer
    images: Sequence[Sample]
    rows: Int64[np.ndarray, " n"]
    store: FeatureStore | None

    @property
    def nothing(self) -> int | None:
        """The class of images without an object."""
        name = self.localizer.inference.background_class
        return None if name is None else self.localizer.classes.index(name)

    def from_maps(self, side: int) -> ForegroundScore | None:
        """The score that the maps at a side teach; None if they are flat."""
        with bar(f"Foreground score at {side} px, from maps") as report:
            return fit_foreground(self._maps(View(side), report), self.nothing)

    def outlines(self, score: ForegroundScore) -> list[Outline]:
        """Of objects in each image, from a score at the localizer's size."""
        view, stage = View(self.localizer.size), self.localizer.method.foreground_feature
        scores: list[Float32[np.ndarray, "gh gw"]] = []
        drawn: list[Outline] = []
        for features in self._features(view):
            x = features[view][stage]
            scores.extend(score(x, self._labels(len(scores), len(x))).cpu().numpy())

        def draw(sample: Sample, score: Float32[np.ndarray, "gh gw"]) -> Outline:
            return outline(load_square(sample.path, SIDE, gray=self.localizer.gray), score)

        # In threads of their own, since OpenCV has random numbers by thread, and the caller's stay as they are.
        with ThreadPoolExecutor(torch.get_num_threads()) as pool, bar("Outlines of objects") as report:
            for one in pool.map(draw, self.images, scores):
                drawn.append(one)
                report(len(drawn), len(self.images))
        return drawn

    def from_outlines(self, side: int, outlines: Sequence[Outline]) -> ForegroundScore | None:
        """The score that outlines teach at a side; None if none of them has an inside and an outside."""
        with bar(f"Foreground score at {side} px, from outlines") as report:
            outlined = self._outlined(View(side), outlines, report)
            return fit_to_outlines(outlined, len(self.localizer.classes), self.nothing)

    def _maps(
        self, view: View, report: Report
    ) -> Iterator[tuple[Float[Tensor, "b d h w"], Float[Tensor, "b h w"], Sequence[int]]]:
        network, stage, done = self.localizer.network, self.localizer.method.foreground_feature, 0
        changes = {"fusion": None, "branch_normalization": "minmax", "upsample_first": False}
        variant = Variant(self.localizer.inference.model_copy(update=changes), (view,))
        for features in self._features(view):
            of = features[view][stage]
            labels = self._labels(done, len(of))
            (answer,) = network.heads(features, labels, [variant])
            yield of, resized(answer.branches[:, 0], of.shape[2:]), labels.tolist()
            done += len(of)
            report(done, len(self.images))

    def _outlined(
        self, view: View, outlines: Sequence[Outline], report: Report
    ) -> Iterator[tuple[Float[Tensor, "b d h w"], Float[Tensor, "b e fh fw"] | None, Sequence[Outline], Sequence[int]]]:
        stages, done = self.localizer.network.foreground_stages, 0
        for features in feature_batches(self.localizer, self.images, {view}, stages=stages):
            coarse, *finer = (features[view][stage] for stage in stages)
            some = slice(done, done + len(coarse))
            yield coarse, finer[0] if finer else None, outlines[some], [s.label for s in self.images[some]]
            done += len(coarse)
            report(done, len(self.images))

    def _labels(self, start: int, count: int) -> Int64[Tensor, " b"]:
        labels = [sample.label for sample in self.images[start : start + count]]
        return torch.tensor(labels, device=self.localizer.device)

    def _features(self, view: View) -> Iterator[dict[View, Features]]:
        if self.store is None or view.size != self.localizer.size:
            yield from feature_batches(self.localizer, self.images, {view}, stages=self.localizer.method.in_features)
            return
        batch = inference_batch(self.localizer.device)
        for start in range(0, len(self.images), batch):
            yield {view: stored_features(self.localizer, self.store, self.rows[start : start + batch])}
