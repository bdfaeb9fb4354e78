"""Images -> network -> heatmap and levels: the one way that locating, scoring and learning the foreground score go.

Squares or cached features go in, batch by batch (`feature_batches`), the network answers, and `draw_maps` makes a
heatmap and levels of each image's map, by the protocol. So `locate`, `evaluate` and `score` find the same box.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from PIL import Image

from hclnet.backbones import Features
from hclnet.data.images import check_image, image_size, load_square, squash
from hclnet.localizer.cache import FeatureStore, cached_features
from hclnet.localizer.features import image_batches, inference_batch
from hclnet.localizer.localizer import Localizer
from hclnet.localizer.network import Answer
from hclnet.localizer.request import as_path_or_picture
from hclnet.maps.augmentation import View
from hclnet.metrics import Drawn, Scoring, draw
from hclnet.types import Gray, Sample

Square = Callable[[int], UInt8[np.ndarray, "s s 3"]]
"""An image squashed to a side, pixels."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Picture(NamedTuple):
    """An image that was checked and is not yet decoded.

    Attributes:
        path: of its file; empty for one from memory.
        size: width and height, upright, pixels.
        square: squashes it to a side. ValueError if it can't be decoded.
    """

    path: str
    size: tuple[int, int]
    square: Square


def as_picture(image: Any, gray: Gray) -> Picture:
    """An image that a person gave: a path, a Pillow image or an array.

    Raises:
        ValueError: it is none of these, or it can't be read.
    """
    given = as_path_or_picture(image, gray)
    if isinstance(given, Image.Image):
        return Picture("", given.size, partial(squash, given))
    check_image(given)
    return Picture(given, image_size(given), partial(load_square, given, gray=gray))


class MapRow(NamedTuple):
    """What the network makes of one image, as arrays; see `hclnet.localizer.network.Answer`."""

    map: Float[np.ndarray, "h w"]
    grid: Float[np.ndarray, "fh fw"]
    branches: Float[np.ndarray, "k fh fw"]
    foreground: Float32[np.ndarray, "gh gw"] | None
    features: Float32[np.ndarray, "d fgh fgw"] | None
    outlined: bool

    def draw(self, scoring: Scoring, square: Square | None) -> Drawn:
        """Its heatmap and levels, and what box rules need besides."""
        of_score = (self.foreground, self.features, self.grid, self.outlined)
        return draw(self.map, scoring, square, *of_score, self.branches)


def map_rows(answer: Answer) -> list[MapRow]:
    """The images of a batch, one by one.

    Raises:
        ValueError: a map is not finite.
    """
    maps = answer.maps.cpu().numpy()
    if not np.isfinite(maps).all():
        raise ValueError(
            "The maps have NaN or infinite values. Most often the training has diverged: train again with a lower "
            "learning rate, such as --set lr=1e-4, or with --set precision=float32."
        )
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
    paths = [s.path for s in samples]
    for images in zip(*(image_batches(paths, side, batch, gray) for side in sides)):
        of = dict(zip(sides, images))
        yield {view: network.features(of[view.size], view.mirrored, stages) for view in seen}


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


def in_threads(
    work: Callable[[_Item], _Result], items: Iterable[_Item], pool: ThreadPoolExecutor, ahead: int
) -> Iterator[_Result]:
    """Results in order, while at most `ahead` items are worked on beyond the one that is wanted next."""
    waiting: deque[Future[_Result]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
