"""From files to pixels: one way to open an image, shared by training, evaluation and prediction."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jfif"})


def is_image_name(path: Path) -> bool:
    """Whether a file's name says that it is an image; hidden files (a Mac's `._photo.jpg`) never are."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def files_in(folder: Path) -> Iterator[Path]:
    """The files in a folder and its subfolders, in no order; without what is hidden (`.ipynb_checkpoints/`, `._a.jpg`).

    Links are followed, each folder is entered once, so that links in a circle come to an end. A link that leads nowhere
    counts as a file, so that whoever opens it is told. Pipes and devices don't: reading one may never end.

    Raises:
        ValueError: a folder can't be read.
    """
    waiting, entered = [folder], set()
    while waiting:
        here = waiting.pop()
        if (real := os.path.realpath(here)) in entered:
            continue
        entered.add(real)
        try:
            with os.scandir(here) as entries:
                shown = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda e: e.name)
        except OSError as error:
            raise ValueError(f"The folder {here} can't be read: {error.strerror}.") from None
        for entry in shown:
            path = here / entry.name
            # Asking the entry costs no call of the system, but it fails on a link to itself.
            found = path if entry.is_symlink() else entry
            if found.is_dir():
                waiting.append(path)
            elif found.is_file() or not path.exists():
                yield path


def image_files(folder: Path) -> list[Path]:
    """The image files in a folder and its subfolders, sorted by name.

    Raises:
        ValueError: as `files_in`.
    """
    return sorted(p for p in files_in(folder) if is_image_name(p))


def open_image(path: str | Path, at_least: int | None = None) -> Image.Image:
    """An upright RGB image: EXIF rotation applied, transparency laid on white.

    Args:
        path: of the file.
        at_least: both sides may be reduced to no less than this, pixels, where the format then decodes faster.

    Raises:
        ValueError: the file is missing, empty or not an image that can be decoded; the message names it.
    """
    try:
        with Image.open(path) as image:
            if at_least:
                image.draft(None, (at_least, at_least))
            return upright_rgb(image)
    except FileNotFoundError:
        raise ValueError(f"There is no image file {path}.") from None
    except UnidentifiedImageError:
        size = Path(path).stat().st_size
        what = "is empty (0 bytes)" if size == 0 else "is not an image in any format that Pillow reads"
        raise ValueError(f"{path} {what}. Remove it, or replace it by an image.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} can't be decoded: {error}. Remove it, or replace it by a whole image.") from None


def upright_rgb(image: Image.Image) -> Image.Image:
    """The same picture as RGB, its first frame, the right way up."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.asarray(image, dtype=np.float64)
        # 16 bit: by the type's range. Other depths carry no range of their own, so by their own.
        low, high = (0.0, 65535.0) if image.mode.startswith("I") and values.max() > 255 else (0.0, 255.0)
        if image.mode == "F":
            low, high = float(values.min()), float(values.max())
        values = (values - low) / max(high - low, 1e-12)
        image = Image.fromarray((values.clip(0, 1) * 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def squash(image: Image.Image, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """The whole image resized to a square without regard to its shape (paper, section 4: "re-sized")."""
    # Bilinear with Pillow's antialiasing: the support grows with the reduction.
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


def image_size(path: str | Path) -> tuple[int, int]:
    """Width and height of the upright image, pixels, from the file's header.

    Raises:
        ValueError: as `open_image`.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            # Orientations 5 to 8 lie on their side; of a TIFF, Pillow gives the upright size itself.
            lies = image.format != "TIFF" and image.getexif().get(0x0112, 1) >= 5
            return (height, width) if lies else (width, height)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return open_image(path).size  # which says what is wrong
