"""How good the boxes of `hclnet locate` without a model are: ImageNet's classifier, its most probable class, its CAM.

    python benchmarks/without_training.py DATA [--split test] [--every 1] [--scales 1,1.5,2,[1,2]] [--rules auto,otsu3]

DATA's classes play no part, only its ground-truth boxes: each row is the share of images whose box has an IoU of at
least 0.5 with one of them, and the mean of that share at 0.3, 0.5 and 0.7.
"""

from __future__ import annotations

import argparse

import numpy as np
import yaml

from hclnet.data import find_split, read
from hclnet.localizer.localizer import Localizer
from hclnet.progress import bar
from hclnet_runtime.boxes.geometry import iou


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--split", default="test")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th image")
    parser.add_argument("--scales", default="1,1.5,2,[1,2]", help="of 224 px; several in brackets are averaged")
    parser.add_argument("--rules", default="auto,otsu3,fixed:0.2,fixed:0.5")
    arguments = parser.parse_args()
    dataset = read(arguments.data)
    samples = dataset.split(find_split(dataset, arguments.split))[:: arguments.every]
    imagenet = Localizer.imagenet()
    print(f"{len(samples)} images, percent\n")
    print("| scales of 224 px | box rule | IoU >= 0.5 | mean of .3, .5, .7 |\n|---|---|---|---|")
    for scales in yaml.safe_load(f"[{arguments.scales}]"):
        for rule in arguments.rules.split(","):
            localizer = imagenet.with_inference(scales=scales, box=rule)
            best = []
            with bar(f"{scales} {rule}") as report:
                for number, sample in enumerate(samples, 1):
                    found = localizer.locate(sample.path)
                    true = dataset.ground_truth.boxes_in(sample.id, found.size)
                    best.append(iou(np.array([found.box], float), true).max() if found.box else 0.0)
                    report(number, len(samples))
            levels = [100 * np.mean(np.array(best) >= level) for level in (0.3, 0.5, 0.7)]
            print(f"| {scales} | {rule} | {levels[1]:.1f} | {np.mean(levels):.1f} |", flush=True)


if __name__ == "__main__":
    main()
