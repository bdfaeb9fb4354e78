"""A localizer and images -> what is found in each: classes, maps and boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch

from hclnet.backbones import Features
from hclnet.localizer.features import inference_batch
from hclnet.localizer.localizer import Localizer
from hclnet.localizer.pipeline import map_rows, rows_of
from hclnet.maps.augmentation import View
from hclnet.types import Localization
from hclnet_runtime.boxes import parse_rule
from hclnet_runtime.data.images import enlarged
from hclnet_runtime.locating import Known, MapRow, Settings, localization, targets_of
from hclnet_runtime.pictures import Picture


def locate_pictures(
    localizer: Localizer, pictures: Iterator[Picture], top: int, classes: tuple[str, ...] | None, max_objects: int
) -> Iterator[Localization]:
    """What is found in each image, in order.

    Args:
        localizer: with the settings of maps and boxes.
        pictures: the images.
        top: box the `top` most probable classes.
        classes: or these, as far as they are there.
        max_objects: how many objects of each class there may be.

    Raises:
        ValueError: an image can't be read, or a map is not finite.
    """
    while some := list(islice(pictures, inference_batch(localizer.device))):
        yield from _located(localizer, some, top, classes, max_objects)


@torch.inference_mode()
def _located(
    localizer: Localizer, pictures: Sequence[Picture], top: int, classes: tuple[str, ...] | None, max_objects: int
) -> list[Localization]:
    """What is found in the images of one batch."""
    network, settings, seen = localizer.network, localizer.inference, localizer.views
    squares = {side: np.stack([of.square(side) for of in pictures]) for side in {view.size for view in seen}}
    features = {view: network.features(squares[view.size], view.mirrored) for view in seen}
    given = None if classes is None else [localizer.classes.index(name) for name in classes]
    with_features = "features" in parse_rule(settings.box).needs
    first = None if given is None else torch.full((len(pictures),), given[0], device=localizer.device)
    (answer,) = network.heads(features, first, with_features=with_features)
    probabilities = answer.probabilities
    if settings.crops == 10:
        side = enlarged(localizer.size)
        probabilities = network.crop_probabilities(np.stack([of.square(side) for of in pictures]))
    known = Known(localizer.classes, localizer.gray, Settings.of(settings.model_dump()))
    scores = list(probabilities.cpu().numpy())
    targets = [targets_of(known, of, top, given) for of in scores]
    found = dict(zip(enumerate(answer.classes.tolist()), map_rows(answer)))
    lacking = [(row, k) for row, of in enumerate(targets) for k in of.tolist() if (row, k) not in found]
    found |= _answered(localizer, features, lacking, with_features)
    return [
        localization(known, picture, of, asked, [found[row, k] for k in asked.tolist()], max_objects)
        for row, (picture, of, asked) in enumerate(zip(pictures, scores, targets))
    ]


def _answered(
    localizer: Localizer, features: dict[View, Features], wanted: Sequence[tuple[int, int]], with_features: bool
) -> dict[tuple[int, int], MapRow]:
    """The maps of images, by their row, and classes."""
    found: dict[tuple[int, int], MapRow] = {}
    batch = inference_batch(localizer.device)
    for start in range(0, len(wanted), batch):
        some = wanted[start : start + batch]
        of = {view: rows_of(each, [row for row, _ in some]) for view, each in features.items()}
        targets = torch.tensor([k for _, k in some], device=localizer.device)
        (answer,) = localizer.network.heads(of, targets, with_features=with_features)
        found |= dict(zip(some, map_rows(answer)))
    return found
