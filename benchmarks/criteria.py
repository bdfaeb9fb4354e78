"""Whether a number that needs no boxes orders methods and box rules as their accuracy does, on real images.

    python benchmarks/criteria.py [SETS...] --work FOLDER [--methods cam,acol,hclnet,adl,bas] [--rules auto,otsu3,...]

A candidate is a method with a box rule. Of each candidate the accuracy is GT-known (IoU >= 0.5), and a criterion is the
mean over images of a number that is computed from the image, its class and the candidate's box:

- agreement: the share of cuts that agree with the box (`hclnet.boxes.consensus`).
- mirror: IoU of the box and that of the mirrored image, mirrored back.
- zoom: IoU of the box and that of the image's central part, 0.8 of both sides, where both are cut to this part.
- crop: the classifier's probability of the class for the crop to the box.
- without: 1 less its probability for the image whose box has the image's mean color.
- crop without: the mean of both.
- ring: 1 less the cosine between the mean features inside of the box and in a ring of half its width and height.

The classifier of `crop` and `without` and the features of `ring` are those of the run of the first method. The tables
have Spearman's rank correlation of each criterion with the accuracy, over all candidates of a set, over the methods
under the first rule, and over the rules of each method (their mean). A last table says how well each criterion tells
right boxes of one run from wrong ones: the area under its ROC over the images, under the first rule, the mean of the
methods. Trainings are those of `real_images.py` with one
seed, which are used again if FOLDER has them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import torch
from scipy.stats import spearmanr

from agreement import area_under_roc
from hclnet.localizer.localizer import Localizer
from hclnet.localizer.pipeline import map_rows
from hclnet.metrics import Hclnet
from hclnet.progress import bar
from hclnet.types import Sample
from hclnet_runtime.boxes import find_objects, iou, parse_rule, scale
from hclnet_runtime.data.images import open_image, squash
from real_options import add_options, open_chosen
from real_runs import Part, make_parts

CRITERIA = ("agreement", "mirror", "zoom", "crop", "without", "crop without", "ring")
ACCURACY = "GT-known"
NUMBERS = (ACCURACY, *CRITERIA)
_ZOOM = 0.8  # of both sides

Square = Callable[[int], np.ndarray]
"""An image squashed to a side, pixels."""


def found_boxes(
    localizer: Localizer, square: Square, label: int, rules: Sequence[str]
) -> list[tuple[np.ndarray, float]]:
    """By each rule the box of a class in shares of the image, the whole image if there is none, and its agreement."""
    network, scoring = localizer.network, Hclnet.of(localizer.inference)
    features = {view: network.features(square(view.size)[None], view.mirrored) for view in localizer.views}
    (answer,) = network.heads(features, torch.tensor([label]))
    (row,) = map_rows(answer)
    evidence, boxes = row.draw(scoring, square).evidence, []
    for rule in rules:
        objects = find_objects(evidence, parse_rule(rule))
        box = objects[0].box / scoring.map_size if objects else np.array([0.0, 0.0, 1.0, 1.0])
        boxes.append((box, (objects[0].agreement or 0.0) if objects else 0.0))
    return boxes


def mirrored(box: np.ndarray) -> np.ndarray:
    """A box in shares of the image, in those of the mirrored one."""
    return np.array([1 - box[2], box[1], 1 - box[0], box[3]])


def in_center(box: np.ndarray) -> np.ndarray:
    """A box in shares of the image, in those of its central part, cut to it."""
    return np.clip((box - (1 - _ZOOM) / 2) / _ZOOM, 0, 1)


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return float(iou(first[None], second[None])[0, 0])


def inside_against_ring(features: np.ndarray, box: np.ndarray) -> float:
    """1 less the cosine between the mean of d x h x w features inside of a box and in the ring around it, 0..2."""
    size = box[2:] - box[:2]
    wide = np.concatenate([box[:2] - size / 2, box[2:] + size / 2])
    inner, outer = (covered(of, features.shape[1:]) for of in (box, wide))
    means = [(features * share).sum((1, 2)) for share in (inner, outer - inner)]
    length = np.prod([np.linalg.norm(mean) for mean in means])
    return 0.0 if length == 0 else float(1 - means[0] @ means[1] / length)


def covered(box: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The share of each cell's area that a box, in shares of the image, covers."""
    sides = []
    for low, high, cells in ((box[1], box[3], shape[0]), (box[0], box[2], shape[1])):
        edges = np.arange(cells + 1)
        sides.append(np.maximum(np.minimum(high * cells, edges[1:]) - np.maximum(low * cells, edges[:-1]), 0))
    return np.outer(*sides)


class Judge:
    """The classifier that is asked about crops: that of a run, at the size of its training."""

    def __init__(self, localizer: Localizer) -> None:
        self.network = localizer.with_inference(scales=[1], flip=False).network

    def probability(self, image: np.ndarray, label: int) -> float:
        features = self.network.features(image[None])
        return float(self.network.output(features).logits.softmax(1)[0, label])

    def features(self, image: np.ndarray) -> np.ndarray:
        """Of the stage that class maps are computed from."""
        stage = self.network.method.foreground_feature
        return self.network.features(image[None], stages=[stage])[stage][0].float().numpy()


def judged(parts: Sequence[Part], judges: Sequence[Judge], rules: Sequence[str], most: int) -> np.ndarray:
    """The `NUMBERS` of the tested images: image x rule x number."""
    rows = []
    for part, judge in zip(parts, judges):
        boxes = part.data.ground_truth
        samples = [s for s in part.data.split("test") if len(boxes.boxes.get(s.id, ()))]
        step = max(1, -(-len(samples) * len(parts) // most))
        with bar(f"{part.run.name}: criteria") as progress:
            for done, sample in enumerate(chosen := samples[::step]):
                rows.append(of_image(part, judge, sample, rules))
                progress(done + 1, len(chosen))
    return np.array(rows)


def of_image(part: Part, judge: Judge, sample: Sample, rules: Sequence[str]) -> np.ndarray:
    """`NUMBERS` of one image, a row a rule."""
    localizer, label = part.localizer, sample.label
    image = open_image(sample.path, gray=localizer.gray)
    gt = scale(part.data.ground_truth.boxes_in(sample.id, image.size), image.size, (1, 1))
    width, height = image.size
    margin = (1 - _ZOOM) / 2
    center = image.crop((margin * width, margin * height, (1 - margin) * width, (1 - margin) * height))
    square = partial(squash, image)
    plain = found_boxes(localizer, square, label, rules)
    turned = found_boxes(localizer, lambda side: np.ascontiguousarray(square(side)[:, ::-1]), label, rules)
    zoomed = found_boxes(localizer, partial(squash, center), label, rules)
    side = localizer.size
    pixels, features = square(side), judge.features(square(side))
    rows = []
    for (box, agreement), (other, _), (near, _) in zip(plain, turned, zoomed):
        x0, y0, x1, y1 = (box * [width, height, width, height]).tolist()
        crop = image.crop((int(x0), int(y0), max(int(x0) + 1, round(x1)), max(int(y0) + 1, round(y1))))
        without = pixels.copy()
        left, top, right, bottom = np.round(box * side).astype(int)
        without[top:bottom, left:right] = pixels.mean((0, 1)).astype(np.uint8)
        in_crop, outside = judge.probability(squash(crop, side), label), 1 - judge.probability(without, label)
        rows.append([
            float(iou(box[None], gt).max() >= 0.5),
            agreement,
            overlap(box, mirrored(other)),
            overlap(in_center(box), near),
            in_crop,
            outside,
            (in_crop + outside) / 2,
            inside_against_ring(features, box),
        ])  # fmt: skip
    return np.array(rows)


def correlation(of: Iterable[np.ndarray], criterion: int) -> float:
    """The mean over groups of candidates of Spearman's rank correlation of a criterion with the accuracy; nan where
    either is the same for all."""
    found = []
    for rows in of:
        accuracy, number = rows[:, 0], rows[:, 1 + criterion]
        if np.ptp(accuracy) > 0 and np.ptp(number) > 0:
            found.append(float(spearmanr(accuracy, number).statistic))
    return float(np.mean(found)) if found else float("nan")


def chosen_by(rows: np.ndarray, criterion: int) -> float:
    """The accuracy of the candidate that a criterion prefers."""
    return float(rows[rows[:, 1 + criterion].argmax(), 0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, methods="cam,acol,hclnet,adl,bas")
    parser.add_argument("--rules", default="auto,otsu3,fixed:0.2,fixed:0.5", help="box rules, the default one first")
    parser.add_argument("--images", type=int, default=250, help="of each set, at most, spread evenly")
    chosen = parser.parse_args()
    settings, opened = open_chosen(parser, chosen)
    rules, methods = chosen.rules.split(","), chosen.methods.split(",")
    table = {}
    for real in opened:
        judges: list[Judge] = []
        of_set = []
        for method in methods:
            parts = make_parts(real, method, 0, settings, chosen.work)
            for part in parts:
                part.train()
            judges = judges or [Judge(part.localizer) for part in parts]
            with torch.inference_mode():
                of_set.append(judged(parts, judges, rules, chosen.images))
            for rule, row in zip(rules, of_set[-1].mean(0)):
                numbers = ", ".join(f"{name} {value:.3f}" for name, value in zip(NUMBERS, row))
                print(f"{real.name} {method} {rule}: {numbers}", flush=True)
        table[real.name] = np.array(of_set)  # method x image x rule x number
    print("\n".join(["", *tables({name: of.mean(1) for name, of in table.items()}), "", *qualities(table)]))
    kept = {"methods": methods, "rules": rules, "numbers": NUMBERS}
    kept["sets"] = {name: of.tolist() for name, of in table.items()}
    (chosen.work / "criteria.json").write_text(json.dumps(kept))


def tables(measured: dict[str, np.ndarray]) -> list[str]:
    """The Markdown table of rank correlations and of what each criterion would choose.

    Args:
        measured: by set, method x rule x `NUMBERS`.
    """
    lines = ["| set | over | " + " | ".join(CRITERIA) + " |", "|---" * (2 + len(CRITERIA)) + "|"]
    groups = {
        "all": lambda of: [of.reshape(-1, len(NUMBERS))],
        "methods": lambda of: [of[:, 0]],
        "rules": list,
    }
    for over, split in groups.items():
        kept = []
        for name, of in measured.items():
            kept.append([correlation(split(of), k) for k in range(len(CRITERIA))])
            lines.append(f"| {name} | {over} | " + " | ".join(f"{value:.2f}" for value in kept[-1]) + " |")
        if len(measured) > 1:
            lines.append(f"| mean | {over} | " + " | ".join(f"{v:.2f}" for v in mean_of_numbers(np.array(kept))) + " |")
    for name, of in measured.items():
        rows = of.reshape(-1, len(NUMBERS))
        picked = [f"{100 * chosen_by(rows, k):.1f}" for k in range(len(CRITERIA))]
        best, first = 100 * rows[:, 0].max(), 100 * of[0, 0, 0]
        lines.append(
            f"| {name} | GT-known of its choice (best {best:.1f}, the first {first:.1f}) | " + " | ".join(picked) + " |"
        )
    return lines


def qualities(measured: dict[str, np.ndarray]) -> list[str]:
    """The Markdown table of how well each criterion tells right boxes from wrong ones, under the first rule.

    Args:
        measured: by set, method x image x rule x `NUMBERS`.
    """
    lines = ["| set | images | " + " | ".join(CRITERIA) + " |", "|---" * (2 + len(CRITERIA)) + "|"]
    kept = []
    for name, of in measured.items():
        first = of[:, :, 0]  # method x image x number
        areas = [[area_under_roc(rows[:, 1 + k], rows[:, 0] > 0) for k in range(len(CRITERIA))] for rows in first]
        kept.append(mean_of_numbers(np.array(areas)))
        lines.append(f"| {name} | {first.shape[1]} | " + " | ".join(f"{value:.2f}" for value in kept[-1]) + " |")
    if len(measured) > 1:
        images = sum(of.shape[1] for of in measured.values())
        means = mean_of_numbers(np.array(kept))
        lines.append(f"| mean | {images} | " + " | ".join(f"{value:.2f}" for value in means) + " |")
    return lines


def mean_of_numbers(rows: np.ndarray) -> np.ndarray:
    """The mean of each column over what is a number; nan where nothing is."""
    there = ~np.isnan(rows)
    return np.where(there.any(0), np.nansum(rows, 0) / np.maximum(there.sum(0), 1), np.nan)


if __name__ == "__main__":
    main()
