"""Draws the README's picture: the same test images under CAM and under HCLNet, as a comparison's runs see them.

    python benchmarks/readme_picture.py OUT docs/images/cam-beside-hclnet.jpg

OUT is the folder of `hclnet demo` (or of `hclnet compare` on its birds). The images are spread evenly over the test
split, not picked. White: the drawn ground_truth. Orange: the box from labels alone.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from hclnet.data import read
from hclnet.formats.overlay import heat_picture
from hclnet.localizer.localizer import Localizer
from hclnet.workflows.compare import run_folder
from hclnet.workflows.table import title
from hclnet_runtime.data.images import open_image

SIDE, GAP, LABEL = 200, 5, 84


def tile(localizer: Localizer, path: Path, label: str, ground_truth: tuple[float, ...]) -> Image.Image:
    """One image under its heatmap, with the true and the found box."""
    found = localizer.locate(path, classes=[label])
    picture = open_image(path)
    scale = SIDE / picture.width
    picture = picture.resize((SIDE, SIDE))
    picture = Image.blend(picture, heat_picture(found.heatmaps[label], picture.size), 0.5)
    draw = ImageDraw.Draw(picture)
    for box, color in ((ground_truth, "white"), *((one.box, "#ff5d2e") for one in found.objects)):
        draw.rectangle([scale * edge for edge in box], outline=color, width=2)
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--methods", default="cam,hclnet")
    chosen = parser.parse_args()
    rows = json.loads((chosen.out / "compare.json").read_text(encoding="utf-8"))
    by_method = {title(row): row for row in rows}
    data = read(chosen.out / "birds")
    tests = data.split("test")
    samples = [tests[int((k + 0.5) * len(tests) / chosen.images)] for k in range(chosen.images)]
    names = chosen.methods.split(",")
    size = (LABEL + chosen.images * (SIDE + GAP) - GAP, (1 + len(names)) * (SIDE + GAP) - GAP)
    sheet = Image.new("RGB", size, "white")
    font = ImageFont.load_default(size=22)
    for x, sample in enumerate(samples):
        sheet.paste(open_image(sample.path).resize((SIDE, SIDE)), (LABEL + x * (SIDE + GAP), 0))
    for y, name in enumerate(names, 1):
        localizer = Localizer.load(run_folder(chosen.out, by_method[name]))
        top = y * (SIDE + GAP)
        ImageDraw.Draw(sheet).text((4, top + SIDE // 2 - 12), name, fill="black", font=font)
        for x, sample in enumerate(samples):
            ground_truth = tuple(data.ground_truth.boxes[sample.id][0])
            picture = tile(localizer, sample.path, data.classes[sample.label], ground_truth)
            sheet.paste(picture, (LABEL + x * (SIDE + GAP), top))
    chosen.picture.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(chosen.picture, quality=88)


if __name__ == "__main__":
    main()
