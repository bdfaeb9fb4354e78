"""Images -> network -> heatmap and levels: the one way that locating, scoring and learning the foreground score go.

Squares or cached features go in, batch by batch (`feature_batches`), the network answers, and `draw_maps` makes a
heatmap and levels of each image's map, by the protocol. So `locate`, `evaluate` and `score` find the same box.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import UInt8

from hclnet.backbones import Features
from hclnet.localizer.cache import FeatureStore, cached_features
from hclnet.localizer.features import computed, computes_together, image_batches, inference_batch
from hclnet.localizer.localizer import Localizer
from hclnet.localizer.network import Answer
from hclnet.maps.augmentation import View
from hclnet.types import Sample
from hclnet_runtime.locating import MapRow, check_finite


def map_rows(answer: Answer) -> list[MapRow]:
    """The images of a batch, one by one.

    Raises:
        ValueError: a map is not finite.
    """
    maps = answer.maps.cpu().numpy()
    check_finite(maps)
    others = [answer.grid, answer.branches, answer.foreground, answer.features]
    arrays = [[None] * len(maps) if of is None else of.cpu().numpy() for of in others]
    rows = zip(maps, *arrays, [answer.outlined] * len(maps))
    return [MapRow(*row) for row in rows]


def feature_batches(
    localizer: Localizer,
    samples: Sequence[Sample],
    seen: Collection[View],
    cache: bool = False,
    stages: Sequence[str] | None = None,
) -> Iterator[dict[View, Features]]:
    """Features of images in batches, by view, on the localizer's device.

    Args:
        localizer: whose backbone it is.
        samples: the images.
        seen: the views.
        cache: keep the features on disk, or take them from there; for a frozen backbone.
        stages: whose features; those that the network needs by default.
    """
    sides = sorted({view.size for view in seen})
    network, batch, gray = localizer.network, inference_batch(localizer.device), localizer.gray
    if cache:
        wanted, how = stages or network.stages, (localizer.dtype, localizer.device)
        stores = {
            side: cached_features(localizer.backbone, wanted, samples, side, *how, View(side, True) in seen, gray=gray)
            for side in sides
        }
        for start in range(0, len(samples), batch):
            rows = np.arange(start, min(start + batch, len(samples)))
            yield {view: stored_features(localizer, stores[view.size], rows, view.mirrored) for view in seen}
        return

    def features_of(images: Sequence[UInt8[np.ndarray, "b _ _ 3"]]) -> dict[View, Features]:
        of = dict(zip(sides, images))
        return {view: network.features(of[view.size], view.mirrored, stages) for view in seen}

    paths = [s.path for s in samples]
    images = zip(*(image_batches(paths, side, batch, gray) for side in sides))
    yield from computed(features_of, images, computes_together(network.backbone, network.device, network.dtype))


def stored_features(localizer: Localizer, store: FeatureStore, rows: np.ndarray, mirrored: bool = False) -> Features:
    """Features of some images from a cache, on the localizer's device."""
    features = store.batch(rows, np.ones(len(rows), bool) if mirrored else None)
    return {name: value.to(localizer.device) for name, value in features.items()}


def rows_of(features: Features, rows: Sequence[int]) -> Features:
    """Features of some images of a batch, each as often as it is named."""
    count = len(next(iter(features.values())))
    if list(rows) == list(range(count)):
        return features
    return {name: value[list(rows)].contiguous(memory_format=torch.channels_last) for name, value in features.items()}
