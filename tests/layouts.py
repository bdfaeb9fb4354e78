"""One small data set in every layout that hclnet reads, each with all of the ground truth that it can hold."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from hclnet.types import DataSet, Sample
from hclnet_runtime.data.images import image_size


def _copy(sample: Sample, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(sample.path, to)


def _rows(path: Path, rows: list[tuple]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def cub(data: DataSet, root: Path) -> Path:
    shutil.copytree(data.root, root / "CUB_200_2011")
    return root / "CUB_200_2011"


def manifest(data: DataSet, root: Path) -> Path:
    rows = [("path", "label", "split", "x0", "y0", "x1", "y1", "mask")]
    for s in data.samples:
        _copy(s, root / "photos" / s.path.name)
        (mask,) = data.ground_truth.masks[s.id].foreground
        box = data.ground_truth.boxes[s.id][0].tolist()
        rows.append((f"photos/{s.path.name}", data.classes[s.label], s.split, *box, mask))
    _rows(root / "photos.csv", rows)
    return root / "photos.csv"


def lists(data: DataSet, root: Path) -> Path:
    home = root / "metadata" / "CUB"
    for split in data.counts():
        samples = data.split(split)
        names = {s.id: s.path.relative_to(data.root / "images").as_posix() for s in samples}
        for s in samples:
            _copy(s, root / "dataset" / "CUB" / names[s.id])
        _rows(home / split / "image_ids.txt", [(names[s.id],) for s in samples])
        _rows(home / split / "class_labels.txt", [(names[s.id], s.label) for s in samples])
        _rows(home / split / "image_sizes.txt", [(names[s.id], *image_size(s.path)) for s in samples])
        boxes = data.ground_truth.boxes
        _rows(home / split / "localization.txt", [(names[s.id], *boxes[s.id][0].tolist()) for s in samples])
    return home


def ilsvrc(data: DataSet, root: Path) -> Path:
    home = root / "ILSVRC"
    wnids = [f"n{k:08d}" for k in range(len(data.classes))]
    for k, s in enumerate(s for s in data.samples if s.split == "train"):
        _copy(s, home / "train" / wnids[s.label] / f"{wnids[s.label]}_{k}.JPEG")
    ground_truth = []
    for k, s in enumerate(data.split("test"), 1):
        name = f"ILSVRC2012_val_{k:08d}"
        _copy(s, home / "val" / f"{name}.JPEG")
        ground_truth.append(str(s.label + 1))
        corners = zip(("xmin", "ymin", "xmax", "ymax"), data.ground_truth.boxes[s.id][0].tolist())
        box = "".join(f"<{corner}>{value}</{corner}>" for corner, value in corners)
        width, height = image_size(s.path)
        (home / "bbox_val").mkdir(exist_ok=True)
        (home / "bbox_val" / f"{name}.xml").write_text(
            f"<annotation><size><width>{width}</width><height>{height}</height></size><object>"
            f"<name>{wnids[s.label]}</name><bndbox>{box}</bndbox></object></annotation>"
        )
    kit = home / "devkit" / "data"
    kit.mkdir(parents=True)
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("\n".join(ground_truth))
    (kit / "map_clsloc.txt").write_text("".join(f"{wnid} {k} bird_{k}\n" for k, wnid in enumerate(wnids, 1)))
    return home


def open_images(data: DataSet, root: Path) -> Path:
    home = root / "OpenImages"
    for s in data.samples:
        name = home / s.split / f"0b{s.label}" / s.path.name
        _copy(s, name)
        if s.split == "test":
            (mask,) = data.ground_truth.masks[s.id].foreground
            shutil.copy(mask, name.with_name(f"{name.stem}_m0b{s.label}_1.png"))
            Image.new("L", image_size(s.path)).save(name.with_name(f"{name.stem}_ignore.png"))
    return home


def folders(data: DataSet, root: Path) -> Path:
    for s in data.samples:
        _copy(s, root / "folders" / s.split / data.classes[s.label] / s.path.name)
    return root / "folders"


def coco(data: DataSet, root: Path) -> Path:
    home = root / "COCO"
    for split in data.counts():
        images, annotations = [], []
        for k, s in enumerate(data.split(split)):
            _copy(s, home / f"{split}2017" / s.path.name)
            width, height = image_size(s.path)
            images.append({"id": k, "file_name": s.path.name, "width": width, "height": height})
            x0, y0, x1, y1 = data.ground_truth.boxes[s.id][0].tolist()
            box = {"id": k, "image_id": k, "category_id": s.label + 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "iscrowd": 0}
            annotations.append(box)
        categories = [{"id": k, "name": name} for k, name in enumerate(data.classes, 1)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (home / "annotations").mkdir(exist_ok=True)
        (home / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))
    return home


def yolo(data: DataSet, root: Path) -> Path:
    home = root / "YOLO"
    for s in data.samples:
        _copy(s, home / "images" / s.split / s.path.name)
        width, height = image_size(s.path)
        x0, y0, x1, y1 = data.ground_truth.boxes[s.id][0].tolist()
        values = ((x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height)
        _rows(home / "labels" / s.split / f"{s.path.stem}.txt", [(f"{s.label} {' '.join(map(str, values))}",)])
    lines = [f"{split}: images/{split}" for split in data.counts()]
    names = [f"  {k}: {name}" for k, name in enumerate(data.classes)]
    (home / "data.yaml").write_text("\n".join([*lines, "names:", *names]) + "\n")
    return home


def voc(data: DataSet, root: Path) -> Path:
    home = root / "VOC2012"
    for s in data.samples:
        _copy(s, home / "JPEGImages" / s.path.name)
        width, height = image_size(s.path)
        x0, y0, x1, y1 = data.ground_truth.boxes[s.id][0].tolist()
        corners = zip(("xmin", "ymin", "xmax", "ymax"), (x0 + 1, y0 + 1, x1, y1))
        box = "".join(f"<{corner}>{value:.0f}</{corner}>" for corner, value in corners)
        (home / "Annotations").mkdir(exist_ok=True)
        (home / "Annotations" / f"{s.path.stem}.xml").write_text(
            f"<annotation><filename>{s.path.name}</filename><size><width>{width}</width><height>{height}</height></size>"
            f"<object><name>{data.classes[s.label]}</name><bndbox>{box}</bndbox></object></annotation>"
        )
    for split in data.counts():
        _rows(home / "ImageSets" / "Main" / f"{split}.txt", [(s.path.stem,) for s in data.split(split)])
    return home


def cvat(data: DataSet, root: Path) -> Path:
    home = root / "CVAT"
    images = []
    for k, s in enumerate(data.samples):
        _copy(s, home / "images" / s.split / s.path.name)
        width, height = image_size(s.path)
        corners = zip(("xtl", "ytl", "xbr", "ybr"), data.ground_truth.boxes[s.id][0].tolist())
        box = " ".join(f'{corner}="{value:.2f}"' for corner, value in corners)
        images.append(
            f'<image id="{k}" name="{s.split}/{s.path.name}" subset="{s.split}" width="{width}" height="{height}">'
            f'<box label="{data.classes[s.label]}" source="manual" occluded="0" {box} z_order="0"></box></image>'
        )
    (home / "annotations.xml").write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta></meta>{"".join(images)}'
        "</annotations>"
    )
    return home


LAYOUTS: tuple[Callable[[DataSet, Path], Path], ...] = (
    *(cub, manifest, lists, ilsvrc, open_images, folders),
    *(coco, yolo, voc, cvat),
)
