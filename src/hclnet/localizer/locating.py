"""A localizer and images -> what is found in each: classes, maps and boxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64

from hclnet.backbones import Features
from hclnet.boxes import find_objects, parse_rule, scale
from hclnet.data.images import enlarged
from hclnet.localizer.features import inference_batch
from hclnet.localizer.localizer import Localizer
from hclnet.localizer.pipeline import MapRow, Picture, as_picture, in_threads, map_rows, rows_of
from hclnet.maps.augmentation import View
from hclnet.metrics import Hclnet
from hclnet.types import Localization, LocatedObject

_PREDICTIONS = 5  # shown besides the target classes
_THREADS = 2  # that decode images


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


def decoded_pictures(localizer: Localizer, images: Iterable[Any]) -> Iterator[Picture]:
    """The images of a list, checked and decoded by threads, some ahead of use.

    Raises:
        ValueError: one can't be read; the message has its place in the list, from 0.
    """
    sides, gray = {view.size for view in localizer.views}, localizer.gray

    def decoded(numbered: tuple[int, Any]) -> Picture:
        place, image = numbered
        try:
            picture = as_picture(image, gray)
            squares = {side: picture.square(side) for side in sides}
        except ValueError as error:
            raise ValueError(f"Image {place} of the list: {error}") from None
        return picture._replace(square=lambda side: squares[side] if side in squares else picture.square(side))

    with ThreadPoolExecutor(_THREADS) as pool:
        yield from in_threads(decoded, enumerate(images), pool, inference_batch(localizer.device) + _THREADS)


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
    probabilities = probabilities.cpu()
    targets = [_targets(localizer, of, top, given) for of in probabilities]
    found = dict(zip(enumerate(answer.classes.tolist()), map_rows(answer)))
    lacking = [(row, k) for row, of in enumerate(targets) for k in of.tolist() if (row, k) not in found]
    found |= _answered(localizer, features, lacking, with_features)
    return [
        _localization(localizer, picture, of, asked, [found[row, k] for k in asked.tolist()], max_objects)
        for row, (picture, of, asked) in enumerate(zip(pictures, probabilities, targets))
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


def _targets(
    localizer: Localizer, probabilities: Float[torch.Tensor, " c"], top: int, given: Sequence[int] | None
) -> Int64[torch.Tensor, " t"]:
    """The classes to box, most probable first: those that are given, or the `top` most probable ones that are objects.

    If the background class is the most probable, it is the only one.
    """
    if given is not None:
        asked = torch.tensor(given)
        return asked[probabilities[asked].argsort(descending=True)]
    ranked = probabilities.argsort(descending=True, stable=True)
    if localizer.inference.background_class is not None:
        nothing = localizer.classes.index(localizer.inference.background_class)
        ranked = ranked[:1] if ranked[0] == nothing else ranked[ranked != nothing]
    return ranked[:top]


def _localization(
    localizer: Localizer,
    picture: Picture,
    probabilities: Float[torch.Tensor, " c"],
    targets: Int64[torch.Tensor, " t"],
    rows: Sequence[MapRow],
    max_objects: int,
) -> Localization:
    settings, scoring = localizer.inference, Hclnet.of(localizer.inference)
    rule, side = parse_rule(settings.box), scoring.map_size
    names, scores = [localizer.classes[k] for k in targets], probabilities[targets].tolist()
    drawn = [row.draw(scoring, picture.square) for row in rows]
    objects = []
    for name, score, (_, evidence) in zip(names, scores, drawn):
        if name == settings.background_class or score < settings.min_score:
            continue
        found = find_objects(evidence, rule, max_objects)
        for one in found:
            x0, y0, x1, y1 = scale(one.box[None].astype(np.float64), (side, side), picture.size)[0].tolist()
            peak = one.peak / found[0].peak if len(found) > 1 else 1.0
            objects.append(LocatedObject(name, score * peak, (x0, y0, x1, y1), one.mask, one.agreement))
    ranked = probabilities.argsort(descending=True, stable=True)
    shown = {*ranked[:_PREDICTIONS].tolist(), *targets.tolist()}
    return Localization(
        path=picture.path,
        size=picture.size,
        objects=tuple(objects),
        predictions=tuple((localizer.classes[k], float(probabilities[k])) for k in ranked.tolist() if k in shown),
        heatmaps=dict(zip(names, [of.heatmap for of in drawn])),
        branches=dict(zip(names, [row.branches for row in rows])),
        gray=localizer.gray,
        maps=dict(zip(names, [row.grid for row in rows])),
    )
