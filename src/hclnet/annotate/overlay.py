"""Pictures of localizations: heatmap and boxes over the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hclnet.data.images import open_image, upright_rgb
from hclnet.types import Localization

_COLOURS = ("#ff5d2e", "#2ec4ff", "#b6ff2e", "#ff2ec4", "#ffd52e")


def _picture(one: Localization, image: object | None) -> Image.Image:
    if image is None:
        if not one.path:
            raise ValueError("This localization is of an image from memory: hand the image over, plot(image=...).")
        return open_image(one.path)
    return upright_rgb(image if isinstance(image, Image.Image) else Image.fromarray(np.asarray(image)))


def heat_picture(heatmap: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """A heatmap in colour at the image's size (matplotlib's `turbo`)."""
    import matplotlib

    rgb = (matplotlib.colormaps["turbo"](heatmap)[..., :3] * 255).astype(np.uint8)
    return Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR)


def overlay(one: Localization, image: object | None = None, opacity: float = 0.45) -> Image.Image:
    """The image under the heatmap of its first class, with a labelled box per object.

    Raises:
        ValueError: the image can't be read, or came from memory and is not handed over.
    """
    picture = _picture(one, image)
    picture = Image.blend(picture, heat_picture(one.heatmap, picture.size), opacity)
    draw = ImageDraw.Draw(picture)
    line = max(2, round(max(picture.size) / 200))
    font = ImageFont.load_default(size=max(12, round(max(picture.size) / 28)))
    for k, found in enumerate(one.objects):
        colour = _COLOURS[k % len(_COLOURS)]
        x0, y0, x1, y1 = found.box
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=line)
        text = f" {found.label} {found.score:.0%} "
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        width, height = right - left, bottom - top + 4
        x = min(max(0, x0), max(0, picture.width - width))
        y = y0 - height if y0 >= height else min(y0, picture.height - height)
        draw.rectangle((x, y, x + width, y + height), fill=colour)
        draw.text((x - left, y - top + 2), text, fill="black", font=font)
    return picture


def plot(one: Localization, image: object | None = None, ax: object | None = None) -> object:
    """The overlay on matplotlib axes; returns them."""
    import matplotlib.pyplot as plt

    ax = ax or plt.subplots()[1]
    ax.imshow(overlay(one, image))
    ax.set_title(f"{one.label} {one.score:.0%}")
    ax.set_axis_off()
    return ax


def save_pictures(one: Localization, out: Path, name: str, what: set[str]) -> None:
    """Write `out/overlays/<name>.jpg` and `out/heatmaps/<name>.png` (16 bit grey, 0..1 as 0..65535), as asked for.

    Raises:
        ValueError: as `overlay`.
    """
    if "overlays" in what:
        file = out / "overlays" / f"{name}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        overlay(one).save(file, quality=90)
    if "heatmaps" in what:
        file = out / "heatmaps" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        grey = Image.fromarray(one.heatmap.astype(np.float32)).resize(one.size, Image.Resampling.BILINEAR)
        Image.fromarray((np.asarray(grey).clip(0, 1) * 65535).round().astype(np.uint16)).save(file)
