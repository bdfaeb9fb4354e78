"""A page as data -> one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hclnet.metrics import accuracy_by_level, box_kinds, describe_kinds, shown_metrics
from hclnet.report.draw import drawn_chart, heat_colors
from hclnet.report.maps import ImageMaps, Taps, taps
from hclnet.report.model import Column, Page, Results, Spread
from hclnet.storage import whole
from hclnet_runtime.data.images import open_image

_THUMBNAIL, _QUALITY = 256, 70
_CHUNK = 24  # images in one script element; the page reads those it needs
_SCRIPTS = ("maps.js", "cells.js", "list.js", "page.js")


def write(page: Page, path: str | Path) -> Path:
    """Write the page as one HTML file; an existing file is replaced completely or not at all.

    Raises:
        ValueError: an image of the page can't be read any more.
    """
    path = Path(path)
    # Bytes of class names that are not UTF-8 are shown, and escaped in the page's data.
    with whole(path) as part, part.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.writelines(pieces(page))
    return path


def pieces(page: Page) -> Iterator[str]:
    """The page's HTML, piece by piece, so that thousands of images are never in memory at once."""
    shown = choose(page)
    environment = Environment(
        loader=PackageLoader("hclnet.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = "".join(_static(name) for name in _SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html").generate(
        page=page,
        table=_table(page.results) if page.results else None,
        charts=[drawn_chart(chart) for chart in page.charts],
        style=Markup(_static("colors.css") + _static("report.css")),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        data=_data(page, shown),
        chunks=_chunks(page, shown),
        kinds=describe_kinds(),
        images=len(page.columns[0].records),
        embedded=len(shown),
        known=bool(page.gt_boxes),
        left_out=_left_out(page, len(shown)),
    )


def choose(page: Page) -> list[int]:
    """The images that are embedded, worst first: all, or one half the worst and the other a seeded sample of the rest.

    The worst have the lowest IoU, mean over the columns; without ground-truth boxes, the wrong class and then the least
    certain of it.
    """
    order = worst_first(page.columns)
    if len(order) <= page.pictures:
        return order
    half = page.pictures // 2
    rest = np.random.default_rng(page.seed).permutation(order[half:])[: page.pictures - half]
    chosen = {*order[:half], *rest.tolist()}
    return [i for i in order if i in chosen]


def worst_first(columns: Sequence[Column]) -> list[int]:
    """Rows in order of the mean IoU over the columns; those without a ground-truth box after them, wrong classes
    first."""
    overlap = np.mean([column.records.iou for column in columns], axis=0)
    wrong = np.mean([column.records.rank > 0 for column in columns], axis=0)
    certain = np.mean([column.records.top_scores[:, 0] for column in columns], axis=0)
    unsure = np.where(wrong > 0, -certain, certain)
    return np.lexsort((unsure, -wrong, np.where(np.isnan(overlap), 2.0, overlap))).tolist()


def thumbnail(path: str | Path) -> str:
    """A small WebP of an image, in base64.

    Raises:
        ValueError: the image can't be read.
    """
    image = open_image(path, at_least=2 * _THUMBNAIL)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=_QUALITY, method=2)
    return base64.b64encode(file.getvalue()).decode()


def _static(name: str) -> str:
    return files("hclnet.report").joinpath("static", name).read_text(encoding="utf-8")


def _left_out(page: Page, shown: int) -> str:
    total = len(page.columns[0].records)
    if shown == total:
        return ""
    half = page.pictures // 2
    worst = "the lowest IoU" if page.gt_boxes else "a wrong class, the most certain first,"
    over = " (mean over the methods)" if len(page.columns) > 1 else ""
    return (
        f"This file contains the pictures of {shown:,} of the {total:,} images: {half:,} with {worst}{over}, and "
        f"{shown - half:,} drawn at random from the rest (seed {page.seed}). The others are in the list with their "
        "boxes only; all metrics and curves are over all images."
    )


def _table(results: Results) -> dict[str, Any]:
    metrics = [m for m in shown_metrics() if any(m.key in line.metrics for line in results.lines)]
    shown = [metric.key for metric in metrics]
    worst = {key: min(line.metrics[key][0] for line in results.lines if key in line.metrics) for key in shown}
    best = {key: max(line.metrics[key][0] for line in results.lines if key in line.metrics) for key in shown}
    return {
        "heads": [{"key": m.key, "name": m.name, "meaning": m.meaning} for m in metrics],
        "lines": [
            {
                "name": line.name,
                "cells": [
                    _cell(line.metrics[key], worst[key] < line.metrics[key][0] == best[key])
                    if key in line.metrics
                    else None
                    for key in shown
                ],
            }
            for line in results.lines
        ],
        "differences": [
            {"name": line.name, "cells": [_change(line.metrics.get(key)) for key in shown]}
            for line in results.differences
        ],
    }


def _change(value: Spread | None) -> dict[str, str | bool] | None:
    if value is None:
        return None
    change, low, high = (f"{100 * v:+.1f}".replace("-", "−") for v in value)
    return {"text": change, "spread": f"{low} to {high}", "sure": value[1] > 0 or value[2] < 0}


def _cell(value: tuple[float, float, float], best: bool) -> dict[str, Any]:
    median, low, high = value
    spread = f"{100 * low:.1f} to {100 * high:.1f}" if high > low else ""
    bar = {"value": round(median, 4), "low": round(low, 4), "high": round(high, 4)}
    return {"text": f"{100 * median:.1f}", "spread": spread, "best": best, **bar}


def _data(page: Page, shown: list[int]) -> dict[str, Any]:
    """All that the page's script knows of, but for pictures and maps."""
    records = page.columns[0].records
    slots = np.full(len(records), -1)
    slots[shown] = np.arange(len(shown))
    ground_truth = [page.gt_boxes[name].ravel().tolist() if name in page.gt_boxes else [] for name in records.ids]
    used: dict[str, Taps] = {}
    return {
        "classes": list(page.classes),
        "kinds": list(describe_kinds()),
        "iou_threshold": 0.5,
        "heat": heat_colors(),
        "chunk": _CHUNK,
        "images": {
            "id": records.ids,
            "label": records.labels.tolist(),
            "size": records.sizes.tolist(),
            "truth": ground_truth,
            "slot": slots.tolist(),
            "rank": np.argsort(worst_first(page.columns)).tolist(),
        },
        "columns": [_column(column, page, used) for column in page.columns],
        "taps": {
            key: {"width": t.index.shape[1], "index": t.index.ravel().tolist(), "weight": t.weight.ravel().tolist()}
            for key, t in used.items()
        },
    }


def _column(column: Column, page: Page, used: dict[str, Taps]) -> dict[str, Any]:
    records, kinds = column.records, list(describe_kinds())
    height, width = column.maps[0].grid.shape
    keys = []
    for length in (height, width):
        key = f"{length}-{column.side}-{column.upsampling}"
        used[key] = taps(length, column.side, column.upsampling)
        keys.append(key)
    # Exact: at the box rule the edges are whole pixels of the map.
    on_map = np.rint(records.boxes * column.side / np.tile(records.sizes, 2)).astype(np.int64)
    known = bool((~np.isnan(records.iou)).any())
    return {
        "name": column.name,
        "rule": column.rule,
        "fusion": column.fusion,
        "side": column.side,
        "grid": [height, width],
        "rows": keys[0],
        "columns": keys[1],
        "branches": len(column.maps[0].branches),
        "erase_at": column.erase_at,
        "accuracy": [round(a, 6) for a in accuracy_by_level(records).tolist()] if known else None,
        "level": [maps.level for maps in column.maps],
        "box": on_map.ravel().tolist(),
        "iou": [None if np.isnan(v) else v for v in records.iou.tolist()],
        "kind": [-1 if kind is None else kinds.index(kind) for kind in box_kinds(records, page.gt_boxes)],
        "rank": records.rank.tolist(),
        "top": records.top_classes.tolist(),
        "score": np.round(records.top_scores.astype(np.float64), 4).tolist(),
    }


def _chunks(page: Page, shown: list[int]) -> Iterator[list[dict[str, Any]]]:
    """Pictures and maps of the embedded images, `_CHUNK` at a time."""
    paths = page.columns[0].records.paths
    with ThreadPoolExecutor(2) as pool:
        for start in range(0, len(shown), _CHUNK):
            rows = shown[start : start + _CHUNK]
            pictures = pool.map(thumbnail, [paths[i] for i in rows])
            yield [
                {"picture": picture, "maps": [_encoded(column.maps[i]) for column in page.columns]}
                for i, picture in zip(rows, pictures)
            ]


def _encoded(maps: ImageMaps) -> list[str]:
    """Grid, corrections, branches and span in base64, little endian."""
    # A single branch is the fused map itself.
    branches = maps.branches.astype("<u2").tobytes() if len(maps.branches) > 1 else b""
    span = np.array(maps.span, dtype="<f8").tobytes() if maps.span else b""
    raws = (maps.grid.astype("<f4").tobytes(), maps.corrections, branches, span)
    return [base64.b64encode(raw).decode() for raw in raws]
