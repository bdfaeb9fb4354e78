"""What a person asks of a localizer: the image, the classes, the counts. One place refuses what can't be meant.

Everything wrong is a ValueError of one sentence: what was given, and what is taken.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hclnet_runtime.data.images import OWN, upright_rgb
from hclnet_runtime.text import shown
from hclnet_runtime.types import Gray

TAKEN = "Give a path, a Pillow image, or an array of height x width x 3 in uint8"


def as_path_or_picture(image: Any, gray: Gray = OWN) -> str | Image.Image:
    """The path of an image as text, or the picture itself as upright RGB; `gray` as of `open_image`.

    Raises:
        ValueError: it is neither, or a picture that can't be decoded.
    """
    if isinstance(image, str | os.PathLike):
        path = os.fspath(image)
        if isinstance(path, str):
            return path
    if isinstance(image, np.ndarray):
        image = _of_array(image)
    if not isinstance(image, Image.Image):
        raise ValueError(f"An image can't be given as {_named(image)}. {TAKEN}.{_way(image)}")
    if 0 in image.size:
        raise ValueError(f"The image has {image.width} x {image.height} pixels: there is nothing in it.")
    try:
        return upright_rgb(image, gray=gray)
    except Exception as error:  # a damaged file that Pillow opened raises whatever its decoder stumbles over
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ValueError(f"The Pillow image can't be decoded: {reason}.") from None


def as_classes(classes: Any, known: Sequence[str]) -> tuple[str, ...] | None:
    """The names of the target classes, each once; None if none are named.

    Raises:
        ValueError: it is not a list of names, a name is not a class, or there is no name.
    """
    if classes is None:
        return None
    if isinstance(classes, str):
        raise ValueError(f"classes={classes!r} is one text. Write a list of names: classes=[{classes!r}].")
    if not isinstance(classes, Iterable) or isinstance(classes, bytes):
        raise ValueError(f"classes can't be {_named(classes)}. Write a list of names, such as classes=[{known[0]!r}].")
    names = tuple(dict.fromkeys(classes))
    if odd := [name for name in names if not isinstance(name, str)]:
        raise ValueError(f"classes holds {_short(odd[0])}, which is not a text. Name classes as in {some(known)}.")
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"No such class: {', '.join(map(shown, unknown))}. There are {some(known)}.")
    if not names:
        raise ValueError(f"No class is asked for. Name at least one of {some(known)}.")
    return names


def as_count(name: str, value: Any) -> int:
    """A whole number from 1, of what `name` says.

    Raises:
        ValueError: it is something else; True and 1.0 are.
    """
    try:
        count = operator.index(value)
    except TypeError:
        count = 0
    if count < 1 or isinstance(value, bool | np.bool_):
        raise ValueError(f"{name}={_short(value)}: it has to be a whole number, 1 or more.")
    return count


def as_names(name: str, value: Any, known: Sequence[str], none: bool = False) -> tuple[str, ...]:
    """Some of the known names, each once.

    Args:
        name: of the option on the command line, without `--`.
        value: a list of names.
        known: what there is.
        none: whether the command line has the word none for no name.

    Raises:
        ValueError: it is not a list, or one of the names is not known.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise ValueError(f"{name}={_short(value)}: write a list, such as [{known[0]!r}].")
    names = tuple(dict.fromkeys(map(str, value)))
    if unknown := [one for one in names if one not in known]:
        raise ValueError(f"--{name} {shown(unknown[0])}: there are {', '.join(known)}{' and none' * none}.")
    return names


def as_arguments(images: Any) -> list[str | Path]:
    """One or more files, folders and globs as a list.

    Raises:
        ValueError: something else, or nothing.
    """
    listed = [images] if isinstance(images, str | os.PathLike) else images
    if isinstance(listed, bytes | np.ndarray | Image.Image) or not isinstance(listed, Iterable):
        raise ValueError(
            f"Images can't be given as {_named(images)} here. Give files, folders or globs by name; for one image from "
            "memory there is hclnet.locate."
        )
    listed = list(listed)
    for one in listed:
        if not isinstance(one, str | os.PathLike) or not isinstance(os.fspath(one), str):
            raise ValueError(f"An image can't be given as {_named(one)} here. Give files, folders or globs by name.")
    if not listed:
        raise ValueError("No image is named. Give files, folders or globs.")
    return [one if isinstance(one, str) else Path(one) for one in listed]


def split_names(text: str, known: Sequence[str]) -> list[str]:
    """`"badger,fox"` -> `["badger", "fox"]`. Where classes have commas in their names, the longest name is taken.

    Args:
        text: names with commas between them.
        known: the classes. What is none of them is split at every comma.
    """
    names, pieces = [], text.split(",")
    classes = set(known)
    while pieces:
        for count in range(len(pieces), 0, -1):
            name = ",".join(pieces[:count])
            found = next((n for n in (name, name.strip()) if n in classes), None)
            if found is not None or count == 1:
                break
        names.append(name.strip() if found is None else found)
        del pieces[:count]
    return [name for name in names if name]


def some(names: Sequence[str], most: int = 12) -> str:
    """The first of many names, and how many more there are."""
    listed = ", ".join(map(shown, names[:most]))
    return listed + (f" and {len(names) - most} more" if len(names) > most else "")


def _of_array(array: np.ndarray) -> Image.Image:
    if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3 and 0 not in array.shape:
        return Image.fromarray(np.ascontiguousarray(array))
    way = ""
    if 0 in array.shape:
        way = " There is nothing in it."
    elif array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):
        way = " Channels come last: array.transpose(1, 2, 0)."
    elif array.dtype != np.uint8:
        way = " Bring its values to 0..255 first: what 1.0 or 65535 stands for is not guessed."
    elif array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 4)):
        way = " Of gray or transparent pixels make a Pillow image: PIL.Image.fromarray(array)."
    raise ValueError(
        f"An image given as an array is height x width x 3 in uint8: red, green, blue, 0..255. This array is "
        f"{' x '.join(map(str, array.shape)) or 'a single value'} in {array.dtype}.{way}"
    )


def _named(value: Any) -> str:
    kind = type(value)
    home = "" if kind.__module__ == "builtins" else f"{kind.__module__.removeprefix('_')}."
    return "None" if value is None else f"{home}{kind.__name__}"


def _way(image: Any) -> str:
    """How to make of the thing what is taken."""
    if type(image).__module__.split(".")[0] == "torch":
        return " Of a tensor of 3 x height x width in uint8 it is tensor.permute(1, 2, 0).cpu().numpy()."
    if isinstance(image, bytes | bytearray | memoryview):
        return " Of bytes it is PIL.Image.open(io.BytesIO(data))."
    if hasattr(image, "read"):
        return " Of an open file it is PIL.Image.open(file)."
    if isinstance(image, list | tuple | set | dict):
        return " Many files are for hclnet.locate_files, or a call each."
    return ""


def _short(value: Any, most: int = 40) -> str:
    text = shown(repr(value))
    return text if len(text) <= most else f"{text[: most - 3]}..."


def check_list(images: Any) -> None:
    """Raises:
    ValueError: it is one image, or nothing that holds images.
    """
    if isinstance(images, str | bytes | os.PathLike | np.ndarray | Image.Image) or not isinstance(images, Iterable):
        raise ValueError("locate_batch takes a list of images. For one image there is locate.")
