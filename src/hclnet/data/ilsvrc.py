"""ILSVRC CLS-LOC (ImageNet 2012): training folders by WordNet id, validation images in all forms that they come in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hclnet.data.files import is_image_name
from hclnet.data.ilsvrc_devkit import (
    BOXES,
    FLAT,
    ORDER,
    SOLUTION,
    WNID,
    ValImage,
    boxes_of,
    entries_in,
    labels_of,
    names_of,
)
from hclnet.types import DataSet, GroundTruth, Sample, Samples

KIND = "ILSVRC CLS-LOC layout"
LOOKED_FOR = (
    "val/ with folders by WordNet id (n01440764) or with ILSVRC2012_val_00000001.JPEG and so on, and where present "
    "train/ with such folders; directly inside, or inside Data/CLS-LOC/ or ILSVRC/Data/CLS-LOC/"
)
_WRONG = 0.01  # share of images without a box of their class above which it is the classes that are wrong


def recognize(root: Path) -> bool:
    return _home(root) is not None


def read(root: Path, seed: int = 0) -> DataSet:
    """The data set; `seed` is not used. The validation images are the split `val`, which is what the field tests on.

    Classes are in the order of their WordNet ids, and are called by them or, where `LOC_synset_mapping.txt` or
    `map_clsloc.txt` is there, by the first of their names. The class of a flat validation image is that of
    `LOC_val_solution.csv`, else of the devkit's ground truth, else of its box file. Boxes of training images are
    not read, since nothing is scored on them.

    Raises:
        ValueError: nothing says the classes of flat validation images, they contradict the boxes, or a file is
            malformed; the message names it.
    """
    home = _home(root)
    assert home is not None
    places = _places(root, home)
    train = {entry.name: [image.name for image in _images(entry)] for entry in _folders(home / "train")}
    val = list(_val(home / "val"))
    drawn, source = boxes_of(places, val)
    labels = {image.name: image.wnid for image in val if image.wnid}
    if flat := [image for image in val if not image.wnid]:
        labels |= labels_of(root, places, flat, drawn)
    wnids = sorted({wnid for wnid, images in train.items() if images} | set(labels.values()))
    index = {wnid: k for k, wnid in enumerate(wnids)}
    samples = Samples(_samples(home, train, val, labels, index))
    ground_truth = GroundTruth()
    for image in val:
        wnid = labels[image.name]
        if boxes := drawn.get(image.stem):
            own = [corners for name, corners in zip(boxes.wnids, boxes.corners) if name == wnid]
            if own:
                ground_truth.boxes[f"val/{image.name}"] = np.array(own, dtype=np.float64)
            if own and boxes.size:
                ground_truth.sizes[f"val/{image.name}"] = boxes.size
    wrong = [image for image in val if image.stem in drawn and f"val/{image.name}" not in ground_truth.boxes]
    if len(wrong) > _WRONG * len(val):
        first, others = wrong[0], drawn[wrong[0].stem].wnids
        raise ValueError(
            f"{len(wrong)} of {len(val)} validation images have no box of their class. The class of {first.name} is "
            f"{labels[first.name]}, and {source} has {f'a box of {others[0]}' if others else 'no box'} for it. Take "
            f"boxes, ground truth and the order of its classes ({' or '.join(ORDER)}) from one devkit."
        )
    notes = [f"no class folder in train/ has an image: {len(wnids)} classes, those of val/"] if not train else []
    if not drawn:
        notes.append(f"no boxes: none in {', '.join(f'{name}/' for name in BOXES[:4])}, no {SOLUTION}")
    return DataSet(root, KIND, names_of(wnids, places), samples, ground_truth, tuple(notes))


def _samples(
    home: Path, train: dict[str, list[str]], val: list[ValImage], labels: dict[str, str], index: dict[str, int]
) -> Iterator[Sample]:
    """One by one, of training first: there may be a million of them."""
    for wnid in index:
        for name in train.get(wnid, ()):
            yield Sample(f"train/{wnid}/{name}", home / "train" / wnid / name, index[wnid], "train")
    for image in val:
        yield Sample(f"val/{image.name}", image.path, index[labels[image.name]], "val")


def _home(root: Path) -> Path | None:
    """The folder that val/ and train/ are in."""
    for home in (root, root / "Data" / "CLS-LOC", root / "ILSVRC" / "Data" / "CLS-LOC"):
        folders = _folders(home / "val")
        of_one = _images(folders[0])[:1] if len(folders) == 1 else []
        if len(folders) > 1 or any(FLAT.fullmatch(e.name) for e in (*entries_in(home / "val"), *of_one)):
            return home
    return None


def _places(root: Path, home: Path) -> list[Path]:
    """Where a devkit, boxes and names may be: the root, what is above the images in it, and devkits in those."""
    above = [folder for folder in (home, *home.parents) if folder.is_relative_to(root)]
    kits = [kit for folder in above for kit in sorted(folder.glob("*devkit*")) if kit.is_dir()]
    return [*above, *(place for kit in kits for place in (kit, kit / "data"))]


def _folders(folder: Path) -> list[os.DirEntry[str]]:
    """The folders by WordNet id in a folder."""
    return [entry for entry in entries_in(folder) if WNID.fullmatch(entry.name) and entry.is_dir()]


def _images(folder: os.DirEntry[str]) -> list[os.DirEntry[str]]:
    return [entry for entry in entries_in(Path(folder.path)) if is_image_name(entry.name)]


def _val(folder: Path) -> Iterator[ValImage]:
    seen: dict[str, str] = {}
    for home in _folders(folder):
        for entry in _images(home):
            if seen.setdefault(entry.name, home.name) != home.name:
                raise ValueError(
                    f"{entry.name} is in {folder / seen[entry.name]} and in {folder / home.name}. Remove one of them."
                )
            yield ValImage(entry.name, Path(entry.path), home.name)
    for entry in entries_in(folder):
        if FLAT.fullmatch(entry.name) and entry.name not in seen and is_image_name(entry.name):
            yield ValImage(entry.name, Path(entry.path), "")
