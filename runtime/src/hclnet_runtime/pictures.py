"""Images that a person gives -> squares."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from hclnet_runtime.data.images import check_image, image_size, load_square, squash
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
    """Results in order, while at most `ahead` items are worked on beyond the one that is wanted next."""
    waiting: deque[Future[_Result]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
