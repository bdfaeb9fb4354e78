"""Draws the README's picture: the same test images under CAM and under HCLNet, as a comparison's runs see them.

    python benchmarks/readme_picture.py OUT --images 6 docs/images/cam-beside-hclnet.jpg

OUT is the folder of `hclnet demo` (or of `hclnet compare` on its birds). The images are spread evenly over the test
split, not picked. White: the drawn truth. Orange: the box from labels alone.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from hclnet.annotate.overlay import heat_picture
from hclnet.compare import run_folder, title
from hclnet.data import read
from hclnet.data.images import open_image
from hclnet.localizer import Localizer

SIDE, GAP, LABEL = 224, 6, 92


def tile(localizer: Localizer, path: Path, label: str, truth: tuple[float, ...]) -> Image.Image:
    """One image under its heatmap, with the true and the found box."""
    found = localizer.locate(path, classes=[label])
    picture = open_image(path)
    picture = Image.blend(picture, heat_picture(found.heatmaps[label], picture.size), 0.4)
    draw = ImageDraw.Draw(picture)
    draw.rectangle(truth, outline="white", width=2)
    for one in found.objects:
        draw.rectangle(one.box, outline="#ff5d2e", width=3)
    return picture.resize((SIDE, SIDE))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--methods", default="cam,hclnet")
    chosen = parser.parse_args()
    rows = json.loads((chosen.out / "compare.json").read_text(encoding="utf-8"))
    by_method = {title(row): row for row in rows}
    data = read(chosen.out / "birds")
    tests = data.split("test")
    samples = [tests[round((k + 0.5) * len(tests) / chosen.images)] for k in range(chosen.images)]
    names = chosen.methods.split(",")
    size = (LABEL + chosen.images * (SIDE + GAP), len(names) * (SIDE + GAP) - GAP)
    sheet = Image.new("RGB", size, "white")
    font = ImageFont.load_default(size=22)
    for y, name in enumerate(names):
        localizer = Localizer.load(run_folder(chosen.out, by_method[name]))
        top = y * (SIDE + GAP)
        ImageDraw.Draw(sheet).text((4, top + SIDE // 2 - 12), name, fill="black", font=font)
        for x, sample in enumerate(samples):
            truth = tuple(data.truth.boxes[sample.id][0])
            picture = tile(localizer, sample.path, data.classes[sample.label], truth)
            sheet.paste(picture, (LABEL + x * (SIDE + GAP), top))
    chosen.picture.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(chosen.picture, quality=88)


if __name__ == "__main__":
    main()
