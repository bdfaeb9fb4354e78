"""The layout of CUB-200-2011: five text files, `images/`, and `segmentations/` where present."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hclnet.data.files import is_file, read_lines
from hclnet.types import DataSet, GroundTruth, MaskFiles, Sample

KIND = "CUB-200-2011 layout"
_FILES = ("images.txt", "image_class_labels.txt", "classes.txt", "train_test_split.txt", "bounding_boxes.txt")
LOOKED_FOR = ", ".join(_FILES) + " and images/ (segmentations/ where present)"


def recognize(root: Path) -> bool:
    return (root / "images.txt").is_file() and (root / "image_class_labels.txt").is_file()


def read(root: Path, seed: int = 0) -> DataSet:
    """The data set; `seed` is not used, since the layout has its own split.

    `bounding_boxes.txt` holds `id x y width height` in pixels, 0-based, of the original image; `train_test_split.txt`
    has 1 for training.

    Raises:
        ValueError: a file is missing or malformed; the message gives the file and the line.
    """
    missing = [name for name in _FILES if not (root / name).is_file()]
    if missing:
        raise ValueError(f"{root} looks like the {KIND}, but {', '.join(missing)} is missing.")
    paths = _table(root / "images.txt", 1)
    labels = {key: value[0] for key, value in _table(root / "image_class_labels.txt", 1, int).items()}
    names = {key: value[0] for key, value in _table(root / "classes.txt", 1).items()}
    split_flags = {key: value[0] for key, value in _table(root / "train_test_split.txt", 1, int).items()}
    corners = _table(root / "bounding_boxes.txt", 4, float)

    order = sorted(names)
    number = {class_id: k for k, class_id in enumerate(order)}
    samples: dict[str, Sample] = {}
    boxes: dict[str, np.ndarray] = {}
    masks: dict[str, MaskFiles] = {}
    for key, (name,) in paths.items():
        for file, table in (("image_class_labels.txt", labels), ("train_test_split.txt", split_flags)):
            if key not in table:
                raise ValueError(f"{root / file} has no line for image {key} ({name}), which images.txt names.")
        if labels[key] not in number:
            raise ValueError(
                f"{root / 'image_class_labels.txt'} gives image {key} class {labels[key]}; classes.txt does not have "
                "it."
            )
        path = root / "images" / name
        if not is_file(path):
            raise ValueError(f"{root / 'images.txt'} names {name} (image {key}), but there is no file {path}.")
        sample_id = Path(name).with_suffix("").as_posix()
        if sample_id in samples:
            raise ValueError(
                f"{root / 'images.txt'} names {sample_id} twice, as {samples[sample_id].path.name} and {path.name}: "
                f"masks and records use the name without its extension. Rename one of them."
            )
        if split_flags[key] not in (0, 1):
            raise ValueError(
                f"{root / 'train_test_split.txt'} has {split_flags[key]} for image {key}; it must be 1 (train) or 0 "
                "(test)."
            )
        split = "train" if split_flags[key] else "test"
        samples[sample_id] = Sample(sample_id, path, number[labels[key]], split)
        if key in corners:
            x, y, width, height = corners[key]
            boxes[sample_id] = np.array([[x, y, x + width, y + height]], dtype=np.float64)
        mask = (root / "segmentations" / name).with_suffix(".png")
        if is_file(mask):
            masks[sample_id] = MaskFiles((mask,))
    return DataSet(
        root,
        KIND,
        readable([names[class_id] for class_id in order]),
        tuple(samples.values()),
        GroundTruth(boxes, masks),
    )


def readable(names: Sequence[str]) -> tuple[str, ...]:
    """The names of classes without CUB's numbers and underscores, unless these make a difference."""
    bare = tuple(_bare(name) for name in names)
    return bare if len(set(bare)) == len(bare) else tuple(names)


def _bare(name: str) -> str:
    """`001.Black_footed_Albatross` -> `Black footed Albatross`."""
    number, dot, rest = name.partition(".")
    return (rest if dot and number.isdigit() else name).replace("_", " ")


def _table(path: Path, columns: int, kind: type = str) -> dict[int, list]:
    table: dict[int, list] = {}
    for number, line in read_lines(path):
        # A name may hold spaces: split off only as many columns as there are.
        first, *values = line.split(maxsplit=columns)
        try:
            if len(values) != columns:
                raise ValueError
            key, row = int(first), [kind(v.strip()) for v in values]
        except ValueError:
            raise ValueError(
                f"{path}, line {number}: expected a number and {columns} value(s) after it, found {line!r}."
            ) from None
        if key in table:
            raise ValueError(f"{path}, line {number}: there is already a line for {key}. Remove one of the two.")
        table[key] = row
    return table
