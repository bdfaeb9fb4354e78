"""YOLO in Ultralytics' layout (https://docs.ultralytics.com/datasets/detect): `yolo/data.yaml`, `images/`, `labels/`.

Images are links, under names of which no two have one stem, since a label file is found by the stem of its image.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import yaml

from hclnet.formats.results import ImageResult, Results, Target
from hclnet.formats.tree import stems_of, tree


def write(results: Results, target: Target) -> list[Path]:
    """The folder `yolo`; an image without an object has an empty file of labels.

    A line of `labels/` is the class's number from 0, and center, width and height of the box in fractions of the image.
    `labels_confidence/` has the class probability after them, as `predict` with `save_conf` writes it; a training takes
    no such lines. Nothing in the format has a place for the agreement.
    """
    folder = target.path("yolo")
    number = {name: k for k, name in enumerate(results.labels)}
    with tree(folder) as made:
        for one, stem in zip(results.images, stems_of(results, reserved=("images", "labels"))):
            made.link(f"images/{stem}{PurePosixPath(one.name).suffix}", one.file)
            lines = [(f"{number[found.label]} {box}", found.score) for found, box in zip(one.objects, _boxes(one))]
            made.write(f"labels/{stem}.txt", "".join(f"{line}\n" for line, _ in lines))
            sure = "".join(f"{line} {1.0 if score is None else score:.6f}\n" for line, score in lines)
            made.write(f"labels_confidence/{stem}.txt", sure)
        about = {"train": "images", "val": "images", "names": dict(enumerate(results.labels))}
        text = yaml.safe_dump(about, allow_unicode=True, sort_keys=False)
        made.write("data.yaml", f"# All images are in train and in val: hold some out before you train.\n{text}")
    return [folder]


def _boxes(one: ImageResult) -> list[str]:
    """Center, width and height of each box, within the image."""
    width, height = one.size
    lines = []
    for found in one.objects:
        x0, x1 = (min(max(v, 0), width) / width for v in found.box[::2])
        y0, y1 = (min(max(v, 0), height) / height for v in found.box[1::2])
        lines.append(" ".join(f"{v:.8f}" for v in ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)))
    return lines
