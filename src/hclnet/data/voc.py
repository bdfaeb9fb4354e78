"""Pascal VOC (http://host.robots.ox.ac.uk/pascal/VOC): an XML file for each image, in `Annotations` or beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from hclnet.data.annotated import Annotated, Places, as_dataset, head, unreadable
from hclnet.data.files import files_in, image_files, read_lines
from hclnet.data.splits import split_of
from hclnet.documents import xml_root
from hclnet.types import Box, DataSet

KIND = "Pascal VOC"
LOOKED_FOR = (
    "a folder with Annotations/ of .xml files and JPEGImages/, and where present ImageSets/Main/<split>.txt; or .xml "
    "files beside the images, directly or in train/, val/ and test/"
)

_IMAGES = ("JPEGImages", "images", "Images", "")


def recognize(root: Path) -> bool:
    if not root.is_dir():
        return False
    files = [file for home in _homes(root) if (file := _first(home))]
    return any("<annotation" in head(file) for file in files)


def read(root: Path, seed: int = 0) -> DataSet:
    """The data set. Corners count from 1 and belong to the box. Splits are those of `ImageSets/Main`, or of folders.

    Raises:
        ValueError: a file is not as it has to be, or images are not there.
    """
    images: list[Annotated] = []
    places = Places()
    for home, split in _homes(root).items():
        folder = home / "Annotations" if (home / "Annotations").is_dir() else home
        places.folders += [home / name for name in _IMAGES]
        by_stem = _by_stem(home)
        lists = _lists(home)
        for file in sorted(path for path in files_in(folder) if path.suffix.lower() == ".xml"):
            stem = file.relative_to(folder).with_suffix("").as_posix()
            images.append(_image(file, home, stem, by_stem, split or lists.get(stem)))
    return as_dataset(root, KIND, images, seed, places)


def _homes(root: Path) -> dict[Path, str | None]:
    """The folders that have annotations, and the splits that they are."""
    if _first(root):
        return {root: None}
    folders = sorted(path for path in root.iterdir() if split_of(path.name) and path.is_dir())
    return {folder: split_of(folder.name) for folder in folders if _first(folder)}


def _first(home: Path) -> Path | None:
    """A file of annotations in a folder, if there is one."""
    patterns = ("Annotations/*.xml", "Annotations/*/*.xml", "*.xml")
    return next((file for pattern in patterns for file in home.glob(pattern)), None)


def _by_stem(home: Path) -> dict[str, list[Path]]:
    """The images by their place without the ending."""
    folder = next((home / name for name in _IMAGES if (home / name).is_dir() and image_files(home / name)), home)
    found: dict[str, list[Path]] = {}
    for path in image_files(folder):
        found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), []).append(path)
    return found


def _lists(home: Path) -> dict[str, str]:
    """The split of each image that the lists of them have."""
    found: dict[str, str] = {}
    for split in ("train", "val", "test"):
        file = home / "ImageSets" / "Main" / f"{split}.txt"
        if file.is_file():
            found |= {line: split for _, line in read_lines(file)}
    return found


def _image(file: Path, home: Path, stem: str, by_stem: dict[str, list[Path]], split: str | None) -> Annotated:
    try:
        root = xml_root(file)
        boxes = list(_boxes(root))
        width, height = (int(float(root.findtext(f"size/{side}") or 0)) for side in ("width", "height"))
    except (ValueError, OverflowError) as error:
        raise unreadable(file, KIND, str(error)) from None
    named = root.findtext("filename") or stem
    found = by_stem.get(stem, [])
    path = next((path for path in found if path.name == Path(named).name), found[0] if found else None)
    path = path or Places([home / name for name in _IMAGES]).find(named)
    return Annotated(named, path, boxes, (width, height) if width and height else None, split)


def _boxes(root: ElementTree.Element) -> Iterator[tuple[str, Box]]:
    for element in root.iter("object"):
        name = (element.findtext("name") or "").strip()
        corners = [element.findtext(f"bndbox/{corner}") for corner in ("xmin", "ymin", "xmax", "ymax")]
        if not name or None in corners:
            raise ValueError(f"an object has no {'name' if not name else 'box'}")
        x0, y0, x1, y1 = (float(value or "") for value in corners)
        yield name, (x0 - 1, y0 - 1, x1, y1)
