"""Images that a person gives -> squares."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from hclnet_runtime.data.images import check_image, image_size, load_square, open_image, squash
from hclnet_runtime.data.same import file_row
from hclnet_runtime.request import as_path_or_picture
from hclnet_runtime.types import Gray

Square = Callable[[int], UInt8[np.ndarray, "s s 3"]]
"""An image squashed to a side, pixels."""

_THREADS = 2  # that decode images
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Picture(NamedTuple):
    """An image that was checked and is not yet decoded.

    Attributes:
        path: of its file; empty for one from memory.
        size: width and height, upright, pixels.
        square: squashes it to a side. ValueError if it can't be decoded.
    """

    path: str
    size: tuple[int, int]
    square: Square


def as_picture(image: Any, gray: Gray) -> Picture:
    """An image that a person gave: a path, a Pillow image or an array; one that is a `Picture` is as it is.

    Raises:
        ValueError: it is none of these, or it can't be read.
    """
    if isinstance(image, Picture):
        return image
    given = as_path_or_picture(image, gray)
    if isinstance(given, Image.Image):
        return Picture("", given.size, partial(squash, given))
    check_image(given)
    return Picture(given, image_size(given), partial(load_square, given, gray=gray))


class Read(NamedTuple):
    """An image, read.

    Attributes:
        size: width and height, upright, pixels.
        squares: by their sides, pixels.
        file: what it is known again by; see `hclnet_runtime.data.same.file_row`.
    """

    size: tuple[int, int]
    squares: dict[int, UInt8[np.ndarray, "s s 3"]]
    file: dict[str, Any] | None


def read_file(path: str | Path, gray: Gray, sides: Collection[int], known: bool = False) -> Read:
    """All that is wanted of an image file.

    Args:
        path: of the file.
        gray: how gray of more than 8 bits is seen.
        sides: of the squares, pixels.
        known: whether to find out what the file is known again by.

    Raises:
        ValueError: it can't be read.
    """
    file = None
    if known:
        with suppress(OSError, ValueError):  # what opens the image says it better
            file = file_row(Path(path))
    picture = as_picture(path, gray)
    return Read(picture.size, {side: picture.square(side) for side in sides}, file)


def pixels(path: str | Path, most: int, gray: Gray) -> UInt8[np.ndarray, "h w 3"]:
    """An upright image, no side longer than `most` pixels; the rest as of `open_image`.

    Raises:
        ValueError: it can't be read.
    """
    image = open_image(path, most, gray)
    image.thumbnail((most, most))
    return np.asarray(image)


def picture_from(path: str | Path, read: Read, gray: Gray) -> Picture:
    """A file that was read."""

    def square(side: int) -> UInt8[np.ndarray, "s s 3"]:
        return read.squares[side] if side in read.squares else load_square(path, side, gray)

    return Picture(os.fspath(path), read.size, square)


def decoded(picture: Picture, sides: Collection[int]) -> Picture:
    """The same picture with the squares of these sides, pixels, at hand.

    Raises:
        ValueError: it can't be read.
    """
    squares = {side: picture.square(side) for side in sides}
    return picture._replace(square=lambda side: squares[side] if side in squares else picture.square(side))


def decoded_at(place: int, image: Any, sides: Collection[int], gray: Gray) -> Picture:
    """An image of a list, checked and decoded.

    Args:
        place: in the list, from 0.
        image: a path, a Pillow image, an array.
        sides: of the squares that will be asked for, pixels.
        gray: how gray of more than 8 bits is seen.

    Raises:
        ValueError: it can't be read; the message has its place.
    """
    try:
        return decoded(as_picture(image, gray), sides)
    except ValueError as error:
        raise ValueError(f"Image {place} of the list: {error}") from None


def decoded_pictures(images: Iterable[Any], sides: Collection[int], gray: Gray, ahead: int) -> Iterator[Picture]:
    """The images of a list, checked and decoded by threads.

    Args:
        images: paths, Pillow images, arrays.
        sides, gray: as of `decoded_at`.
        ahead: how many images are decoded ahead of use.

    Raises:
        ValueError: as `decoded_at`.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        yield from in_threads(
            lambda numbered: decoded_at(*numbered, sides, gray), enumerate(images), pool, ahead + _THREADS
        )


def in_threads(
    work: Callable[[_Item], _Result], items: Iterable[_Item], pool: ThreadPoolExecutor, ahead: int
) -> Iterator[_Result]:
    """Results in order, while at most `ahead` items are worked on beyond the one that is wanted next. What waits when
    it ends early is not worked on."""
    waiting: deque[Future[_Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
