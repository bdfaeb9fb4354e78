"""What it costs to verify an image file beside decoding it, by kind.

    python benchmarks/reading.py [--width 1600] [--times 7]

The picture is drawn: soft shapes under a camera's noise, which is what PNG packs worst. `every time` is what
`open_image` verifies, `once` what is verified where images are checked: before a training, by `data check` and by
`locate`. Both stand beside the time of decoding; for a JPEG at an eighth of its size too, as it is decoded before a
training. Times are of the processor, the least of several.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from hclnet_runtime.data.whole import check_whole

KINDS = {
    "PNG": ("png", {}),
    "PNG, 16-bit gray": ("png", {}),
    "TIFF, deflate": ("tif", {"compression": "tiff_deflate"}),
    "JPEG": ("jpg", {"quality": 90}),
    "JPEG at an eighth": ("jpg", {"quality": 90}),
    "WebP": ("webp", {"quality": 90}),
}


def picture(width: int) -> Image.Image:
    rng = np.random.default_rng(0)
    height = width * 3 // 4
    soft = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    noisy = np.asarray(soft) + rng.normal(0, 3, (height, width, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def sixteen(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 16)


def decode(path: Path, eighth: bool) -> None:
    with Image.open(path) as image:
        if eighth:
            image.draft(None, (image.width // 8, image.height // 8))
        image.load()


def milliseconds(act: Callable[[], None], times: int) -> float:
    taken = []
    for _ in range(times):
        start = time.process_time()
        act()
        taken.append(time.process_time() - start)
    return 1000 * min(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=1600, help="of the picture, pixels")
    parser.add_argument("--times", type=int, default=7)
    arguments = parser.parse_args()
    image = picture(arguments.width)
    print(f"{image.width} x {image.height} pixels\n")
    print("| kind | MB | decode, ms | every time, ms | % | once, ms | % |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for kind, (suffix, options) in KINDS.items():
            path = Path(folder) / f"picture.{suffix}"
            (sixteen(image) if "16" in kind else image).save(path, **options)
            whole = milliseconds(lambda: decode(path, "eighth" in kind), arguments.times)  # noqa: B023, called here
            cells = [f"{path.stat().st_size / 1e6:.2f}", f"{whole:.1f}"]
            for pixels in (False, True):
                cost = milliseconds(lambda: check_whole(path, pixels), arguments.times)  # noqa: B023
                cells += [f"{cost:.2f}", f"{100 * cost / whole:.0f}"]
            print(f"| {kind} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
