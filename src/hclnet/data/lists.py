"""wsolevaluation's lists: four text files a split, beside the images or apart from them.

Choe et al., "Evaluating Weakly Supervised Object Localization Methods Right", CVPR 2020, published their splits and
boxes (CUBV2 and those of ImageNetV2 among them) and the paths of OpenImages30k's masks so: a line an image, or for
`localization.txt` a line a box or mask, columns divided by commas, the path of the image first.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from hclnet.data.cub import readable
from hclnet.data.files import is_there, read_lines, shown
from hclnet.data.splits import by_split, split_of, unknown_split
from hclnet.types import DataSet, GroundTruth, MaskFiles, Sample

KIND = "wsolevaluation lists"
LOOKED_FOR = (
    "image_ids.txt and class_labels.txt (image_sizes.txt and localization.txt where present) in train/, val/ or test/, "
    "directly inside or inside metadata/, or those of one split alone"
)
_IDS = "image_ids.txt"


def recognize(root: Path) -> bool:
    return bool(_homes(root))


def read(root: Path, seed: int = 0) -> DataSet:
    """The data set; `seed` is not used, since the lists are splits.

    Images and masks are looked for in `root`, in `root/images`, and where wsolevaluation has them: for
    `metadata/NAME/` in `dataset/NAME/` beside `metadata/`. They need not be there for scoring, since
    `image_sizes.txt` has what scoring has to know of them. A class is called by the folder that its images are in,
    if all of them are in one and no other class's are, otherwise by its number.

    Raises:
        ValueError: a file is missing or malformed; the message gives the file and the line.
    """
    samples: dict[str, Sample] = {}
    ground_truth, notes = GroundTruth(), []
    labels: dict[str, dict[str, int]] = {}
    for split, home in _homes(root).items():
        labels[split] = _labels(home)
        ground_truth.sizes.update(_sizes(home, labels[split]))
        places = _places(root, home)
        boxes, masks = _localization(home, labels[split])
        ground_truth.boxes.update({name: np.array(found, dtype=np.float64) for name, found in boxes.items()})
        mask_root = _root_of([files[0][0] for files in masks.values()], places) or places[0]
        ground_truth.masks.update({name: _mask_files(mask_root, *files) for name, files in masks.items()})
        image_root = _root_of(list(labels[split]), places)
        if not image_root:
            notes.append(
                f"no {split} image is in {' or '.join(str(p) for p in places)}: `hclnet score` needs none; for the "
                f"rest put or link them as {root / 'images'}"
            )
        for name, label in labels[split].items():
            if name in samples:
                raise ValueError(
                    f"{name} is in {home / 'image_ids.txt'} and in {samples[name].split}/ too. Remove one."
                )
            samples[name] = Sample(name, (image_root or root / "images") / name, label, split)
    numbers = sorted({sample.label for sample in samples.values()})
    index = {number: k for k, number in enumerate(numbers)}
    listed = [Sample(s.id, s.path, index[s.label], s.split) for s in samples.values()]
    return DataSet(root, KIND, _names(numbers, labels), tuple(listed), ground_truth, tuple(notes))


def _homes(root: Path) -> dict[str, Path]:
    """The folder of each split.

    Raises:
        ValueError: a folder with lists is a split of an unknown name, or two are the same split.
    """
    for base in (root, root / "metadata"):
        listed = [p for p in sorted(base.iterdir()) if (p / _IDS).is_file()] if base.is_dir() else []
        if found := by_split(listed):
            if unknown := [p for p in listed if p not in found.values()]:
                raise unknown_split(unknown[0], f"has {_IDS}")
            return found
    if (root / _IDS).is_file():
        return {split_of(root.name) or "test": root}
    return {}


def _places(root: Path, home: Path) -> list[Path]:
    """Where images and masks may be."""
    places = [root, root / "images"]
    for parent in Path(os.path.abspath(home)).parents:  # noqa: PTH100, links stay as they are
        if parent.name == "metadata":
            name = Path(os.path.abspath(home)).relative_to(parent).parts[0]  # noqa: PTH100
            places.append(parent.parent / "dataset" / name)
    return places


def _root_of(names: Sequence[str], places: Iterable[Path]) -> Path | None:
    """The first place that has the first, the last or the middle one of the files."""
    few = [names[k] for k in (0, -1, len(names) // 2)] if names else []
    return next((place for place in places if any(is_there(place / name) for name in few)), None)


def _labels(home: Path) -> dict[str, int]:
    """The class number of each image of `image_ids.txt`."""
    path = home / "class_labels.txt"
    if not path.is_file():
        raise ValueError(f"{home} looks like {KIND}, but class_labels.txt is missing.")
    known: dict[str, int] = {}
    for number, name, (label,) in _rows(path, 1, "path,class number"):
        if not label.isdecimal():
            raise ValueError(f"{path}, line {number}: the class must be a whole number from 0, found {label!r}.")
        if known.setdefault(name, int(label)) != int(label):
            raise ValueError(f"{path}, line {number}: {name} has class {known[name]} above. Remove one of the two.")
    labels: dict[str, int] = {}
    for number, name in read_lines(home / "image_ids.txt"):
        if name in labels:
            raise ValueError(f"{home / 'image_ids.txt'}, line {number}: {name} is listed twice. Remove one of the two.")
        if name not in known:
            raise ValueError(f"{path} has no line for {name}, which image_ids.txt names in line {number}.")
        labels[name] = known[name]
    if not labels:
        raise ValueError(f"{home / 'image_ids.txt'} is empty: it needs the path of an image on each line.")
    return labels


def _sizes(home: Path, labels: dict[str, int]) -> Iterator[tuple[str, tuple[int, int]]]:
    path = home / "image_sizes.txt"
    for number, name, values in _rows(path, 2, "path,width,height") if path.is_file() else ():
        if not all(value.isdecimal() and len(value) < 10 and int(value) for value in values):
            raise ValueError(f"{path}, line {number}: width and height must be whole numbers from 1, found {values}.")
        if name in labels:
            yield name, (int(values[0]), int(values[1]))


def _localization(
    home: Path, labels: dict[str, int]
) -> tuple[dict[str, list[list[float]]], dict[str, tuple[list[str], str]]]:
    """Boxes by image, and masks with what is to be ignored: a file holds one of the two."""
    path = home / "localization.txt"
    boxes: dict[str, list[list[float]]] = {}
    masks: dict[str, tuple[list[str], str]] = {}
    if not path.is_file():
        return boxes, masks
    lines = read_lines(path)
    if lines and lines[0][1].lower().endswith((".png", ",")):
        for number, name, (mask, ignore) in _rows(path, 2, "path,mask,ignore mask or nothing"):
            _known(path, number, name, labels)
            files, first = masks.setdefault(name, ([], ignore))
            if not mask or (files and ignore not in ("", first)):
                why = "there is another ignore mask in a line above" if mask else "there is no mask"
                raise ValueError(f"{path}, line {number}: {why}. An image has masks and at most one ignore mask.")
            files.append(mask)
    else:
        for number, name, values in _rows(path, 4, "path,x0,y0,x1,y1"):
            _known(path, number, name, labels)
            try:
                boxes.setdefault(name, []).append([float(value) for value in values])
            except ValueError:
                raise ValueError(
                    f"{path}, line {number}: a box needs four numbers, found {','.join(values)!r}."
                ) from None
    return boxes, masks


def _known(path: Path, number: int, name: str, labels: dict[str, int]) -> None:
    if name not in labels:
        raise ValueError(f"{path}, line {number}: {name} is not in image_ids.txt. Remove the line or add the image.")


def _mask_files(root: Path, files: Sequence[str], ignore: str) -> MaskFiles:
    return MaskFiles(tuple(root / file for file in files), root / ignore if ignore else None)


def _names(numbers: Sequence[int], labels: dict[str, dict[str, int]]) -> tuple[str, ...]:
    """The classes' names, from the first split in which each class has a folder of its own."""
    for by_name in labels.values():
        folders: dict[int, set[str]] = {number: set() for number in numbers}
        for name, number in by_name.items():
            folders[number].add(PurePosixPath(name).parent.name)
        names = [next(iter(found)) for found in folders.values() if len(found) == 1]
        if len(set(names)) == len(numbers) and all(names):
            return readable(names)
    return tuple(str(number) for number in numbers)


def _rows(path: Path, columns: int, form: str) -> Iterator[tuple[int, str, list[str]]]:
    """Of each line its number, the path in it and what follows. A path may hold commas."""
    for number, line in read_lines(path):
        name, *values = [part.strip() for part in line.rsplit(",", columns)]
        if len(values) != columns or not name:
            raise ValueError(f"{shown(path)}, line {number}: expected {form}, found {shown(line)!r}.")
        yield number, name, values
