"""Pages about drawn images and made-up maps: everything that a page can hold, without a model."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch.nn import functional as F

from hclnet.maps.fusion import minmax
from hclnet.metrics import Hclnet, accuracy_by_level, compute_metrics
from hclnet.report import Column, Line, Page, Results, image_maps, threshold_chart, threshold_series
from hclnet.types import Records
from hclnet_runtime.boxes import Evidence, Rule, parse_rule, scale, to_levels

SIDE = 224
CLASSES = ("owl", "finch", "wren", "</script><img src=x onerror=alert(1)>")


def levels_of(grid: np.ndarray, upsampling: str) -> np.ndarray:
    """The levels that are boxed."""
    tensor = torch.from_numpy(grid)[None, None]
    heatmap = minmax(F.interpolate(tensor, (SIDE, SIDE), mode=upsampling, align_corners=False))[0, 0]
    return to_levels(heatmap.numpy())


def draw(folder: Path, count: int, seed: int = 0) -> list[tuple[Path, tuple[int, int], np.ndarray]]:
    """Images of several shapes with an ellipse, and the box of the ellipse in pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, drawn = np.random.default_rng(seed), []
    for i in range(count):
        size = [(320, 240), (240, 320), (256, 256), (97, 311)][i % 4]
        image = Image.new("RGB", size, tuple(rng.integers(40, 200, 3).tolist()))
        x, y = rng.uniform(0.05, 0.5, 2) * size
        w, h = rng.uniform(0.25, 0.45, 2) * size
        box = np.array([[x, y, x + w, y + h]])
        ImageDraw.Draw(image).ellipse(tuple(box[0]), fill=tuple(rng.integers(0, 255, 3).tolist()))
        path = folder / f"bird {i} <b> & 'ü'.jpg"
        image.save(path)
        drawn.append((path, size, box))
    return drawn


def bumps(rng: np.random.Generator, box: np.ndarray, size: tuple[int, int], cells: int = 14) -> np.ndarray:
    """A map with a bump near the box and some noise, at feature resolution."""
    x0, y0, x1, y1 = scale(box, size, (cells, cells))[0]
    at = np.stack(np.meshgrid(np.arange(cells), np.arange(cells)), -1) + 0.5
    center = np.array([(x0 + x1) / 2, (y0 + y1) / 2]) + rng.normal(0, 1.2, 2)
    spread = np.array([x1 - x0, y1 - y0]) * rng.uniform(0.25, 0.9)
    bump = np.exp(-(((at - center) / spread) ** 2).sum(-1))
    return (bump + 0.15 * rng.random((cells, cells))).astype(np.float32)


def column(
    name: str,
    drawn: list[tuple[Path, tuple[int, int], np.ndarray]],
    seed: int,
    branches: int = 2,
    rule: str = "otsu3",
    upsampling: str = "bilinear",
    boxed: bool = True,
) -> Column:
    """A method that found something in every image."""
    rng, chosen = np.random.default_rng(seed), parse_rule(rule)
    rows, maps = [], []
    for i, (path, size, box) in enumerate(drawn):
        row, one = _row(rng, chosen, size, box, branches, upsampling, boxed)
        classes = rng.permutation(len(CLASSES))
        rank = int(classes.tolist().index(i % len(CLASSES)))
        rows.append((path, size, row, classes, rank))
        maps.append(one)
    boxes, ious, level_iou, level_best = (np.stack(part) for part in zip(*(row for _, _, row, _, _ in rows)))
    sizes = np.array([size for _, size, _, _, _ in rows])
    on_image = np.concatenate([scale(b[None], (SIDE, SIDE), tuple(s.tolist())) for b, s in zip(boxes, sizes)])
    records = Records(
        ids=[path.stem for path, *_ in rows],
        paths=[str(path) for path, *_ in rows],
        labels=np.arange(len(rows)) % len(CLASSES),
        sizes=sizes,
        top_classes=np.stack([classes for *_, classes, _ in rows]),
        top_scores=np.tile([0.6, 0.2, 0.15, 0.05], (len(rows), 1)) - rng.uniform(0, 0.05, (len(rows), 1)),
        rank=np.array([rank for *_, rank in rows]),
        boxes=on_image,
        iou=ious,
        level_iou=level_iou,
        level_best=level_best,
    )
    return Column(name, records, maps, SIDE, upsampling, "addition", rule)


def _row(
    rng: np.random.Generator,
    rule: Rule,
    size: tuple[int, int],
    box: np.ndarray,
    branches: int,
    upsampling: str,
    boxed: bool,
) -> tuple:
    grids = np.stack([bumps(rng, box, size) for _ in range(branches)])
    normalized = minmax(torch.from_numpy(grids)).numpy()
    grid = normalized.sum(0) if branches > 1 else grids[0]
    levels = levels_of(grid, upsampling)
    true = scale(box, size, (SIDE, SIDE)) if boxed else np.zeros((0, 4))
    level, *found = Hclnet(SIDE, upsampling).locate(Evidence(levels), true, [rule])[0]
    return tuple(found), image_maps(grid, normalized, levels, upsampling, level)


def page(folder: Path, count: int = 30, methods: int = 3, boxed: bool = True, **changes) -> Page:
    """A page about `count` images and up to three methods."""
    drawn = draw(folder, count)
    kinds = [
        ("hclnet", 2, "otsu3", "bilinear"),
        ("cam", 1, "fixed:0.2", "bilinear"),
        ("hclnet (branches=3)", 3, "otsu3", "bicubic"),
    ]
    columns = tuple(
        column(name, drawn, seed, branches, rule, upsampling, boxed)
        for seed, (name, branches, rule, upsampling) in enumerate(kinds[:methods])
    )
    measured = [compute_metrics(one.records) for one in columns]
    lines = tuple(
        Line(one.name, {k: (v, max(v - 0.02, 0.0), v) for k, v in m.items() if "loc" in k or "cls" in k})
        for one, m in zip(columns, measured)
    )
    charts = ()
    if boxed:
        series = [
            threshold_series(
                one.name,
                [accuracy_by_level(one.records)],
                one.rule,
                m["gt_known"],
                [maps.level for maps in one.maps],
            )
            for one, m in zip(columns, measured)
        ]
        charts = (threshold_chart(series),)
    filled = {
        "title": "Birds & <others>",
        "lede": "Drawn.",
        "classes": CLASSES,
        "columns": columns,
        "gt_boxes": {path.stem: box for path, _, box in drawn} if boxed else {},
        "results": Results(lines, "Percent.", "Two seeds."),
        "charts": charts,
        "facts": (("Run", "runs/<first>"),),
    }
    return Page(**{**filled, **changes})


def tiled(one: Page, times: int) -> Page:
    """The same images over and over, under new names."""
    columns = []
    for each in one.columns:
        parts = {
            f.name: getattr(each.records, f.name) * times
            if isinstance(getattr(each.records, f.name), list)
            else np.concatenate([getattr(each.records, f.name)] * times)
            for f in fields(Records)
            if f.name != "protocol"
        }
        parts["ids"] = [f"{name} {i // len(each.records)}" for i, name in enumerate(parts["ids"])]
        columns.append(
            Column(
                each.name, Records(**parts), list(each.maps) * times, each.side, each.upsampling, each.fusion, each.rule
            )
        )
    ground_truth = {f"{name} {k}": box for name, box in one.gt_boxes.items() for k in range(times)}
    changed = {f.name: getattr(one, f.name) for f in fields(Page)} | {
        "columns": tuple(columns),
        "gt_boxes": ground_truth,
    }
    return Page(**changed)
