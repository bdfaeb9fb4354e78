"""ILSVRC CLS-LOC (ImageNet 2012): training folders by WordNet id, validation images in all forms that they come in."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from hclnet.data.files import is_image_name, read_lines, shown
from hclnet.text import as_clause
from hclnet.types import DataSet, GroundTruth, Sample

KIND = "ILSVRC CLS-LOC layout"
LOOKED_FOR = (
    "val/ with folders by WordNet id (n01440764) or with ILSVRC2012_val_00000001.JPEG and so on, and where present "
    "train/ with such folders; directly inside, or inside Data/CLS-LOC/ or ILSVRC/Data/CLS-LOC/"
)
_FLAT = re.compile(r"ILSVRC2012_val_(\d{8})\.\w+")
_WNID = re.compile(r"n\d{8}")
_SOLUTION = "LOC_val_solution.csv"
_GROUND_TRUTH = (
    "ILSVRC2012_validation_ground_truth.txt",
    "ILSVRC2015_clsloc_validation_ground_truth.txt",
    "ILSVRC2014_clsloc_validation_ground_truth.txt",
    "imagenet_2012_validation_synset_labels.txt",
)
_ORDER = ("map_clsloc.txt", "meta.mat")
_BOXES = (
    "Annotations/CLS-LOC/val",
    "Annotations/val",
    "Annotation/val",
    "bbox_val",
    "bbox/val",
    "ILSVRC2012_bbox_val_v3/val",
    "ILSVRC2012_bbox_val_v3",
)
_WRONG = 0.01  # share of images without a box of their class above which it is the classes that are wrong


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The boxes of an image, the WordNet id of each, and the size of the picture that they were drawn in, if known."""

    wnids: list[str]
    corners: list[list[float]]
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class _Image:
    """A validation image; `wnid` is empty where no folder says it."""

    name: str
    path: Path
    wnid: str

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[0]


def recognize(root: Path) -> bool:
    return _home(root) is not None


def read(root: Path, seed: int = 0) -> DataSet:
    """The data set; `seed` is not used. The validation images are the split `val`, which is what the field tests on.

    Classes are in the order of their WordNet ids, and are called by them or, where `LOC_synset_mapping.txt` or
    `map_clsloc.txt` is there, by the first of their names. The class of a flat validation image is that of
    `LOC_val_solution.csv`, else of the devkit's ground truth, else of its box file. Boxes of training images are
    not
    read: nothing is scored by them.

    Raises:
        ValueError: nothing says the classes of flat validation images, they contradict the boxes, or a file is
            malformed; the message names it.
    """
    home = _home(root)
    assert home is not None
    places = _places(root, home)
    train = {entry.name: _images(entry) for entry in _folders(home / "train")}
    val = list(_val(home / "val"))
    drawn, source = _drawn(places, val)
    labels = {image.name: image.wnid for image in val if image.wnid}
    if flat := [image for image in val if not image.wnid]:
        labels |= _labels(root, places, flat, drawn)
    wnids = sorted({wnid for wnid, images in train.items() if images} | set(labels.values()))
    index = {wnid: k for k, wnid in enumerate(wnids)}
    samples = [
        Sample(f"train/{wnid}/{entry.name}", Path(entry.path), index[wnid], "train")
        for wnid in wnids
        for entry in train.get(wnid, ())
    ]
    ground_truth = GroundTruth()
    for image in val:
        wnid = labels[image.name]
        samples.append(Sample(f"val/{image.name}", image.path, index[wnid], "val"))
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
            f"{len(wrong)} of {len(val)} validation images have no box of their class. {first.name} is said to be "
            f"{labels[first.name]}, and {source} has {f'a box of {others[0]}' if others else 'no box'} for it. Bring "
            f"boxes, ground truth and the order of its classes ({' or '.join(_ORDER)}) from one devkit."
        )
    notes = [f"no class folder in train/ has an image: {len(wnids)} classes, those of val/"] if not train else []
    if not drawn:
        notes.append(f"no boxes: none in {', '.join(f'{name}/' for name in _BOXES[:4])}, no {_SOLUTION}")
    return DataSet(root, KIND, _names(wnids, places), tuple(samples), ground_truth, tuple(notes))


def _home(root: Path) -> Path | None:
    """The folder that val/ and train/ are in."""
    for home in (root, root / "Data" / "CLS-LOC", root / "ILSVRC" / "Data" / "CLS-LOC"):
        folders = _folders(home / "val")
        of_one = _images(folders[0])[:1] if len(folders) == 1 else []
        if len(folders) > 1 or any(_FLAT.fullmatch(e.name) for e in (*_entries(home / "val"), *of_one)):
            return home
    return None


def _places(root: Path, home: Path) -> list[Path]:
    """Where a devkit, boxes and names may be: the root, what is above the images in it, and devkits in those."""
    above = [folder for folder in (home, *home.parents) if folder.is_relative_to(root)]
    kits = [kit for folder in above for kit in sorted(folder.glob("*devkit*")) if kit.is_dir()]
    return [*above, *(place for kit in kits for place in (kit, kit / "data"))]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, by name, without what is hidden; nothing where there is none.

    Entries and no paths, since there may be a million of them.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ValueError(f"The folder {shown(folder)} can't be read: {error.strerror}.") from None


def _folders(folder: Path) -> list[os.DirEntry[str]]:
    """The folders by WordNet id in a folder."""
    return [entry for entry in _entries(folder) if _WNID.fullmatch(entry.name) and entry.is_dir()]


def _images(folder: os.DirEntry[str]) -> list[os.DirEntry[str]]:
    return [entry for entry in _entries(Path(folder.path)) if is_image_name(entry.name)]


def _val(folder: Path) -> Iterator[_Image]:
    seen: dict[str, str] = {}
    for home in _folders(folder):
        for entry in _images(home):
            if seen.setdefault(entry.name, home.name) != home.name:
                raise ValueError(
                    f"{entry.name} is in {folder / seen[entry.name]} and in {folder / home.name}. Remove one of them."
                )
            yield _Image(entry.name, Path(entry.path), home.name)
    for entry in _entries(folder):
        if _FLAT.fullmatch(entry.name) and entry.name not in seen and is_image_name(entry.name):
            yield _Image(entry.name, Path(entry.path), "")


def _find(places: Iterable[Path], *names: str) -> Path | None:
    return next((place / name for name in names for place in places if (place / name).is_file()), None)


def _drawn(places: Sequence[Path], val: Sequence[_Image]) -> tuple[dict[str, _Drawn], Path | None]:
    """The boxes by the image's name without its ending, and where they are from."""
    for folder in (place / name for place in places for name in _BOXES):
        if files := {e.name.removesuffix(".xml") for e in _entries(folder) if e.name.endswith(".xml")}:
            return {image.stem: _box_file(folder / f"{image.stem}.xml") for image in val if image.stem in files}, folder
    solution = _find(places, _SOLUTION)
    return (_solution(solution), solution) if solution else ({}, None)


def _box_file(path: Path) -> _Drawn:
    """Boxes as the annotator drew them, in pixels of a picture whose size is not always the image's."""
    try:
        root = ElementTree.fromstring(path.read_bytes())
        objects = root.findall("object")
        corners = [
            [float(found.findtext(f"bndbox/{corner}", "")) for corner in ("xmin", "ymin", "xmax", "ymax")]
            for found in objects
        ]
        width, height = (int(root.findtext(f"size/{side}", "0")) for side in ("width", "height"))
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(
            f"{shown(path)} is no file of boxes: {as_clause(error)}. Unpack it again from the box archive."
        ) from None
    except OSError as error:
        raise ValueError(f"{shown(path)} can't be read: {error.strerror}.") from None
    size = (width, height) if width > 0 and height > 0 else None
    return _Drawn([found.findtext("name", "") for found in objects], corners, size)


def _solution(path: Path) -> dict[str, _Drawn]:
    """Kaggle's table: `ImageId,PredictionString`, the second being `n01440764 x0 y0 x1 y1 ` for each box."""
    drawn = {}
    rows = csv.reader(line for _, line in read_lines(path))
    for number, row in enumerate(rows, 1):
        if number == 1 and row[:1] == ["ImageId"]:
            continue
        words = row[1].split() if len(row) == 2 else []
        try:
            corners = [list(map(float, words[k + 1 : k + 5])) for k in range(0, len(words), 5)]
            if not words or len(words) % 5 or not all(map(_WNID.fullmatch, words[::5])):
                raise ValueError
        except ValueError:
            raise ValueError(
                f"{shown(path)}, row {number}: expected an image and for each box a WordNet id and four numbers, found "
                f"{shown(','.join(row))[:80]!r}."
            ) from None
        drawn[row[0].removesuffix(".JPEG")] = _Drawn(words[::5], corners)
    return drawn


def _labels(root: Path, places: Sequence[Path], flat: Sequence[_Image], drawn: Mapping[str, _Drawn]) -> dict[str, str]:
    """The WordNet ids of flat validation images."""
    source: Path | None
    if solution := _find(places, _SOLUTION):
        known, source = _solution(solution), solution
        found = {image.name: known[image.stem].wnids[0] for image in flat if image.stem in known}
    elif (source := _find(places, *_GROUND_TRUTH)) and (ground_truth := _ground_truth(source, places)):
        numbers = {image.name: int(part[1]) for image in flat if (part := _FLAT.fullmatch(image.name))}
        found = {name: ground_truth[number - 1] for name, number in numbers.items() if 0 < number <= len(ground_truth)}
    else:
        why = f" {source} has numbers, and what they mean is not there: {_what_order(places)}." if source else ""
        source = Path(_BOXES[0])
        found = {i.name: drawn[i.stem].wnids[0] for i in flat if i.stem in drawn and drawn[i.stem].wnids}
        if not found:
            raise ValueError(
                f"{root}: val/ has {len(flat)} images and nothing says their classes.{why} Needed is one of: "
                f"{_SOLUTION}; {_GROUND_TRUTH[0]} together with {' or '.join(_ORDER)}, as the devkit has them; box "
                f"files in {_BOXES[0]}/; or the images in folders by WordNet id."
            )
    if missing := [image.name for image in flat if image.name not in found]:
        raise ValueError(
            f"{source} says nothing of {missing[0]} ({len(missing)} of {len(flat)} images in val/). Bring it whole."
        )
    return found


def _ground_truth(path: Path, places: Sequence[Path]) -> list[str] | None:
    """The WordNet id of each image by its number; None if the file has numbers whose order of classes is not there."""
    lines = read_lines(path)
    if lines and all(_WNID.fullmatch(line) for _, line in lines):
        return [line for _, line in lines]
    if not (order := _order(places)):
        return None
    for number, line in lines:
        if not line.isdecimal() or int(line) not in order:
            raise ValueError(
                f"{shown(path)}, line {number}: expected the number of a class, {min(order)} to {max(order)}, found "
                f"{shown(line)!r}."
            )
    return [order[int(line)] for _, line in lines]


def _order(places: Sequence[Path]) -> dict[int, str] | None:
    """WordNet ids by ILSVRC's own number of a class, which is not in the order of WordNet ids."""
    if path := _find(places, "map_clsloc.txt"):
        return {int(number): wnid for wnid, number, _ in _map_clsloc(path)}
    if path := _find(places, "meta.mat"):
        try:
            from scipy.io import loadmat
        except ImportError:
            return None
        try:
            synsets = loadmat(str(path), squeeze_me=True, struct_as_record=False)["synsets"]
            return {int(one.ILSVRC2012_ID): str(one.WNID) for one in synsets}
        except Exception as error:  # whatever a damaged file makes of it
            raise ValueError(
                f"{shown(path)} is no meta.mat of the devkit: {as_clause(error)}. Unpack it again."
            ) from None
    return None


def _what_order(places: Sequence[Path]) -> str:
    if _find(places, "meta.mat"):
        return "meta.mat is, and needs one more package:  pip install 'hclnet[ilsvrc]'"
    return f"neither {' nor '.join(_ORDER)} is"


def _map_clsloc(path: Path) -> Iterator[tuple[str, str, str]]:
    for number, line in read_lines(path):
        wnid, class_number, name = (*line.split(maxsplit=2), "", "", "")[:3]
        if not _WNID.fullmatch(wnid) or not class_number.isdecimal():
            raise ValueError(f"{shown(path)}, line {number}: expected `n02119789 1 kit_fox`, found {shown(line)!r}.")
        yield wnid, class_number, name.replace("_", " ")


def _names(wnids: Sequence[str], places: Sequence[Path]) -> tuple[str, ...]:
    """What classes are called: the first of their names, with the WordNet id where several are called so."""
    names: dict[str, str] = {}
    if path := _find(places, "LOC_synset_mapping.txt"):
        for _, line in read_lines(path):
            wnid, _, words = line.partition(" ")
            names[wnid] = words.partition(",")[0].strip()
    elif path := _find(places, "map_clsloc.txt"):
        names = {wnid: name for wnid, _, name in _map_clsloc(path)}
    called = [names.get(wnid) or wnid for wnid in wnids]
    return tuple(f"{name} ({wnid})" if called.count(name) > 1 else name for name, wnid in zip(called, wnids))
