"""Pictures of localizations: heatmap and boxes over the image."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hclnet import caches as _caches  # noqa: F401, of which matplotlib learns what not to say
from hclnet.data.files import shown
from hclnet.formats.masks import at_size
from hclnet.storage import whole
from hclnet.types import Localization
from hclnet_runtime.data.images import open_image, upright_rgb

MOST = 4096
"""Longest side of a picture, pixels."""

_COLORS = ("#ff5d2e", "#2ec4ff", "#b6ff2e", "#ff2ec4", "#ffd52e")


def _picture(one: Localization, image: object | None) -> Image.Image:
    if image is None:
        if not one.path:
            raise ValueError("This localization is of an image from memory. Pass the image: plot(image=...).")
        return open_image(one.path, MOST, one.gray)
    picture = image if isinstance(image, Image.Image) else Image.fromarray(np.asarray(image))
    return upright_rgb(picture, gray=one.gray)


@lru_cache(8)
def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib: more scripts than Pillow's own font."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def heat_picture(heatmap: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """A heatmap in color at the image's size (matplotlib's `turbo`)."""
    import matplotlib

    rgb = (matplotlib.colormaps["turbo"](heatmap)[..., :3] * 255).astype(np.uint8)
    return Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR)


def overlay(one: Localization, image: object | None = None, opacity: float = 0.45) -> Image.Image:
    """The image under the heatmap of its first class, with a labeled box per object; no side is longer than `MOST`.

    Where nothing was found, it is the image alone with the class in a corner.

    Raises:
        ValueError: the image can't be read, or came from memory and is not handed over.
    """
    picture = _picture(one, image)
    picture.thumbnail((MOST, MOST))
    scale_x, scale_y = picture.width / one.size[0], picture.height / one.size[1]
    if one.objects:
        picture = Image.blend(picture, heat_picture(one.heatmap, picture.size), opacity)
    draw = ImageDraw.Draw(picture)
    line = max(2, round(max(picture.size) / 200))
    for k, found in enumerate(one.objects):
        color = _COLORS[k % len(_COLORS)]
        x0, y0, x1, y1 = (v * s for v, s in zip(found.box, (scale_x, scale_y, scale_x, scale_y)))
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=color, width=line)
        _tag(draw, picture.size, x0, y0, found.label, found.score, color)
    if not one.objects:
        _tag(draw, picture.size, 0, 0, one.label, one.score, "#d0d0d0")
    return picture


def _tag(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], x: float, y: float, label: str, score: float, color: str
) -> None:
    """Label and score over a box's corner, or in it where there is no room above."""
    letters = font(max(12, round(max(size) / 28)))
    text = f" {shown(label)} {score:.0%} "
    left, top, right, bottom = draw.textbbox((0, 0), text, font=letters)
    width, height = right - left, bottom - top + 4
    x = min(max(0, x), max(0, size[0] - width))
    y = y - height if y >= height else min(y, size[1] - height)
    draw.rectangle((x, y, x + width, y + height), fill=color)
    draw.text((x - left, y - top + 2), text, fill="black", font=letters)


def plot(one: Localization, image: object | None = None, ax: object | None = None) -> object:
    """The overlay on matplotlib axes; returns them."""
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    axes = plt.subplots()[1] if ax is None else cast(Axes, ax)
    axes.imshow(np.asarray(overlay(one, image)))
    axes.set_title(f"{shown(one.label)} {one.score:.0%}", parse_math=False)
    axes.set_axis_off()
    return axes


def save_pictures(
    one: Localization, out: Path, name: str, what: set[str], image: Callable[[], object] | None = None
) -> None:
    """Write `out/overlays/<name>.jpg`, `out/heatmaps/<name>.png` (gray of 16 bits, 0..1 as 0..65535),
    `out/heatmaps-8bit/<name>.png` (0..1 as 0..255) and, for each object from k = 1, `out/masks/<name>-<k>.png` (0 and
    255), as asked for.

    Masks have the image's size, the others too, or `MOST` pixels on the longest side.

    Each is written whole or not at all. `image` gives what `overlay` takes, in place of the file.

    Raises:
        ValueError: as `overlay`.
        Unwritable: a file can't be written.
    """
    pictures: dict[Path, Callable[[], Image.Image]] = {}
    if "overlays" in what:
        pictures[out / "overlays" / f"{name}.jpg"] = lambda: overlay(one, image and image())
    if "heatmaps" in what:
        pictures[out / "heatmaps" / f"{name}.png"] = lambda: _gray(one, np.uint16)
    if "heatmaps-8bit" in what:
        pictures[out / "heatmaps-8bit" / f"{name}.png"] = lambda: _gray(one, np.uint8)
    for k, found in enumerate(one.objects if "masks" in what else (), 1):
        if found.mask is not None:
            pictures[out / "masks" / f"{name}-{k}.png"] = partial(_mask, found.mask, one.size)
    for file, picture in pictures.items():
        data = BytesIO()  # Pillow says of a file that can't be written only that it can't
        picture().save(data, "JPEG" if file.suffix == ".jpg" else "PNG", quality=90)
        with whole(file, sweep=False) as part:
            part.write_bytes(data.getbuffer())


def _gray(one: Localization, depth: type[np.uint8 | np.uint16]) -> Image.Image:
    shrink = max(1.0, max(one.size) / MOST)
    width, height = (max(1, round(side / shrink)) for side in one.size)
    gray = Image.fromarray(one.heatmap.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    return Image.fromarray((np.asarray(gray).clip(0, 1) * np.iinfo(depth).max).round().astype(depth))


def _mask(mask: np.ndarray, size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(at_size(mask, size).astype(np.uint8) * 255)
