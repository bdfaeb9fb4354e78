"""Whether the agreement of a box says how likely it is right, on real images.

    python benchmarks/agreement.py --work OUT

For each set and method: the share of boxes that are right (IoU of at least 0.5 with a ground-truth box) among the
third of the images with the least agreement, the middle third and the third with the most; and the area under the ROC
curve, the probability that a right box has more agreement than a wrong one (half if they are equal). Trainings are
those of `real_images.py` with one seed, which are used again if WORK has them.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torchmetrics.functional.classification import binary_auroc

from hclnet_runtime.boxes import iou
from real_options import add_options, open_chosen
from real_runs import Part, make_parts


def judged(part: Part) -> tuple[np.ndarray, np.ndarray]:
    """Agreement and best IoU of the box of each tested image with a ground-truth box; zeros where there is no box."""
    ground_truth, rows = part.data.ground_truth, []
    tested = [s for s in part.data.split("test") if len(ground_truth.boxes.get(s.id, ()))]
    for label, name in enumerate(part.data.classes):
        samples = [s for s in tested if s.label == label]
        for sample, one in zip(samples, part.localizer.locate_batch([s.path for s in samples], classes=[name])):
            boxes = ground_truth.boxes_in(sample.id, one.size)
            rows += [(o.agreement or 0.0, iou(np.array([o.box]), boxes).max()) for o in one.objects] or [(0.0, 0.0)]
    agreement, overlap = np.array(rows, dtype=np.float64).T
    return agreement, overlap


def area_under_roc(scores: np.ndarray, right: np.ndarray) -> float:
    """The probability that a right one has a higher score, 0..1, than a wrong one; nan if all or none are right."""
    if right.all() or not right.any():
        return float("nan")
    return float(binary_auroc(torch.from_numpy(scores), torch.from_numpy(right).long()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, methods="cam,hclnet")
    chosen = parser.parse_args()
    settings, opened = open_chosen(parser, chosen)
    print("| set | images | method | right | area under ROC | of the least third | of the middle third | of the most |")
    print("|---|---|---|---|---|---|---|---|")
    for real in opened:
        for method in chosen.methods.split(","):
            parts = make_parts(real, method, 0, settings, chosen.work)
            for part in parts:
                part.train()
            scores, overlap = (np.concatenate(of) for of in zip(*(judged(part) for part in parts)))
            right = overlap >= 0.5
            thirds = np.array_split(right[np.argsort(scores, kind="stable")], 3)
            cells = [real.name, str(len(right)), method, f"{100 * right.mean():.1f}"]
            cells += [f"{area_under_roc(scores, right):.2f}", *(f"{100 * third.mean():.0f}" for third in thirds)]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
