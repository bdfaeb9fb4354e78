"""What annotation tools write, as a data set: images with boxes of classes -> one class an image, and its boxes.

Readers of such files say what is in them (`Annotated`), and where images may be (`Places`). What holds for all of them
is here: an image has one class, every image is there, splits that are not given are made.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np

from hclnet.data.classes import in_order
from hclnet.data.files import is_file, shown
from hclnet.data.splits import held_out, made_note
from hclnet.documents import parse_json
from hclnet.types import Box, DataSet, GroundTruth, Sample

_JOURNAL = "located.jsonl"


@dataclass(frozen=True, slots=True)
class Annotated:
    """One image.

    Attributes:
        name: as the file has it.
        path: None where it was not found.
        boxes: each with its class, in pixels of a picture of `size`, from 0 and half-open.
        size: width and height, where the file says them; `types.FRACTIONS` of boxes that are fractions.
        split: train, val or test; None where none is given.
        label: the class of the image as a whole, where the file has one.
        unchanged: the fingerprint of the model whose boxes they are, if a person has accepted them as they are.
    """

    name: str
    path: Path | None
    boxes: Sequence[tuple[str, Box]]
    size: tuple[int, int] | None = None
    split: str | None = None
    label: str | None = None
    unchanged: str = ""


@dataclass(slots=True)
class Places:
    """Folders that images may be in.

    Attributes:
        folders: in the order in which they are searched.
    """

    folders: list[Path] = field(default_factory=list)
    _dropped: int | None = field(default=None, repr=False)  # first folders that names have and the disk has not

    @classmethod
    def beside(cls, file: Path, *others: Path) -> Places:
        """Those of a file of annotations: its folder and `images/` in it, other folders, and the image root of
        results of hclnet where it lies in such.
        """
        home = file.parent
        return cls([home, home / "images", *others, *_image_roots(home)])

    def find(self, name: str, shorten: bool = False) -> Path | None:
        """The image of a name, relative to one of the folders; a Windows path has slashes here.

        Args:
            name: relative or absolute.
            shorten: try the name without its first folders too. How many that are, the first image that is found
                decides: all have the same ones.
        """
        for wanted in dict.fromkeys((name, name.replace("\\", "/"))):
            parts = PurePosixPath(wanted).parts
            starts = [0] if not shorten else range(len(parts)) if self._dropped is None else [self._dropped]
            for start in starts:
                for folder in self.folders:
                    path = folder.joinpath(*parts[start:])
                    if is_file(path):
                        self._dropped = start if shorten else self._dropped
                        return Path(os.path.normpath(path))
        return None

    def __str__(self) -> str:
        return ", ".join(f"{shown(folder)}/" for folder in dict.fromkeys(self.folders[:4]))


def as_dataset(
    root: Path, kind: str, images: Iterable[Annotated], seed: int, places: Places, notes: Sequence[str] = ()
) -> DataSet:
    """The data set: images of one class, with the boxes of that class.

    Images whose boxes are of several classes are left out, as are those of which nothing says a class.

    Args:
        root: of the data set, a folder or a file.
        kind: of the reader.
        images: in the file's order.
        seed: of the split, where none is given.
        places: where images were looked for.
        notes: what else a person should know.

    Raises:
        ValueError: images are not there, or none has one class.
    """
    home = root if root.is_dir() else root.parent
    listed = list(images)
    if not listed:
        raise ValueError(f"{shown(root)}, read as {kind}, has no image. Check the path.")
    if missing := [one.name for one in listed if one.path is None]:
        raise ValueError(
            f"{len(missing):,} of the {len(listed):,} images of {shown(root)} are not there, such as "
            f"{shown(missing[0])}. They were looked for in {places}. Move the images, or the file, so that they are."
        )
    given = [one for one in listed if one.split] or listed  # lists of splits may leave images out
    chosen = [(one, label) for one in given if (label := _label(one))]
    several = sum(one.label is None and len({name for name, _ in one.boxes}) > 1 for one in given)
    left_out = [
        f"{number:,} image{'' if number == 1 else 's'} {why} left out"
        for number, why in (
            (several, "with boxes of several classes"),
            (len(given) - len(chosen) - several, "without a box"),
            (len(listed) - len(given), "in no split"),
        )
        if number
    ]
    if not chosen:
        raise ValueError(
            f"{shown(root)}, read as {kind}, has no image of one class: {'; '.join(left_out)}. hclnet needs one class "
            "for each image: list them in a manifest."
        )
    classes = sorted({label for _, label in chosen}, key=in_order)
    splits = _splits(home, chosen, seed)
    samples, ground_truth = [], GroundTruth()
    for one, label in chosen:
        assert one.path is not None
        key = _id(home, one.path)
        samples.append(Sample(key, one.path, classes.index(label), one.split or splits[key]))
        if own := [box for name, box in one.boxes if name == label]:
            ground_truth.boxes[key] = np.array(own, dtype=np.float64)
            if one.size is not None:
                ground_truth.sizes[key] = one.size
            if one.unchanged:
                ground_truth.unchanged[key] = one.unchanged
    made = (made_note("no splits in it", seed),) if splits else ()
    return DataSet(root, kind, tuple(classes), tuple(samples), ground_truth, (*made, *left_out, *notes))


def labels_alone(images: Sequence[Annotated]) -> list[Annotated]:
    """The images, with classes of their own only where none has boxes: beside boxes a tag is something else, such as
    `blurred`.
    """
    any_boxes = any(one.boxes for one in images)
    return [replace(one, label=None) if any_boxes else one for one in images]


def unreadable(file: Path, what: str, why: str) -> ValueError:
    """The error that a file is not what it should be."""
    return ValueError(f"{shown(file)} can't be read as {what}: {why}. Export it again, or remove it.")


def head(file: Path, size: int = 4096) -> str:
    """The beginning of a file as text without white space at its start; empty where it can't be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(size).decode("utf-8-sig", "replace").lstrip()
    except OSError:
        return ""


def _label(one: Annotated) -> str | None:
    if one.label is not None:
        return one.label
    names = {name for name, _ in one.boxes}
    return names.pop() if len(names) == 1 else None


def _splits(home: Path, chosen: Sequence[tuple[Annotated, str]], seed: int) -> dict[str, str]:
    """A split for each image that has none; of each class a fifth is `test`."""
    open_ = [(_id(home, one.path), label) for one, label in chosen if one.split is None and one.path]
    made: dict[str, str] = {}
    for name in Counter(label for _, label in open_):
        ids = [key for key, label in open_ if label == name]
        test = held_out(ids, name, seed)
        made |= {key: "test" if key in test else "train" for key in ids}
    return made


def _id(home: Path, path: Path) -> str:
    """The path from the data set on; of an image elsewhere the whole one, without its first slash."""
    path, home = Path(os.path.abspath(path)), Path(os.path.abspath(home))  # noqa: PTH100, links stay as they are
    return path.relative_to(home if path.is_relative_to(home) else path.anchor).as_posix()


def _image_roots(folder: Path) -> list[Path]:
    """The image root of results of hclnet in a folder, and the folders above it, by which names may have been made."""
    try:
        with (folder / _JOURNAL).open("rb") as file:
            root = parse_json(file.readline()).get("image_root")
    except (OSError, ValueError, AttributeError):
        return []
    return [Path(root), *Path(root).parents] if isinstance(root, str) else []
