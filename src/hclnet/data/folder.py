"""One folder per class, under `train/` and `test/` (or `val/`), or without a split, which is then made here."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from hclnet.data.images import image_files
from hclnet.types import DataSet, Sample

KIND = "class folders"
LOOKED_FOR = (
    "one folder per class, at least two of them with images, directly inside or inside train/ and test/ or val/"
)

_SPLITS = {"train": "train", "training": "train", "test": "test", "val": "val", "valid": "val", "validation": "val"}
TEST_SHARE = 0.2


def recognise(root: Path) -> bool:
    split = _split_folders(root)
    return len(_class_folders(split.get("train", root))) >= 2


def read(root: Path, seed: int = 0) -> DataSet:
    """The data set of a folder of class folders.

    Without `train/`, a fifth of each class (at least one image, where it has two) is held out as `test`: stratified,
    and a function of the seed and the file names only.

    Raises:
        ValueError: a held-out split has a class that training has no image of.
    """
    splits = _split_folders(root)
    if "train" not in splits:
        return _with_made_split(root, seed)
    classes = tuple(folder.name for folder in _class_folders(splits["train"]))
    number = {name: k for k, name in enumerate(classes)}
    samples = []
    for split, folder in splits.items():
        for class_folder in _class_folders(folder):
            if class_folder.name not in number:
                raise ValueError(
                    f"{class_folder} holds images of class {class_folder.name!r}, but {splits['train']} has no folder "
                    f"of that name with images. Add training images of it, or move the folder away."
                )
            samples += [
                Sample(_id(root, path), path, number[class_folder.name], split) for path in image_files(class_folder)
            ]
    return DataSet(root, KIND, classes, tuple(samples), notes=_strays(root, samples))


def _with_made_split(root: Path, seed: int) -> DataSet:
    folders = _class_folders(root)
    samples = []
    for label, folder in enumerate(folders):
        paths = image_files(folder)
        held_out = max(1, round(TEST_SHARE * len(paths))) if len(paths) > 1 else 0
        shuffled = random.Random(f"{seed}/{folder.name}").sample(paths, len(paths))
        test = set(shuffled[:held_out])
        samples += [Sample(_id(root, p), p, label, "test" if p in test else "train") for p in paths]
    note = f"no train/ and test/ in it: split automatically, {1 - TEST_SHARE:.0%} to {TEST_SHARE:.0%}, seed {seed}"
    classes = tuple(folder.name for folder in folders)
    return DataSet(root, KIND, classes, tuple(samples), notes=(note, *_strays(root, samples)))


def _split_folders(root: Path) -> dict[str, Path]:
    found = {_SPLITS[p.name.lower()]: p for p in sorted(root.iterdir()) if p.is_dir() and p.name.lower() in _SPLITS}
    return {name: found[name] for name in ("train", "val", "test") if name in found}


def _class_folders(folder: Path) -> list[Path]:
    folders = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    return [p for p in folders if image_files(p)]


def _id(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _strays(root: Path, samples: list[Sample]) -> tuple[str, ...]:
    """What lies in the folder and is not used, so that nobody wonders where an image went."""
    used = {sample.path for sample in samples}
    unused = Counter(
        p.suffix.lower() or "no suffix" for p in root.rglob("*") if p.is_file() and p not in used and p.name[0] != "."
    )
    if not unused:
        return ()
    what = ", ".join(f"{n} {suffix}" for suffix, n in unused.most_common(6))
    return (f"{sum(unused.values())} files are no images of a class and are left out ({what})",)
