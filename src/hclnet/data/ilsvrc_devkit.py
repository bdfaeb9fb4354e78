"""What comes with ILSVRC's validation images: their boxes, their classes, and the names of classes.

They are in the devkits, in the archive of boxes and in Kaggle's tables.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hclnet.data.files import read_lines, shown
from hclnet.documents import xml_root
from hclnet_runtime.text import as_clause

FLAT = re.compile(r"ILSVRC2012_val_(\d{8})\.\w+")
WNID = re.compile(r"n\d{8}")
SOLUTION = "LOC_val_solution.csv"
_GROUND_TRUTH = (
    "ILSVRC2012_validation_ground_truth.txt",
    "ILSVRC2015_clsloc_validation_ground_truth.txt",
    "ILSVRC2014_clsloc_validation_ground_truth.txt",
    "imagenet_2012_validation_synset_labels.txt",
)
ORDER = ("map_clsloc.txt", "meta.mat")
BOXES = (
    "Annotations/CLS-LOC/val",
    "Annotations/val",
    "Annotation/val",
    "bbox_val",
    "bbox/val",
    "ILSVRC2012_bbox_val_v3/val",
    "ILSVRC2012_bbox_val_v3",
)


@dataclass(frozen=True, slots=True)
class DrawnBoxes:
    """The boxes of an image, the WordNet id of each, and the size of the picture that they were drawn in, if known."""

    wnids: list[str]
    corners: list[list[float]]
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class ValImage:
    """A validation image; `wnid` is empty where no folder says it."""

    name: str
    path: Path
    wnid: str

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[0]


def entries_in(folder: Path) -> list[os.DirEntry[str]]:
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


def boxes_of(places: Sequence[Path], val: Sequence[ValImage]) -> tuple[dict[str, DrawnBoxes], Path | None]:
    """The boxes by the image's name without its ending, and where they are from."""
    for folder in (place / name for place in places for name in BOXES):
        if files := {e.name.removesuffix(".xml") for e in entries_in(folder) if e.name.endswith(".xml")}:
            return {image.stem: _box_file(folder / f"{image.stem}.xml") for image in val if image.stem in files}, folder
    solution = _find(places, SOLUTION)
    return (_solution(solution), solution) if solution else ({}, None)


def labels_of(
    root: Path, places: Sequence[Path], flat: Sequence[ValImage], drawn: Mapping[str, DrawnBoxes]
) -> dict[str, str]:
    """The WordNet ids of flat validation images."""
    source: Path | None
    if solution := _find(places, SOLUTION):
        known, source = _solution(solution), solution
        found = {image.name: known[image.stem].wnids[0] for image in flat if image.stem in known}
    elif (source := _find(places, *_GROUND_TRUTH)) and (ground_truth := _ground_truth(source, places)):
        numbers = {image.name: int(part[1]) for image in flat if (part := FLAT.fullmatch(image.name))}
        found = {name: ground_truth[number - 1] for name, number in numbers.items() if 0 < number <= len(ground_truth)}
    else:
        why = f" {source} has class numbers, and their order is missing: {_what_order(places)}." if source else ""
        source = Path(BOXES[0])
        found = {i.name: drawn[i.stem].wnids[0] for i in flat if i.stem in drawn and drawn[i.stem].wnids}
        if not found:
            raise ValueError(
                f"{root}: val/ has {len(flat)} images without classes.{why} Add one of: "
                f"{SOLUTION}; {_GROUND_TRUTH[0]} together with {' or '.join(ORDER)}, both from the devkit; box "
                f"files in {BOXES[0]}/; or the images in folders by WordNet id."
            )
    if missing := [image.name for image in flat if image.name not in found]:
        raise ValueError(
            f"{source} has no entry for {missing[0]} ({len(missing)} of {len(flat)} images in val/). Replace it with "
            "a complete file."
        )
    return found


def names_of(wnids: Sequence[str], places: Sequence[Path]) -> tuple[str, ...]:
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


def _find(places: Iterable[Path], *names: str) -> Path | None:
    return next((place / name for name in names for place in places if (place / name).is_file()), None)


def _box_file(path: Path) -> DrawnBoxes:
    """Boxes as the annotator drew them, in pixels of a picture whose size is not always the image's."""
    try:
        root = xml_root(path)
        objects = root.findall("object")
        corners = [
            [float(found.findtext(f"bndbox/{corner}", "")) for corner in ("xmin", "ymin", "xmax", "ymax")]
            for found in objects
        ]
        width, height = (int(root.findtext(f"size/{side}", "0")) for side in ("width", "height"))
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{shown(path)} is not a box file: {as_clause(error)}. Unpack it again from the box archive."
        ) from None
    except OSError as error:
        raise ValueError(f"{shown(path)} can't be read: {error.strerror}.") from None
    size = (width, height) if width > 0 and height > 0 else None
    return DrawnBoxes([found.findtext("name", "") for found in objects], corners, size)


def _solution(path: Path) -> dict[str, DrawnBoxes]:
    """Kaggle's table: `ImageId,PredictionString`, the second being `n01440764 x0 y0 x1 y1 ` for each box."""
    drawn = {}
    rows = csv.reader(line for _, line in read_lines(path))
    for number, row in enumerate(rows, 1):
        if number == 1 and row[:1] == ["ImageId"]:
            continue
        words = row[1].split() if len(row) == 2 else []
        try:
            corners = [list(map(float, words[k + 1 : k + 5])) for k in range(0, len(words), 5)]
            if not words or len(words) % 5 or not all(map(WNID.fullmatch, words[::5])):
                raise ValueError
        except ValueError:
            raise ValueError(
                f"{shown(path)}, row {number}: expected an image and for each box a WordNet id and four numbers, found "
                f"{shown(','.join(row))[:80]!r}."
            ) from None
        drawn[row[0].removesuffix(".JPEG")] = DrawnBoxes(words[::5], corners)
    return drawn


def _ground_truth(path: Path, places: Sequence[Path]) -> list[str] | None:
    """The WordNet id of each image by its number; None if the file has numbers whose order of classes is not there."""
    lines = read_lines(path)
    if lines and all(WNID.fullmatch(line) for _, line in lines):
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
                f"{shown(path)} is not the devkit's meta.mat: {as_clause(error)}. Unpack it again."
            ) from None
    return None


def _what_order(places: Sequence[Path]) -> str:
    if _find(places, "meta.mat"):
        return "meta.mat exists and needs one more package:  pip install 'hclnet[ilsvrc]'"
    return f"there is neither {' nor '.join(ORDER)}"


def _map_clsloc(path: Path) -> Iterator[tuple[str, str, str]]:
    for number, line in read_lines(path):
        wnid, class_number, name = (*line.split(maxsplit=2), "", "", "")[:3]
        if not WNID.fullmatch(wnid) or not class_number.isdecimal():
            raise ValueError(f"{shown(path)}, line {number}: expected `n02119789 1 kit_fox`, found {shown(line)!r}.")
        yield wnid, class_number, name.replace("_", " ")
