"""OpenImages30k, as Choe et al. (CVPR 2020) publish it: class folders in splits, and masks as PNG beside the images.

The masks of the image `0a51.jpg` of class `0bt_c3` are `0a51_m0bt_c3_41344f12.png`, one for each object, and
`0a51_ignore.png` for what is to be ignored: objects that are there and were not outlined.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from hclnet.data.files import files_in, is_image_name, shown
from hclnet.types import DataSet, MaskFiles, Sample, Truth

KIND = "OpenImages30k layout"
LOOKED_FOR = (
    "class folders inside train/, val/ and test/, with masks <image>_m<class>_<object>.png and <image>_ignore.png "
    "beside the images or in the same folders inside masks/"
)
_SPLITS = ("train", "val", "test")
_MASK = re.compile(r"(.+)_(ignore|m[^_].*)\.png", re.IGNORECASE)


def recognise(root: Path) -> bool:
    """Whether one of the first few class folders has a mask named so."""
    for home in (root, root / "masks"):
        for split in ("val", "test"):
            for folder in islice(_folders(home / split), 3):
                if any(_MASK.fullmatch(file.name) for file in folder.iterdir()):
                    return True
    return False


def read(root: Path, seed: int = 0) -> DataSet:
    """The data set; `seed` is not used, since the layout has its own splits.

    Raises:
        ValueError: a mask belongs to no image, an image has a mask to ignore and no mask, or a held-out split has a
            class that training has no image of.
    """
    samples: list[tuple[Sample, str]] = []
    masks: dict[str, dict[str, list[Path]]] = {}
    for split in _SPLITS:
        for folder in _folders(root / split):
            for path in sorted(files_in(folder)):
                if not _MASK.fullmatch(path.name) and is_image_name(path):
                    name = path.relative_to(root).as_posix()
                    samples.append((Sample(name, path, 0, split), folder.name))
    images = {(s.path.parent, s.path.stem): s.id for s, _ in samples}
    for home in (root, root / "masks"):
        for split in _SPLITS:
            for folder in _folders(home / split):
                for path in sorted(files_in(folder)):
                    if not (match := _MASK.fullmatch(path.name)):
                        continue
                    image = images.get((root / path.parent.relative_to(home), match[1]))
                    if image is None:
                        raise ValueError(
                            f"{shown(path)} is the mask of {match[1]}, which is not in {split}/{folder.name}."
                        )
                    what = "ignore" if match[2].lower() == "ignore" else "foreground"
                    masks.setdefault(image, {}).setdefault(what, []).append(path)
    return DataSet(root, KIND, *_classes(root, samples), Truth(masks=dict(_mask_files(masks))))


def _folders(home: Path) -> Iterator[Path]:
    if home.is_dir():
        yield from sorted(p for p in home.iterdir() if p.is_dir() and not p.name.startswith("."))


def _mask_files(masks: dict[str, dict[str, list[Path]]]) -> Iterator[tuple[str, MaskFiles]]:
    for name, files in masks.items():
        ignore = files.get("ignore", [])
        if "foreground" not in files:
            raise ValueError(
                f"{shown(ignore[0])} says what is to be ignored of {name}, which has no mask beside it. "
                "Add the mask, or remove the file."
            )
        if len(ignore) > 1:
            raise ValueError(f"{name} has two masks to ignore, {' and '.join(map(shown, ignore))}. Remove one of them.")
        yield name, MaskFiles(tuple(files["foreground"]), ignore[0] if ignore else None)


def _classes(root: Path, samples: list[tuple[Sample, str]]) -> tuple[tuple[str, ...], tuple[Sample, ...]]:
    """The classes, and the samples with their numbers."""
    names = sorted({name for _, name in samples})
    trained = {name for sample, name in samples if sample.split == "train"}
    if trained and (lost := [name for name in names if name not in trained]):
        split = next(sample.split for sample, name in samples if name == lost[0])
        raise ValueError(
            f"{root / split / lost[0]} holds images of a class that {root / 'train'} has none of. "
            "Add training images of it, or move the folder away."
        )
    index = {name: k for k, name in enumerate(names)}
    return tuple(names), tuple(Sample(s.id, s.path, index[name], s.split) for s, name in samples)
