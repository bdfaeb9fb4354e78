"""Folders of results as `hclnet locate --save heatmaps` leaves them, without a model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("badger", "fox", "hare")
SIDE = 56
_HEAD = {
    "hclnet": "0.1.0",
    "format": 1,
    "model": {"name": "runs/mine", "fingerprint": "f" * 64},
    "settings": {"box": "auto", "map_size": SIDE},
    "classes": list(CLASSES),
    "image_root": None,
}


def true_box(k: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Where the object of the k-th image is."""
    width, height = size
    x, y = 0.15 + 0.05 * (k % 5), 0.2 + 0.04 * (k % 4)
    return round(x * width), round(y * height), round((x + 0.4) * width), round((y + 0.45) * height)


def draw(file: Path, size: tuple[int, int], k: int) -> None:
    """An image with a bright block where its object is."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0], 3), (70, 90, 60), dtype=np.uint8)
    x0, y0, x1, y1 = true_box(k, size)
    pixels[y0:y1, x0:x1] = (210, 180 - 40 * (k % 3), 90)
    Image.fromarray(pixels).save(file)


def heat(file: Path, size: tuple[int, int], k: int) -> None:
    """A heatmap that falls off around the middle of the object: at level 127 its box is the object's."""
    x0, y0, x1, y1 = true_box(k, size)
    x, y = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    far = np.maximum(np.abs(x - (x0 + x1) / 2) / (x1 - x0), np.abs(y - (y0 + y1) / 2) / (y1 - y0))
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(((1 - far).clip(0, 1) * 65535).round().astype(np.uint16)).save(file)


def row(
    file: Path,
    root: Path,
    size: tuple[int, int],
    objects: Sequence[tuple[str, Sequence[float], float, float | None]],
    label: str,
    heatmap: bool,
) -> dict:
    """A line of the journal; `objects` are label, box, score and agreement."""
    found = []
    for name, box, score, agreement in objects:
        one = {"label": name, "score": score, "box": [float(v) for v in box]}
        one |= {} if agreement is None else {"agreement": agreement}
        found.append(one | {"peak": [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, 1.0]})
    return {
        "path": str(file),
        "name": file.relative_to(root).with_suffix("").as_posix(),
        "absolute": str(file),
        "root": str(root),
        "file": None,
        "size": list(size),
        "asked": [label],
        "predictions": [[label, 0.9]],
        "objects": found,
        "pictures": ["heatmaps"] if heatmap else [],
    }


def write(out: Path, rows: Sequence[dict], **header) -> Path:
    """The journal of a folder."""
    out.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(one) for one in (_HEAD | header, *rows)]
    (out / "located.jsonl").write_text("\n".join(lines) + "\n")
    return out


def made(
    place: Path, count: int, heatmaps: bool = True, size: tuple[int, int] = (320, 240), names: Sequence[str] = ()
) -> Path:
    """`count` images and their results; every third box is too small to be right, and less certain."""
    root, out = place / "photos", place / "located"
    rows = []
    for k in range(count):
        file = root / (names[k] if names else f"{CLASSES[k % 3]}/{k:04}.jpg")
        draw(file, size, k)
        x0, y0, x1, y1 = true_box(k, size)
        wrong = k % 3 == 2
        box = (x0, y0, (x0 + x1) / 2, (y0 + y1) / 2) if wrong else (x0 + 2, y0 + 1, x1, y1)
        label = CLASSES[k % 3]
        certain = (k % 7) / 13 if wrong else (7 + k % 7) / 13
        rows.append(row(file, root, size, [(label, box, 0.5 + 0.004 * (k % 100), certain)], label, heatmaps))
        if heatmaps:
            heat(out / "heatmaps" / f"{rows[-1]['name']}.png", size, k)
    return write(out, rows, image_root=str(root))
