"""The paper's Figure 1 as a measurement: how much of the head and of the body a method's map covers.

On the drawn birds of `hclnet.data.parts`, whose `part_masks/` say of every pixel which part it is. "head" is head,
beak and crown; "body" is body, tail and legs; "rest" is what is not bird.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool

from hclnet.boxes import parse_rule, to_levels
from hclnet.data.parts.bird import PARTS
from hclnet.localizer import Localizer
from hclnet.types import Sample

GROUPS = {"head": ("head", "beak", "crown"), "body": ("body", "tail", "legs")}


def part_file(data: Path, sample: Sample) -> Path:
    """Where the part numbers of an image are, if the data set has them."""
    return (data / "part_masks" / sample.id).with_suffix(".png")


def regions(path: Path) -> dict[str, Bool[np.ndarray, "h w"]]:
    """Masks of head, body and rest from a file of part numbers."""
    numbers = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    masks = {name: np.isin(numbers, [PARTS.index(p) for p in parts]) for name, parts in GROUPS.items()}
    return masks | {"rest": numbers == 0}


def part_coverage(localizer: Localizer, samples: Sequence[Sample], data: Path) -> dict[str, list[float]]:
    """Of each image's map of the true class, by region: for every image in which the region is seen

    - `coverage head` ...: the share of its pixels in the mask that the box rule makes, largest component;
    - `heat head` ...: the mean of the heatmap on it, which needs no threshold.
    """
    rule, found = parse_rule(localizer.inference.box), {}
    for sample in samples:
        masks = regions(part_file(data, sample))
        label = localizer.classes[sample.label]
        heat = localizer.with_inference(map_size=len(masks["rest"])).locate(sample.path, classes=[label]).heatmap
        levels = to_levels(heat)
        covered = _largest_component(levels > rule.level(levels))
        for name, mask in masks.items():
            if mask.any():
                found.setdefault(f"coverage {name}", []).append(float(covered[mask].mean()))
                found.setdefault(f"heat {name}", []).append(float(heat[mask].mean()))
    return found


def _largest_component(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The 8-connected component with the most pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return (labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()) if len(stats) > 1 else np.zeros_like(mask)
