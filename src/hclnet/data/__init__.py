"""Step 1 of the flow: files -> one table of labeled images, and apart from it the ground truth -> batches.

A layout of files is one module here with `KIND`, `LOOKED_FOR` and two functions: `recognize(path) -> bool` and
`read(path, seed) -> DataSet`; the path is a folder or a file. To add one, write the module and name it in `READERS`.
What holds for all of them is in `rules`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from types import ModuleType

from hclnet.data import (
    boxes,
    coco,
    cub,
    cvat,
    folder,
    ilsvrc,
    label_studio,
    lists,
    manifest,
    openimages,
    voc,
    yolo,
)
from hclnet.data.files import folders_in, shown
from hclnet.data.foreign import foreign_layout, maybe_manifest, our_results, unread_files
from hclnet.data.rules import as_trained, checked, for_training
from hclnet.data.splits import ALL, split_of
from hclnet.types import DataSet

READERS: tuple[ModuleType, ...] = (
    *(manifest, lists, cub, ilsvrc, openimages),
    *(boxes, label_studio, coco, cvat, yolo, voc),
    folder,
)
"""In the order in which they are asked: the more specific first."""

__all__ = ["READERS", "as_one_split", "as_trained", "describe", "find_split", "for_training", "read"]

_NAMED = 12  # classes that a description names


def read(root: str | Path, seed: int = 0, as_classes: bool = False) -> DataSet:
    """The data set at a path, of whatever kind is recognized there.

    Args:
        root: a folder, or a manifest.
        seed: of the automatic split, where the layout has none of its own.
        as_classes: each folder in `root` is a class, also one that is called like a split or like a part of a data set.

    Raises:
        ValueError: there is nothing at the path, or nothing that any reader recognizes; the message lists what was
            looked for and what the folder contains. Or the data is malformed, or breaks the rules (`rules.checked`).
    """
    root = Path(os.path.expanduser(root))  # noqa: PTH111, Path.expanduser() fails on ~name where there is no such user
    if not root.exists():
        raise ValueError(f"There is no folder {root}. Give the path of a folder of images or of a manifest as DATA.")
    if as_classes and root.is_dir():
        return checked(folder.read(root, seed, as_classes))
    if as_classes:
        raise ValueError(f"{shown(root)} is not a folder: --as-classes is for folders of classes.")
    for reader in READERS:
        if reader.recognize(root):
            return checked(reader.read(root, seed))
    if not root.is_dir():
        raise ValueError(
            f"{root} is a file and not a manifest (.csv or .parquet), nor annotations (.json of COCO, Label Studio or "
            "hclnet, .xml of CVAT, .yaml of YOLO). Give one of those or a folder as DATA; unpack an archive first."
        )
    looked = "\n".join(f"  - {reader.KIND}: {reader.LOOKED_FOR}" for reader in READERS)
    inside = [p for p in folders_in(root) if any(reader.recognize(p) for reader in READERS)]
    below = f"\nDo you mean {' or '.join(map(shown, inside[:3]))}?" if inside else ""
    hint = our_results(root) or foreign_layout(root) or below or maybe_manifest(root) or unread_files(root)
    raise ValueError(
        f"{root} is not a data set that hclnet knows.\nLooked for:\n{looked}\nFound: {_contents(root)}.{hint}"
    )


def find_split(dataset: DataSet, split: str) -> str:
    """The split that is meant, by any of its names; `test` is also what people call `val` where there is no test."""
    counts = dataset.counts()
    split = split if split in counts else split_of(split) or split
    return "val" if split == "test" and "test" not in counts and "val" in counts else split


def as_one_split(dataset: DataSet) -> DataSet:
    """The data set with all images in one split, `splits.ALL`."""
    samples = dataset.columns.with_splits(repeat(ALL, len(dataset.samples)))
    skipped = tuple(replace(one, sample=replace(one.sample, split=ALL)) for one in dataset.skipped)
    return replace(dataset, samples=samples, skipped=skipped)


def describe(dataset: DataSet) -> str:
    """One line about a data set for a person, and one for each of its notes."""
    counts = ", ".join(f"{count} {split}" for split, count in dataset.counts().items())
    known_of = [
        f"{len(known):,} with {what}"
        for known, what in ((dataset.ground_truth.boxes, "boxes"), (dataset.ground_truth.masks, "masks"))
        if known
    ]
    ground_truth = f", {', '.join(known_of)} (for scoring only)" if known_of else ", no boxes"
    number = len(dataset.classes)
    names = ", ".join(map(shown, dataset.classes[:_NAMED])) + (
        f" and {number - _NAMED} more" if number > _NAMED else ""
    )
    classes = f"{number} class{'' if number == 1 else 'es'}"
    lines = [f"{shown(dataset.root)}: {dataset.kind}, {classes}, {counts}{ground_truth}. Classes: {names}"]
    return "\n".join(lines + [f"  {note}" for note in dataset.notes])


def _contents(root: Path, most: int = 8) -> str:
    entries = sorted(root.iterdir())
    if not entries:
        return "an empty folder"
    names = [shown(entry.name) + "/" * entry.is_dir() for entry in entries[:most]]
    more = f" and {len(entries) - most} more" if len(entries) > most else ""
    return ", ".join(names) + more
