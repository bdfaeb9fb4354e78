"""From files to pixels: one way to open an image, shared by training, evaluation and prediction."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from hclnet_runtime.data.gray import eight_bits, is_deep
from hclnet_runtime.data.pillow import with_long_texts, without_pixel_limit, without_remarks
from hclnet_runtime.data.sniff import what_it_is
from hclnet_runtime.data.whole import Damaged, check_whole
from hclnet_runtime.text import shown
from hclnet_runtime.types import Gray

MOST_PIXELS = 2**29
"""Width x height of the largest image that is read: 20,000 x 20,000 and a third more."""

MOST_BYTES = 2**32
"""Length of the longest file that is read: the largest image, in color of 16 bits, without compression, and more."""

OWN = Gray()
"""Gray of more than 8 bits by each image's own values."""

alone: AbstractContextManager[Any] = threading.Lock()
"""Held while an image of many pixels is decoded. In a process that reads for another one, that one's."""

_LARGE = 2**26  # from here on an image is decoded alone and made smaller before anything else is done with it
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})


def open_image(path: str | Path, at_least: int | None = None, gray: Gray = OWN) -> Image.Image:
    """An upright RGB image: EXIF rotation applied, the first frame of an animation, transparency laid on white.

    Args:
        path: of the file.
        at_least: both sides may be reduced to no less than this, pixels. A JPEG is then decoded at half, a quarter or
            an eighth of its size, in a fraction of the time and memory; others are reduced if they are very large.
        gray: how gray of more than 8 bits becomes 8 bits; by default each image by its own values.

    Raises:
        ValueError: the file is missing, empty, damaged (`hclnet_runtime.data.whole`), not an image that can be decoded,
            or larger than `MOST_PIXELS` or `MOST_BYTES`; the message names it.
    """
    with opened(path) as image, ExitStack() as stack:
        check_whole(path)
        if at_least:
            image.draft(None, (at_least, at_least))
        if image.width * image.height > _LARGE:
            stack.enter_context(alone)
        return upright_rgb(image, at_least, gray)


def load_square(path: str | Path, size: int, gray: Gray = OWN) -> UInt8[np.ndarray, "size size 3"]:
    """What a model of side `size` sees of a file: the whole upright image, squashed; `gray` as in `open_image`.

    Raises:
        ValueError: as `open_image`.
    """
    # Three times the size leaves the result as good as the same: Pillow's own measure for reducing in two steps.
    return squash(open_image(path, 3 * size, gray), size)


def image_size(path: str | Path) -> tuple[int, int]:
    """Width and height of the upright image, pixels, from the file's header.

    Raises:
        ValueError: as `open_image`, as far as the header shows it.
    """
    with opened(path) as image:
        width, height = image.size
        return (height, width) if _orientation(image) >= 5 else (width, height)


def upright_rgb(image: Image.Image, at_least: int | None = None, gray: Gray = OWN) -> Image.Image:
    """The same picture as RGB, its first frame, the right way up; if very large, reduced as far as `at_least` lets.

    Gray of more than 8 bits becomes 8 bits as `gray` says.
    """
    turn = _TURNS.get(_orientation(image))
    if is_deep(image):
        image = eight_bits(image, gray)
    elif image.mode == "LAB":
        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB") or image  # new, as it is not in place
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = _smaller(image if image.mode in ("LA", "RGBA") else image.convert("RGBA"), at_least).convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    elif image.mode in ("L", "CMYK", "RGB"):
        image = _smaller(image, at_least)
    image = _smaller(image.convert("RGB"), at_least)
    return image if turn is None else image.transpose(turn)


def squash(image: Image.Image, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """The whole image resized to a square without regard to its shape (paper, section 4: "re-sized")."""
    # Bilinear with Pillow's antialiasing: the support grows with the reduction.
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


def enlarged(size: int) -> int:
    """Side of the square that crops of `size` are cut from: 256 for 224 (paper, section 4; reading 16)."""
    return round(size * 8 / 7)


def crop_corners(side: int, size: int) -> tuple[tuple[int, int], ...]:
    """Where ten crops of side `size` begin in a square, as (y, x): its four corners and its center. Each crop is taken
    as it is and mirrored (reading 17)."""
    last = side - size
    return (0, 0), (0, last), (last, 0), (last, last), (last // 2, last // 2)


def pages_of(path: str | Path) -> int:
    """How many pages a TIFF has; 1 of other formats, of which the first frame is the picture.

    Raises:
        ValueError: as `open_image`.
    """
    with opened(path) as image:
        try:
            return getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
        except Exception:  # one behind the first is damaged, and the first is the picture
            return 1


def check_image(path: str | Path) -> None:
    """Look through a file by every checksum that it has; `open_image` leaves out those that cost most.

    Raises:
        ValueError: as `open_image`.
    """
    with _named(path):
        check_file(path)
        check_whole(path, pixels=True)


def check_file(path: str | Path) -> None:
    """Look at what is at a path before it is opened: of a pipe without a writer even that would not come to an end.

    Raises:
        ValueError: it is a pipe or a device, or longer than `MOST_BYTES`.
        OSError: there is nothing.
    """
    about = Path(path).stat()
    if not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
        raise _Unread(f"{shown(path)} is a pipe or a device, not a file.")
    length = about.st_size
    if length > MOST_BYTES:
        raise _Unread(
            f"{shown(path)} is {length / 2**30:,.0f} GB long; hclnet reads files of at most {MOST_BYTES // 2**30} GB. "
            "Save the picture again, or leave it out."
        )


@contextmanager
def opened(path: str | Path) -> Iterator[ImageFile.ImageFile]:
    """The file, its header read; whatever goes wrong while it is open becomes a ValueError that names it."""
    with _named(path), without_remarks(), without_pixel_limit(), with_long_texts(), _identified(path) as image:
        if image.width * image.height > MOST_PIXELS:
            raise _Unread(
                f"{shown(path)} has {image.width:,} x {image.height:,} pixels; hclnet reads at most "
                f"{MOST_PIXELS // 10**6} "
                f"million. Make it smaller."
            )
        yield image


@contextmanager
def _named(path: str | Path) -> Iterator[None]:
    name = shown(path)
    try:
        yield
    except _Unread:
        raise
    except Damaged as error:
        raise ValueError(f"{name} is damaged: {error}. Copy or download it again.") from None
    except FileNotFoundError:
        if Path(path).is_symlink():
            raise ValueError(f"{name} is a link to {shown(Path(path).readlink())}, which does not exist.") from None
        raise ValueError(f"There is no image file {name}.") from None
    except IsADirectoryError:
        raise ValueError(f"{name} is a folder, not an image. Name the files in it.") from None
    except UnidentifiedImageError:
        raise ValueError(f"{name} {_what(path)}.") from None
    except Exception as error:  # a damaged file raises whatever its decoder stumbles over
        if isinstance(error, OSError) and error.strerror:  # the system's own
            raise ValueError(f"{name} can't be read: {error.strerror}.") from None
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ValueError(f"{name} can't be decoded: {reason}.") from None


def _what(path: str | Path) -> str:
    """What a file is that Pillow does not know, as the rest of a sentence."""
    try:
        check_whole(path)
        return what_it_is(path)
    except Damaged as error:
        return f"is damaged: {error}. Copy or download it again"
    except OSError as error:  # gone since
        return f"can't be read: {error.strerror}"


class _Unread(ValueError):
    """A file that is an image and is not read; the message says all."""


def _identified(path: str | Path) -> ImageFile.ImageFile:
    check_file(path)
    try:
        return Image.open(path)
    except UnidentifiedImageError:
        with Path(path).open("rb") as file:
            start = file.read(12)
        if start[4:8] != b"ftyp" or start[8:12] not in _HEIC:
            raise
    try:
        import pi_heif
    except ImportError:
        raise _Unread(
            f"{shown(path)} is a HEIC image. Install the package that reads it:  pip install 'hclnet[heic]'"
        ) from None
    pi_heif.register_heif_opener()
    return Image.open(path)


def _orientation(image: Image.Image) -> int:
    """EXIF's, 1 to 8. Damaged metadata is not a reason to refuse a picture."""
    if image.format == "TIFF":  # Pillow turns it while it reads it
        return 1
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _smaller(image: Image.Image, at_least: int | None) -> Image.Image:
    factor = min(image.size) // at_least if at_least and image.width * image.height > _LARGE else 1
    return image.reduce(factor) if factor > 1 else image
