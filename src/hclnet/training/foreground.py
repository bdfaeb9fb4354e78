"""The last step of a training: the foreground score that its class maps teach, for the box rule `auto`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hclnet.backbones import Features
from hclnet.localizer.cache import FeatureStore
from hclnet.localizer.features import inference_batch
from hclnet.localizer.localizer import Localizer
from hclnet.localizer.network import Variant
from hclnet.localizer.pipeline import feature_batches, stored_features
from hclnet.maps.augmentation import View, resized
from hclnet.maps.foreground import IMAGES, IMAGES_SEEN, ForegroundScore, fit_foreground
from hclnet.progress import Report, bar
from hclnet.types import Sample


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
    for side in lacking:
        learnt = learn_foreground(localizer, samples, side, store if side == localizer.size else None)
        if learnt is not None:
            localizer.foreground[side] = learnt
    return bool(lacking)


@torch.inference_mode()
def learn_foreground(
    localizer: Localizer, samples: Sequence[Sample], side: int | None = None, store: FeatureStore | None = None
) -> ForegroundScore | None:
    """What the localizer's maps of the labelled images teach about objects; None if they are all flat.

    It is learnt from the method's own fusion whatever the settings of maps and boxes are, so that one training serves
    all of them, but for the size that images are seen at: features change with it. Images of the class that is no
    object teach nothing.

    Args:
        localizer: trained.
        samples: the training images, of which at most `IMAGES` are used, evenly spread.
        side: of the images, pixels; the localizer's own by default.
        store: their features at this side, if they are at hand.
    """
    nothing = localizer.inference.background_class
    teaching = np.array([i for i, s in enumerate(samples) if localizer.classes[s.label] != nothing], dtype=np.int64)
    most = IMAGES if store else IMAGES_SEEN
    chosen = teaching[np.linspace(0, len(teaching) - 1, min(most, len(teaching))).round().astype(np.int64)]
    labels = torch.tensor([samples[i].label for i in chosen])
    side = side or localizer.size
    with bar(f"Foreground score at {side} px") as report:
        return fit_foreground(_batches(localizer, samples, chosen, labels, side, store, report))


def _batches(
    localizer: Localizer,
    samples: Sequence[Sample],
    chosen: np.ndarray,
    labels: Tensor,
    side: int,
    store: FeatureStore | None,
    report: Report,
) -> Iterator[tuple[Float[Tensor, "b d h w"], Float[Tensor, "b h w"]]]:
    network, view, done = localizer.network, View(side), 0
    changes = {"fusion": None, "branch_normalization": "minmax", "upsample_first": False}
    variant = Variant(localizer.inference.model_copy(update=changes), (view,))
    for features in _features(localizer, samples, chosen, view, store):
        seen = features[view][localizer.method.foreground_feature]
        of = labels[done : done + len(seen)].to(localizer.device)
        (answer,) = network.heads(features, of, [variant])
        yield seen, resized(answer.grid, seen.shape[2:])
        done += len(seen)
        report(done, len(chosen))


def _features(
    localizer: Localizer, samples: Sequence[Sample], chosen: np.ndarray, view: View, store: FeatureStore | None
) -> Iterator[dict[View, Features]]:
    if store is None:
        yield from feature_batches(localizer, [samples[i] for i in chosen], {view})
        return
    batch = inference_batch(localizer.device)
    for start in range(0, len(chosen), batch):
        yield {view: stored_features(localizer, store, chosen[start : start + batch])}
