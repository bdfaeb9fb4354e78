"""Does a file find what the localizer finds? It is run on pictures, and maps and boxes are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hclnet.exporting.graph import CLASSES
from hclnet.exporting.trace import Traced
from hclnet_runtime.boxes import best_iou, find_objects, parse_rule
from hclnet_runtime.engines import Run
from hclnet_runtime.locating import MapRow, Settings
from hclnet_runtime.pictures import Picture

CLOSE = 1e-4
"""How far maps and probabilities in float32 may be off."""
NEAR = 0.9
"""The IoU from which on boxes agree."""

_OF_CLASSES = frozenset({"maps", "grids", "branches", "foreground"})


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a file compares with the localizer, over some pictures.

    Attributes:
        images: how many.
        classes: in how many the most probable class is the same.
        equal: in how many the box is the same, to the pixel of the map.
        near: in how many the boxes have an IoU of at least `NEAR`.
        maps: the largest difference of a map's values where the class is the same; of maps with values beyond 1, in
            proportion to the largest.
        probabilities: the largest difference of a probability.
    """

    images: int
    classes: int
    equal: int
    near: int
    maps: float
    probabilities: float

    @property
    def close(self) -> bool:
        """Whether it differs by rounding only."""
        return max(self.maps, self.probabilities) <= CLOSE

    def __str__(self) -> str:
        return (
            f"{self.near} of {self.images} boxes agree (IoU {NEAR} or more), {self.equal} are equal; maps differ by "
            f"{self.maps:.1g} at most"
        )


def compare(traced: Traced, run: Run, pictures: Sequence[Picture]) -> Agreement:
    """Run a file and the localizer that it is made of on the same pictures.

    Args:
        traced: the localizer.
        run: the file.
        pictures: one or more.

    Raises:
        ValueError: a picture can't be read.
    """
    same, ious, maps, probabilities = [], [], [0.0], []
    for picture in pictures:
        ours, theirs = eager(traced, picture), exported(traced, run, picture)
        same.append(bool(ours["classes_used"] == theirs["classes_used"]))
        if same[-1]:
            scale = max(1.0, float(np.abs(ours["maps"]).max()))
            maps.append(float(np.abs(ours["maps"] - theirs["maps"]).max()) / scale)
        probabilities.append(float(np.abs(ours["probabilities"] - theirs["probabilities"]).max()))
        ious.append(_iou(box_of(traced, ours, picture), box_of(traced, theirs, picture)))
    near = sum(iou >= NEAR for iou in ious)
    return Agreement(len(ious), sum(same), sum(iou == 1 for iou in ious), near, max(maps), max(probabilities))


def inputs_of(traced: Traced, picture: Picture, classes: Sequence[int] = (-1,)) -> dict[str, np.ndarray]:
    """What a file gets of a picture, by the names of its inputs; by default the most probable class is asked for."""
    squares = {name: picture.square(side)[None] for name, side in traced.graph.inputs.items()}
    return {**squares, CLASSES: np.array([classes])}


@torch.inference_mode()
def eager(traced: Traced, picture: Picture, asked: Sequence[int] = (-1,)) -> dict[str, np.ndarray]:
    """What the localizer makes of a picture, as a file would put it out."""
    *squares, classes = (torch.tensor(value) for value in inputs_of(traced, picture, asked).values())
    return {name: value.numpy() for name, value in traced.graph(squares, classes).items()}


def exported(traced: Traced, run: Run, picture: Picture) -> dict[str, np.ndarray]:
    """What a file makes of it."""
    return run(inputs_of(traced, picture))


def box_of(traced: Traced, outputs: Mapping[str, np.ndarray], picture: Picture) -> np.ndarray | None:
    """The box of the class in one image's outputs, in pixels of the heatmap; None if the map shows nothing."""
    of: dict[str, np.ndarray] = {name: value[0, 0] for name, value in outputs.items() if name in _OF_CLASSES}
    features = outputs.get("features")
    row = MapRow(
        of["maps"], of.get("grids", of["maps"]), of["branches"], of.get("foreground"),
        None if features is None else features[0], traced.about["outlined"],
    )  # fmt: skip
    settings = Settings.of(traced.localizer.inference.model_dump())
    drawn = row.draw(settings, picture.square)
    found = find_objects(drawn.evidence, parse_rule(settings.box))
    return found[0].box if found else None


def _iou(one: np.ndarray | None, other: np.ndarray | None) -> float:
    if one is None or other is None:
        return float(one is other)
    return float(best_iou(one[None], other[None].astype(np.float64))[0])
