"""Draws the README's photographs: what the packaged ImageNet classifier finds without any training.

    pip download --no-deps scikit-image==0.26.0 && unzip scikit_image-*.whl 'skimage/data/*'
    python benchmarks/readme_photographs.py skimage/data docs/images/photographs.jpg

The photographs are from scikit-image's package, whose documentation says that they are free of restrictions: Chelsea
the cat (Stefan van der Walt, CC0), coffee (Rachel Michetti, CC0), the astronaut Eileen Collins (NASA, public domain)
and a rocket (SpaceX, public domain). Below each stands the class, which is the most probable one or is asked for.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from hclnet.formats.overlay import heat_picture
from hclnet.localizer.localizer import Localizer
from hclnet_runtime.data.images import open_image

PHOTOGRAPHS = {"chelsea.png": None, "coffee.png": None, "astronaut.png": "space shuttle", "rocket.jpg": "missile"}
"""Files, and the class that is asked for, if not the most probable one."""

HEIGHT, GAP, LABEL = 260, 6, 34


def tile(localizer: Localizer, path: Path, asked: str | None) -> Image.Image:
    """A photograph under its heatmap with the box, and the class below."""
    found = localizer.locate(path, classes=[asked] if asked else None)
    picture, one = open_image(path), found.objects[0]
    scale = HEIGHT / picture.height
    picture = picture.resize((round(scale * picture.width), HEIGHT))
    picture = Image.blend(picture, heat_picture(found.heatmaps[one.label], picture.size), 0.35)
    ImageDraw.Draw(picture).rectangle([scale * edge for edge in one.box], outline="#ff5d2e", width=4)
    sheet = Image.new("RGB", (picture.width, HEIGHT + LABEL), "white")
    sheet.paste(picture, (0, 0))
    text = f"{one.label} (asked for)" if asked else f"{one.label}, {one.score:.0%}"
    ImageDraw.Draw(sheet).text((4, HEIGHT + 6), text, fill="black", font=ImageFont.load_default(size=20))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path, help="the folder skimage/data of scikit-image's wheel")
    parser.add_argument("picture", type=Path)
    chosen = parser.parse_args()
    if lacking := [name for name in PHOTOGRAPHS if not (chosen.photographs / name).is_file()]:
        parser.error(f"{chosen.photographs} has no {', '.join(lacking)}.")
    localizer = Localizer.imagenet()
    tiles = [tile(localizer, chosen.photographs / name, asked) for name, asked in PHOTOGRAPHS.items()]
    sheet = Image.new("RGB", (sum(one.width + GAP for one in tiles) - GAP, HEIGHT + LABEL), "white")
    left = 0
    for one in tiles:
        sheet.paste(one, (left, 0))
        left += one.width + GAP
    chosen.picture.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(chosen.picture, quality=88)


if __name__ == "__main__":
    main()
