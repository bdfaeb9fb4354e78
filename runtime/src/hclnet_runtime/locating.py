"""What a network says of an image -> its `Localization`: the classes to box, heatmaps, boxes. The same for a run, whose
network is torch's, and for an exported file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int64, Real, UInt8

from hclnet_runtime.boxes import find_objects, parse_rule, scale, to_levels
from hclnet_runtime.heatmaps import Drawing, Drawn, draw, to_heatmap
from hclnet_runtime.pictures import Picture, Square
from hclnet_runtime.types import Gray, Localization, LocatedObject

_PREDICTIONS = 5  # shown besides the target classes


@dataclass(frozen=True, slots=True)
class Settings:
    """How the maps of a network become boxes: those of the settings in `hclnet.Inference`, by the same names, that the
    network has no part in. As a `Drawing` it is our own protocol."""

    map_size: int
    upsampling: str
    cam_normalization: str
    box: str
    min_score: float
    background_class: str | None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Settings:
        """Those among all settings. KeyError if one is missing."""
        return cls(**{field.name: settings[field.name] for field in fields(cls)})

    def heatmap(self, map: Real[np.ndarray, "h w"]) -> Float[np.ndarray, "s s"]:
        return to_heatmap(map, self.map_size, self.upsampling, self.cam_normalization)

    def levels(self, heatmap: Float[np.ndarray, "s s"]) -> UInt8[np.ndarray, "s s"]:
        return to_levels(heatmap)


class Known(NamedTuple):
    """What is known of a model besides its network.

    Attributes:
        classes: names, in the order of the probabilities.
        gray: how gray of more than 8 bits becomes 8 bits.
        settings: how maps become boxes.
    """

    classes: tuple[str, ...]
    gray: Gray
    settings: Settings


class MapRow(NamedTuple):
    """What the network makes of one image and class.

    Attributes:
        map: the fused map, which a protocol makes a heatmap of.
        grid: the fused map at feature resolution.
        branches: the min-max normalized map of each branch, at feature resolution.
        foreground: the foreground score of each cell of the features; None without one.
        features: that it reads; None where they were not asked for.
        outlined: whether the score was learned from outlines.
    """

    map: Float[np.ndarray, "h w"]
    grid: Float[np.ndarray, "fh fw"]
    branches: Float[np.ndarray, "k fh fw"]
    foreground: Float32[np.ndarray, "gh gw"] | None
    features: Float32[np.ndarray, "d fgh fgw"] | None
    outlined: bool

    def draw(self, drawing: Drawing, square: Square | None) -> Drawn:
        """Its heatmap and levels, and what box rules need besides."""
        of_score = (self.foreground, self.features, self.grid, self.outlined)
        return draw(self.map, drawing, square, *of_score, self.branches)


def check_finite(maps: Float[np.ndarray, "*batch h w"]) -> None:
    """Raises:
    ValueError: a map has a value that is not finite.
    """
    if not np.isfinite(maps).all():
        raise ValueError(
            "The maps have NaN or infinite values. Most often the training has diverged: train again with a lower "
            "learning rate, such as --set lr=1e-4, or with --set precision=float32."
        )


def targets_of(
    known: Known, probabilities: Float[np.ndarray, " c"], top: int, given: Sequence[int] | None
) -> Int64[np.ndarray, " t"]:
    """The classes to box, most probable first: those that are given, or the `top` most probable ones that are objects.

    If the background class is the most probable, it is the only one.
    """
    if given is not None:
        asked = np.array(given, dtype=np.int64)
        return asked[_ranked(probabilities[asked])]
    ranked = _ranked(probabilities)
    if known.settings.background_class is not None:
        nothing = known.classes.index(known.settings.background_class)
        ranked = ranked[:1] if ranked[0] == nothing else ranked[ranked != nothing]
    return ranked[:top]


def localization(
    known: Known,
    picture: Picture,
    probabilities: Float[np.ndarray, " c"],
    targets: Int64[np.ndarray, " t"],
    rows: Sequence[MapRow],
    max_objects: int,
) -> Localization:
    """What is found in an image.

    Args:
        known: the model.
        picture: the image.
        probabilities: of all classes.
        targets: the classes to box, most probable first.
        rows: what the network makes of each of them.
        max_objects: how many objects of each class there may be.

    Raises:
        ValueError: the image can't be read.
    """
    settings = known.settings
    rule, side = parse_rule(settings.box), settings.map_size
    names, scores = [known.classes[k] for k in targets], probabilities[targets].tolist()
    drawn = [row.draw(settings, picture.square) for row in rows]
    objects = []
    for name, score, (_, evidence) in zip(names, scores, drawn):
        if name == settings.background_class or score < settings.min_score:
            continue
        found = find_objects(evidence, rule, max_objects)
        for one in found:
            x0, y0, x1, y1 = scale(one.box[None].astype(np.float64), (side, side), picture.size)[0].tolist()
            peak = one.peak / found[0].peak if len(found) > 1 else 1.0
            objects.append(LocatedObject(name, score * peak, (x0, y0, x1, y1), one.mask, one.agreement))
    ranked = _ranked(probabilities).tolist()
    shown = {*ranked[:_PREDICTIONS], *targets.tolist()}
    return Localization(
        path=picture.path,
        size=picture.size,
        objects=tuple(objects),
        predictions=tuple((known.classes[k], float(probabilities[k])) for k in ranked if k in shown),
        heatmaps=dict(zip(names, [of.heatmap for of in drawn])),
        branches=dict(zip(names, [row.branches for row in rows])),
        gray=known.gray,
        maps=dict(zip(names, [row.grid for row in rows])),
    )


def _ranked(probabilities: Float[np.ndarray, " c"]) -> Int64[np.ndarray, " c"]:
    """From the most probable to the least; of equal ones the first comes first."""
    return np.argsort(-probabilities, kind="stable")
