"""One folder per class, under `train/` and `test/` (or `val/`), or without a split, which is then made here."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hclnet.data.files import files_in, image_files, is_image_name, shown
from hclnet.data.splits import SPLITS, held_out, made_note
from hclnet.types import DataSet, Sample

KIND = "class folders"
LOOKED_FOR = (
    "one folder per class, at least two of them with images, directly inside or inside train/ and test/ or val/"
)


def recognise(root: Path) -> bool:
    if not root.is_dir():
        return False
    splits = _split_folders(root)
    if splits and "train" not in splits:
        return False  # or `test` and `val` would be two classes
    return len(_class_folders(splits["train"][0] if splits else root)) >= 2


def read(root: Path, seed: int = 0) -> DataSet:
    """The data set of a folder of class folders.

    Without `train/`, a fifth of each class (at least one image, where it has two) is held out as `test`: stratified,
    and a function of the seed and the file names only.

    Raises:
        ValueError: a held-out split has a class that training has no image of, or two folders are the same split.
    """
    splits = _split_folders(root)
    if not splits:
        return _with_made_split(root, seed)
    for split, folders in splits.items():
        if len(folders) > 1:
            raise ValueError(
                f"{root} has {' and '.join(f'{f.name}/' for f in folders)}, which all mean {split!r}. Keep one of them."
            )
    found = {split: _class_folders(folder) for split, (folder,) in splits.items()}
    empty = [folder for split, (home,) in splits.items() for folder in _folders(home) if folder not in found[split]]
    classes = tuple(folder.name for folder in found["train"])
    number = {name: k for k, name in enumerate(classes)}
    samples = []
    for split, folders in found.items():
        for folder, paths in folders.items():
            if folder.name not in number:
                raise ValueError(
                    f"{folder} holds images of class {folder.name!r}, but {splits['train'][0]} has no folder of that "
                    f"name with images. Add training images of it, or move the folder away."
                )
            samples += [Sample(_id(root, path), path, number[folder.name], split) for path in paths]
    return DataSet(root, KIND, classes, tuple(samples), notes=_left_out(root, samples, empty))


def _with_made_split(root: Path, seed: int) -> DataSet:
    folders = _class_folders(root)
    empty = [folder for folder in _folders(root) if folder not in folders]
    samples = []
    for label, (folder, paths) in enumerate(folders.items()):
        test = held_out(paths, folder.name, seed)
        samples += [Sample(_id(root, p), p, label, "test" if p in test else "train") for p in paths]
    note = made_note("no train/ and test/ in it", seed)
    classes = tuple(folder.name for folder in folders)
    return DataSet(root, KIND, classes, tuple(samples), notes=(note, *_left_out(root, samples, empty)))


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _split_folders(root: Path) -> dict[str, list[Path]]:
    """By split, the folders named so that hold folders of images, but no image: `train/` can be a class beside bus/."""
    found: dict[str, list[Path]] = {name: [] for name in ("train", "val", "test")}
    for folder in _folders(root):
        if folder.name.lower() in SPLITS and _class_folders(folder) and not any(map(is_image_name, folder.iterdir())):
            found[SPLITS[folder.name.lower()]].append(folder)
    return {name: folders for name, folders in found.items() if folders}


def _class_folders(folder: Path) -> dict[Path, list[Path]]:
    """The folders that have images, with these."""
    found = {p: image_files(p) for p in _folders(folder)}
    return {p: images for p, images in found.items() if images}


def _id(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _left_out(root: Path, samples: list[Sample], empty: list[Path]) -> tuple[str, ...]:
    """What lies in the folder and is not used, so that nobody wonders where an image went."""
    notes = []
    if empty:
        names = ", ".join(f"{shown(_id(root, folder))}/" for folder in empty[:6])
        more = f" and {len(empty) - 6} more" if len(empty) > 6 else ""
        notes.append(f"no image in {names}{more}: no class")
    used = {sample.path for sample in samples}
    unused = Counter(p.suffix.lower() or "no suffix" for p in files_in(root) if p not in used)
    if unused:
        what = ", ".join(f"{n} {suffix}" for suffix, n in unused.most_common(6))
        number = sum(unused.values())
        verb = "file is no image of a class and is" if number == 1 else "files are no images of a class and are"
        notes.append(f"{number} {verb} left out ({what})")
    return tuple(notes)
