"""The paper's Figure 1 as a measurement: how much of the head and of the body each method's map covers.

    python benchmarks/parts_coverage.py OUT [--cues 0,0.5,1] [--methods cam,acol,hclnet] [--seeds 3] [--size 224]

Draws `parts` at each `body_cue` (how often the plumage of the body tells the species; the head always does), trains the
methods on labels alone, and reads their maps of the true class on the test images. Per image, from the part masks:

- coverage of a part: the share of its visible pixels in the mask that the box rule makes, largest component;
- heat: the mean of the heatmap on it, which needs no threshold.

"head" is head, beak and crown; "body" is body, tail and legs; "rest" is what is not bird.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import cv2
import numpy as np
import torch

from hclnet.boxes import parse_rule, to_levels
from hclnet.compare import compare, run_folder, title
from hclnet.data import read
from hclnet.data.images import open_image, squash
from hclnet.data.parts import PartsOptions, write
from hclnet.data.parts.bird import PARTS
from hclnet.heatmaps import heatmaps
from hclnet.localizer import Localizer

GROUPS = {"head": ("head", "beak", "crown"), "body": ("body", "tail", "legs")}


def regions(path: Path) -> dict[str, np.ndarray]:
    """Masks of head, body and rest from a file of part numbers."""
    numbers = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    masks = {name: np.isin(numbers, [PARTS.index(p) for p in parts]) for name, parts in GROUPS.items()}
    return masks | {"rest": numbers == 0}


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The 8-connected component with the most pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return (labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()) if len(stats) > 1 else np.zeros_like(mask)


@torch.inference_mode()
def measure(localizer: Localizer, data: Path) -> dict[str, float]:
    """Mean coverage and heat by region, over the test images of `data`."""
    rule = parse_rule(localizer.inference.box)
    sums: dict[str, list[float]] = {}
    for sample in read(data).split("test"):
        masks = regions((data / "part_masks" / sample.id).with_suffix(".png"))
        side = masks["rest"].shape[0]
        features = localizer.features(squash(open_image(sample.path), localizer.size)[None])
        output = localizer.method(features, torch.tensor([sample.label]))
        settings = localizer.inference.model_copy(update={"map_size": side})
        heat = heatmaps(output, settings, localizer.method.fusion)[0].numpy()
        levels = to_levels(heat)
        covered = largest_component(levels > rule.level(levels))
        for name, mask in masks.items():
            if mask.any():
                sums.setdefault(f"coverage {name}", []).append(float(covered[mask].mean()))
                sums.setdefault(f"heat {name}", []).append(float(heat[mask].mean()))
    return {name: float(np.mean(values)) for name, values in sums.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--cues", default="0,0.5,1")
    parser.add_argument("--methods", default="cam,acol,hclnet")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--classes", type=int, default=8)
    parser.add_argument("--train", type=int, default=24)
    parser.add_argument("--test", type=int, default=8)
    chosen = parser.parse_args()
    columns = [f"{what} {name}" for what in ("coverage", "heat") for name in (*GROUPS, "rest")]
    columns += ["top1_cls", "gt_known", "max_box_acc"]
    print("| body_cue | method | " + " | ".join(columns) + " |\n" + "|---" * (len(columns) + 2) + "|")
    for cue in (float(c) for c in chosen.cues.split(",")):
        data = chosen.out / f"cue-{cue:g}" / "data"
        if not (data / "parts.json").exists():
            write(PartsOptions(chosen.classes, chosen.train, chosen.test, body_cue=cue), data)
        rows = compare(data, chosen.methods.split(","), data.parent, chosen.seeds, size=chosen.size)
        found: dict[str, list[dict[str, float]]] = {}
        for row in rows:
            localizer = Localizer.load(run_folder(data.parent, row))
            found.setdefault(title(row), []).append(measure(localizer, data) | row)
        for name, figures in found.items():
            cells = []
            for column in columns:
                values = sorted(100 * f[column] for f in figures)
                cells.append(f"{statistics.median(values):.0f} [{values[0]:.0f} to {values[-1]:.0f}]")
            print(f"| {cue:g} | {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
