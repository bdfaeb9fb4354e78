"""OpenImages30k, as Choe et al. (CVPR 2020) publish it: class folders in splits, and masks as PNG beside the images.

The masks of the image `0a51.jpg` of class `0bt_c3` are `0a51_m0bt_c3_41344f12.png`, one for each object, and
`0a51_ignore.png` for what is to be ignored: objects that are there and were not outlined.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from hclnet.data.classes import in_order
from hclnet.data.files import files_in, folders_in, is_image_name, left_out_note, shown
from hclnet.data.splits import by_split, looks_like_split, split_of, unknown_split
from hclnet.types import DataSet, GroundTruth, MaskFiles, Sample

KIND = "OpenImages30k layout"
LOOKED_FOR = (
    "class folders inside train/, val/ and test/, with masks <image>_m<class>_<object>.png and <image>_ignore.png "
    "beside the images or in the same folders inside masks/"
)
_MASK = re.compile(r"(.+)_(ignore|m[^_].*)\.png", re.IGNORECASE)


def recognize(root: Path) -> bool:
    """Whether one of the first few class folders has a mask named so."""
    for home in (root, root / "masks"):
        for split in _homes(home).values():
            for folder in islice(folders_in(split), 3):
                if any(_MASK.fullmatch(file.name) for file in folder.iterdir()):
                    return True
    return False


def read(root: Path, seed: int = 0) -> DataSet:
    """The data set; `seed` is not used, since the layout has its own splits.

    Raises:
        ValueError: a mask belongs to no image, an image has a mask to ignore and no mask, or a folder is a split of an
            unknown name.
    """
    samples: list[tuple[Sample, str]] = []
    masks: dict[str, dict[str, list[Path]]] = {}
    homes = by_split(_homes(root).values())
    left_out: list[Path] = []
    for folder in folders_in(root, left_out):
        if folder not in homes.values() and folder.name != "masks" and looks_like_split(folder.name):
            raise unknown_split(folder, "looks like a split")
    for split, home in homes.items():
        for folder in folders_in(home, left_out):
            for path in sorted(files_in(folder, left_out)):
                if not _MASK.fullmatch(path.name) and is_image_name(path):
                    name = path.relative_to(root).as_posix()
                    samples.append((Sample(name, path, 0, split), folder.name))
    images = {(s.path.parent, s.path.stem): s.id for s, _ in samples}
    for base in (root, root / "masks"):
        for home in _homes(base).values():
            for folder in folders_in(home):
                for path in sorted(files_in(folder)):
                    if not (match := _MASK.fullmatch(path.name)):
                        continue
                    image = images.get((root / path.parent.relative_to(base), match[1]))
                    if image is None:
                        raise ValueError(
                            f"{shown(path)} is the mask of {match[1]}, which is not in {home.name}/{folder.name}. Add "
                            "the image, or remove the mask."
                        )
                    what = "ignore" if match[2].lower() == "ignore" else "foreground"
                    masks.setdefault(image, {}).setdefault(what, []).append(path)
    names = tuple(sorted({name for _, name in samples}, key=in_order))
    number = {name: k for k, name in enumerate(names)}
    numbered = tuple(replace(s, label=number[name]) for s, name in samples)
    return DataSet(
        root, KIND, names, numbered, GroundTruth(masks=dict(_mask_files(masks))), left_out_note(root, left_out)
    )


def _homes(base: Path) -> dict[str, Path]:
    """The folders that are called like splits, by their names."""
    return {f.name: f for f in folders_in(base) if split_of(f.name)} if base.is_dir() else {}


def _mask_files(masks: dict[str, dict[str, list[Path]]]) -> Iterator[tuple[str, MaskFiles]]:
    for name, files in masks.items():
        ignore = files.get("ignore", [])
        if "foreground" not in files:
            raise ValueError(
                f"{shown(ignore[0])} is the ignore mask of {name}, which has no other mask. "
                "Add the mask, or remove the file."
            )
        if len(ignore) > 1:
            raise ValueError(f"{name} has two ignore masks, {' and '.join(map(shown, ignore))}. Remove one of them.")
        yield name, MaskFiles(tuple(files["foreground"]), ignore[0] if ignore else None)
