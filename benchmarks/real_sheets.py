"""A picture of the images of a set whose boxes are worst: photograph, heatmap and foreground score side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from hclnet.formats.overlay import font, heat_picture
from hclnet.localizer.pipeline import feature_batches, map_rows
from hclnet.metrics import Hclnet
from hclnet.storage import whole
from hclnet.types import Records, Sample
from hclnet_runtime.data.images import load_square, open_image
from real_runs import Part

SIDE, GAP, CAPTION, COLUMNS = 168, 8, 18, 3
GROUND_TRUTH, FOUND = "#30e030", "#ff2020"


def draw_worst(parts: Sequence[Part], records: Records, count: int, path: Path) -> None:
    """Write a PNG of the images with the least IoU, worst first, row by row.

    Each has the photograph with ground-truth boxes (green) and the box (red), the heatmap over it, and the foreground
    score, brighter than gray where it says object.

    Args:
        parts: whose records they are.
        records: under one rule, of the tested images of all parts in order.
        count: how many images at most.
        path: of the picture.
    """
    tested = [(part, sample) for part in parts for sample in part.data.split("test")]
    known = np.flatnonzero(~np.isnan(records.iou))
    rows = known[np.argsort(records.iou[known], kind="stable")][:count]
    maps: dict[int, tuple[np.ndarray, np.ndarray | None]] = {}
    for part in parts:
        own = [int(row) for row in rows if tested[row][0] is part]
        maps |= dict(zip(own, heatmaps(part, [tested[row][1] for row in own])))
    across, high = 3 * SIDE + GAP, SIDE + CAPTION + GAP
    down = -(-len(rows) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * across - GAP, down * high), "white")
    for place, row in enumerate(rows.tolist()):
        part, sample = tested[row]
        left, top = place % COLUMNS * across, place // COLUMNS * high
        predicted = part.data.classes[records.top_classes[row, 0]]
        names = f"{part.data.classes[sample.label]} (predicted {predicted})"
        caption = f"IoU {records.iou[row]:.2f}  {names}  {sample.path.name}"
        ImageDraw.Draw(sheet).text((left, top + 2), caption[:82], fill="black", font=font(11))
        sheet.paste(_tile(part, sample, records.boxes[row], *maps[row]), (left, top + CAPTION))
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as file:
        sheet.save(file, "PNG")


@torch.inference_mode()
def heatmaps(part: Part, samples: Sequence[Sample]) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Of each image the heatmap of its class, and the foreground score if the run has one."""
    localizer, found = part.localizer, []
    scoring, batches = Hclnet.of(localizer.inference), feature_batches(localizer, samples, localizer.views)
    for features in batches if samples else ():
        size = len(next(iter(next(iter(features.values())).values())))
        some = samples[len(found) : len(found) + size]
        labels = torch.tensor([s.label for s in some], device=localizer.device)
        (answer,) = localizer.network.heads(features, labels)
        for sample, row in zip(some, map_rows(answer)):
            path = sample.path
            drawn = row.draw(scoring, lambda side, path=path: load_square(path, side, gray=localizer.gray))
            found.append((drawn.heatmap, row.foreground))
    return found


def _tile(
    part: Part, sample: Sample, box: np.ndarray, heatmap: np.ndarray, foreground: np.ndarray | None
) -> Image.Image:
    picture = open_image(sample.path, gray=part.localizer.gray)
    width, height = picture.size
    photograph = picture.resize((SIDE, SIDE))
    heat = Image.blend(photograph, heat_picture(heatmap, (SIDE, SIDE)), 0.5)
    lines = [(b, GROUND_TRUTH) for b in part.data.ground_truth.boxes_in(sample.id, (width, height)).tolist()]
    for panel in (photograph, heat):
        for (x0, y0, x1, y1), color in [*lines, (box.tolist(), FOUND)]:
            across, down = SIDE / width, SIDE / height
            corners = (x0 * across, y0 * down, max(x0, x1) * across - 1, max(y0, y1) * down - 1)
            if x1 > x0 and y1 > y0 and corners[2] > corners[0] and corners[3] > corners[1]:
                ImageDraw.Draw(panel).rectangle(corners, outline=color, width=2)
    tile = Image.new("RGB", (3 * SIDE, SIDE), "gray")
    tile.paste(photograph, (0, 0))
    tile.paste(heat, (SIDE, 0))
    if foreground is not None:
        scaled = (127.5 * (1 + foreground / max(float(np.abs(foreground).max()), 1e-6))).astype(np.uint8)
        tile.paste(Image.fromarray(scaled).resize((SIDE, SIDE), Image.Resampling.NEAREST), (2 * SIDE, 0))
    return tile
