"""The paper's Figure 1 as a measurement: how much of the head and of the body a method's map covers.

On the drawn birds of `hclnet.synthetic`, whose `part_masks/` say of every pixel which part it is. "head" is head,
beak and crown; "body" is body, tail and legs; "rest" is what is not bird.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool

from hclnet.localizer.localizer import Localizer
from hclnet.synthetic.bird import PARTS
from hclnet.types import Sample

GROUPS = {"head": ("head", "beak", "crown"), "body": ("body", "tail", "legs")}


def part_file(data: Path, sample: Sample) -> Path:
    """Where the part numbers of an image are, if the data set has them."""
    return (data / "part_masks" / sample.id).with_suffix(".png")


def regions(path: Path) -> dict[str, Bool[np.ndarray, "h w"]]:
    """Masks of head, body and rest from a file of part numbers."""
    numbers = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if numbers is None:
        raise ValueError(f"{path} can't be read: the numbers of the parts have to be there for each image.")
    masks: dict[str, np.ndarray] = {
        name: np.isin(numbers, [PARTS.index(p) for p in parts]) for name, parts in GROUPS.items()
    }
    return {**masks, "rest": np.asarray(numbers == 0)}


def part_coverage(localizer: Localizer, samples: Sequence[Sample], data: Path) -> dict[str, list[float]]:
    """Of each image's map of the true class, by region: for every image in which the region is seen

    - `coverage head` ...: the share of its pixels in the box that the box rule draws;
    - `heat head` ...: the mean of the heatmap on it, which needs no rule.
    """
    found: dict[str, list[float]] = {}
    for sample in samples:
        masks = regions(part_file(data, sample))
        side, label = len(masks["rest"]), localizer.classes[sample.label]
        one = localizer.with_inference(map_size=side).locate(sample.path, classes=[label])
        box = np.zeros_like(masks["rest"])
        if one.box is not None:
            x0, y0, x1, y1 = (round(edge) for edge in one.box)
            box[y0:y1, x0:x1] = True
        for name, mask in masks.items():
            if mask.any():
                found.setdefault(f"coverage {name}", []).append(float(box[mask].mean()))
                found.setdefault(f"heat {name}", []).append(float(one.heatmap[mask].mean()))
    return found
