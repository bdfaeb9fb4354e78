"""One folder per class, under `train/` and `test/` (or `val/`), or without a split, which is then made here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from hclnet.data.classes import in_order
from hclnet.data.files import files_in, folders_in, image_files, is_folder, is_image_name, left_out_note, shown
from hclnet.data.foreign import foreign_layout
from hclnet.data.splits import by_split, could_be_class, held_out, looks_like_split, made_note, split_of, unknown_split
from hclnet.types import DataSet, Sample

KIND = "class folders"
LOOKED_FOR = "one folder per class with images in it, directly inside or inside train/, val/ and test/"
_OF_ALL_IMAGES = frozenset({"images", "image", "imgs", "img", "jpegimages", "data", "dataset"})
_OF_ANNOTATIONS = frozenset(
    {"labels", "annotations", "masks", "gt", "groundtruth", "ground_truth", "segmentations"}
    | {"segmentationclass", "segmentationobject"}
)


def recognize(root: Path) -> bool:
    if not root.is_dir():
        return False
    folders = folders_in(root)
    if any(map(_is_split, folders)):
        return True
    classes = [folder for folder in folders if _has_images(folder)]
    # Of one folder, a class has images in it; else the classes may be one folder further down.
    return len(classes) > 1 or any(map(_holds_images, classes))


def read(root: Path, seed: int = 0, as_classes: bool = False) -> DataSet:
    """The data set of a folder of class folders.

    Without `train/`, `val/` or `test/`, a fifth of each class (at least one image, where it has two) is held out as
    `test`: stratified, and a function of the seed and the file names only.

    Args:
        root: the folder.
        seed: of that split.
        as_classes: each folder in `root` is a class, also one that is called like a split.

    Raises:
        ValueError: two folders are the same split, or folders look like splits or parts of a data set and not like
            classes.
    """
    left_out: list[Path] = []
    folders = folders_in(root, left_out)
    splits = {} if as_classes else by_split(folder for folder in folders if _is_split(folder))
    if not as_classes:
        others = [f for f in folders if f not in splits.values() and _has_images(f)]
        _check_others(root, splits, others)
    homes = {split: folders_in(home, left_out) for split, home in splits.items()} or {"": folders}
    found = {split: {f: image_files(f, left_out) for f in inside} for split, inside in homes.items()}
    with_images = {split: {f: paths for f, paths in of.items() if paths} for split, of in found.items()}
    if not as_classes:
        for split, of in with_images.items():
            _check_classes(root, splits.get(split, root), {folder.name for folder in of})
    names = {folder.name for of in with_images.values() for folder in of}
    classes = tuple(sorted(names, key=in_order))
    number = {name: k for k, name in enumerate(classes)}
    samples = []
    for split, of in with_images.items():
        for folder, paths in sorted(of.items(), key=lambda item: number[item[0].name]):
            test = held_out(paths, folder.name, seed) if not splits else ()
            samples += [
                Sample(_id(root, p), p, number[folder.name], split or ("test" if p in test else "train")) for p in paths
            ]
    notes = [] if splits else [made_note("no train/ and test/ in it", seed)]
    notes += [f"{f.name}/ is used as {split}" for split, f in splits.items() if f.name.lower() != split]
    if empty := [f for of in found.values() for f, paths in of.items() if not paths]:
        notes.append(f"no image in {_some(f'{shown(_id(root, f))}/' for f in empty)}: not a class")
    notes += _left_out(root, samples, left_out)
    return DataSet(root, KIND, classes, tuple(samples), notes=tuple(notes))


def _is_split(folder: Path) -> bool:
    """Named so, with folders of images in it, but no image: `train/` can be a class beside `bus/`."""
    return split_of(folder.name) is not None and _has_classes(folder)


def _has_classes(folder: Path) -> bool:
    return any(map(_has_images, folders_in(folder))) and not _holds_images(folder)


def _has_images(folder: Path) -> bool:
    """Whether an image is in a folder, at any depth."""
    return any(map(is_image_name, files_in(folder)))


def _holds_images(folder: Path) -> bool:
    """Whether an image is directly in a folder."""
    return any(is_image_name(path) and not is_folder(path) for path in folder.iterdir())


def _check_others(root: Path, splits: dict[str, Path], others: list[Path]) -> None:
    """Folders with images beside those of the splits.

    Raises:
        ValueError: one of them is a split of an unknown name; or without a training split they may be the classes.
    """
    if not splits:
        return
    for folder in others:
        if looks_like_split(folder.name) and _has_classes(folder):
            raise unknown_split(folder, "looks like a split")
    if others and "train" not in splits:
        have = ", ".join(f"{shown(folder.name)}/" for folder in (*splits.values(), *others[:3]))
        raise ValueError(
            f"{shown(root)} has {have}: are these splits or classes? Move folders that are not splits away; or, if "
            "each of them is a "
            "class, pass --as-classes."
        )


def _check_classes(root: Path, home: Path, names: set[str]) -> None:
    """Raises:
    ValueError: names of the folders in `home` look like splits, or like the parts of another kind of data set.
    """
    like_splits = sorted(name for name in names if looks_like_split(name))
    parts = {name for name in names if name.lower() in _OF_ALL_IMAGES | _OF_ANNOTATIONS}
    if len(like_splits) in (0, 1) and all(map(could_be_class, like_splits)) and len(names) > len(like_splits):
        like_splits = []
    if like_splits:
        folders = f"{_some(f'{shown(name)}/' for name in like_splits)}: {_looks(like_splits)} like splits, not classes"
        need = "Put a folder for each class into folders named train/, val/ or test/"
    elif parts == names and any(name.lower() in _OF_ALL_IMAGES for name in parts):
        folders = (
            f"{_some(f'{shown(name)}/' for name in sorted(parts))}: {_looks(parts)} like parts of data, not classes"
        )
        need = "Put the images into a folder for each class"
    else:
        return
    raise ValueError(
        f"{shown(home)} has {folders}. {need}, or list them in a manifest (docs/data.md); or, if each folder is a "
        f"class, pass --as-classes.{foreign_layout(root)}"
    )


def _looks(names: Collection[str]) -> str:
    return "that looks" if len(names) == 1 else "these look"


def _id(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _left_out(root: Path, samples: list[Sample], folders: list[Path]) -> Iterator[str]:
    """What lies in the folder and is not used, so that nobody wonders where an image went."""
    yield from left_out_note(root, folders)
    used = {sample.path for sample in samples}
    unused = Counter((_top(root, p), p.suffix.lower() or "no suffix") for p in files_in(root) if p not in used)
    if number := sum(unused.values()):
        what = _some(f"{n} {suffix} {where}" for (where, suffix), n in unused.most_common())
        verb = "file is not an image of a class and is" if number == 1 else "files are not images of a class and are"
        yield f"{number} {verb} left out ({what})"


def _top(root: Path, path: Path) -> str:
    """Where in the folder a path is."""
    first, *rest = path.relative_to(root).parts
    return f"in {shown(first)}/" if rest else "beside the folders"


def _some(names: Iterable[str], most: int = 6) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
