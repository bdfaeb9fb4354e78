"""The last step of a training: the foreground score that its class maps teach, for the box rule `auto`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from hclnet.backbones import Features
from hclnet.localizer.features import FeatureStore, image_batches, inference_batch
from hclnet.localizer.localizer import Localizer
from hclnet.maps.augmentation import View
from hclnet.maps.foreground import IMAGES, IMAGES_SEEN, ForegroundScore, fit_foreground
from hclnet.maps.heatmap import fused_maps
from hclnet.progress import Report, bar
from hclnet.types import Sample


def learn_missing(
    localizer: Localizer, samples: Sequence[Sample], looks: Iterable[View], store: FeatureStore | None = None
) -> bool:
    """Give a localizer the foreground score for the sizes of these looks, as far as it lacks it; whether it lacked any.

    Args:
        localizer: trained.
        samples: the training images.
        looks: that it is to be used with.
        store: features of the training images at the localizer's size, if they are at hand.
    """
    lacking = sorted({view.size for view in looks} - set(localizer.foreground))
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
        side: that the images are seen at, pixels; the localizer's own by default.
        store: their features at this side, if they are at hand.
    """
    nothing = localizer.inference.background_class
    teaching = np.array([i for i, s in enumerate(samples) if localizer.classes[s.label] != nothing], dtype=np.int64)
    most = IMAGES if store else IMAGES_SEEN
    chosen = teaching[np.linspace(0, len(teaching) - 1, min(most, len(teaching))).round().astype(np.int64)]
    labels = torch.tensor([samples[i].label for i in chosen])
    side = side or localizer.size
    with bar(f"What objects look like at {side} px") as report:
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
    method, done = localizer.method, 0
    settings = localizer.inference.model_copy(update={"fusion": None, "branch_normalization": "minmax"})
    for features in _features(localizer, samples, chosen, side, store):
        seen = features[method.in_features[-1]]
        of = labels[done : done + len(seen)].to(localizer.device)
        maps = fused_maps(localizer.output(features, of), settings, method.fusion)
        if maps.shape[1:] != seen.shape[2:]:
            maps = F.interpolate(maps.unsqueeze(1), seen.shape[2:], mode="bilinear", align_corners=False).squeeze(1)
        yield seen, maps
        done += len(seen)
        report(done, len(chosen))


def _features(
    localizer: Localizer, samples: Sequence[Sample], chosen: np.ndarray, side: int, store: FeatureStore | None
) -> Iterator[Features]:
    batch = inference_batch(localizer.device, side)
    if store is None:
        for images in image_batches([samples[i].path for i in chosen], side, batch, localizer.gray):
            yield localizer.features(images)
    else:
        for start in range(0, len(chosen), batch):
            features = store.batch(chosen[start : start + batch])
            yield {name: value.to(localizer.device) for name, value in features.items()}
