"""A figure of the paper with the user's images: test images chosen at random, a row each, under several views.

A view is `image`; `heat:NAME`, the fused map of a method with its box; `branch:NAME:B`, the map of one branch;
`cam:NAME`, that of branch A; or what of it branch B's features are multiplied by: `erased:NAME`, ACoL's threshold, or
`complement:NAME`, HCLNet's 1 - CAM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Real
from PIL import Image, ImageDraw, ImageOps

from hclnet.data import as_trained
from hclnet.data.record import with_recorded_splits
from hclnet.formats.overlay import font, heat_picture
from hclnet.localizer.localizer import Localizer
from hclnet.methods.hclnet import HCLNetOptions, complement
from hclnet.metrics import KINDS, box_kinds, containment, describe_kinds, load_records, resamples
from hclnet.metrics.intervals import CONFIDENCE
from hclnet.paper.coverage import GROUPS, part_coverage, part_file
from hclnet.paper.experiments import FigureOf
from hclnet.types import DataSet, Localization, Records, Sample
from hclnet.workflows.datasets import as_dataset
from hclnet.workflows.pages import boxes_of
from hclnet.workflows.plan import parse_spec
from hclnet.workflows.settings import make_config
from hclnet.workflows.table import caption
from hclnet_runtime.data.images import open_image

GroundTruthBoxes = Mapping[str, Real[np.ndarray, "_ 4"]]

_SIDE, _GAP, _TEXT = 240, 8, 17  # pixels: longest side of a picture, between pictures, of letters
_GROUND_TRUTH, _PREDICTED = "#ff3b30", "#1f6fff"
_OPACITY = 0.5


@dataclass(frozen=True, slots=True)
class MethodResults:
    """One method of a figure: the localizer, and what it found in all test images."""

    localizer: Localizer
    records: Records


def draw_figure(
    experiment: FigureOf,
    rows: Sequence[dict[str, Any]],
    out: Path,
    data: str | Path | DataSet,
    images: str,
    settings: Mapping[str, Any],
) -> tuple[dict[str, Any], Image.Image]:
    """The figure's content, for its page and JSON file, and its picture.

    Args:
        experiment: of the paper.
        rows: of `compare`, one seed, for the experiment's methods.
        out: the folder that their runs are in.
        data: the data set, or its path.
        images: how many are chosen at random, or their ids with commas between.
        settings: of all methods alike, as `compare` was given them.
    """
    root = data.root if isinstance(data, DataSet) else data
    methods: dict[str, MethodResults] = {}
    for name, spec in experiment.specs.items():
        method, own = parse_spec(spec)
        row = next(r for r in rows if r["method"] == method and r["settings"] == own)
        config = make_config(root, method, **{**settings, **own})
        localizer = Localizer.load(out / row["run"], config.device).with_inference(**config.inference.model_dump())
        methods[name] = MethodResults(localizer, load_records(out / row["records"]))
    dataset = as_trained(as_dataset(data, rows[0]["seed"], bool(settings.get("as_classes"))))
    dataset = with_recorded_splits(dataset, out)  # its classes are in the order that the records have
    records = next(iter(methods.values())).records
    picked = choose(records, images, rows[0]["seed"])
    ground_truth = boxes_of(dataset, records)
    lines = [_line(experiment.panels, methods, dataset, ground_truth, row) for row in picked]
    heads = [_head(panel) for panel in experiment.panels]
    labels = [f"{dataset.classes[records.labels[row]]}   {Path(records.ids[row]).name}" for row in picked]
    content = {
        "title": experiment.title,
        "source": experiment.source,
        "caption": experiment.caption,
        "chosen": _chosen(images, len(picked), rows[0]["seed"]),
        "heads": heads,
        "images": [
            {
                "id": records.ids[row],
                "class": dataset.classes[records.labels[row]],
                "iou": {n: float(m.records.iou[row]) for n, m in methods.items() if not np.isnan(m.records.iou[row])},
            }
            for row in picked
        ],
        "measured": _measured(experiment, methods, dataset, ground_truth, Path(root)),
        "recipe": caption(rows),
        "runs": {name: row["run"] for name, row in zip(experiment.specs, rows)},
    }
    return content, sheet(heads, labels, lines)


def check_ids(images: str, dataset: DataSet) -> None:
    """Raises:
    ValueError: an image that is asked for by its id is none of the data set.
    """
    known = [sample.id for sample in dataset.samples]
    for name in _ids(images):
        if name not in _by_id(known):
            raise ValueError(
                f"There is no image {name!r} in {dataset.root}. Give --images a number, or ids such as {known[0]}."
            )


def choose(records: Records, images: str, seed: int) -> list[int]:
    """Rows of the images that are shown: by their ids, or so many chosen at random, of as many classes as there are.

    Raises:
        ValueError: an id is none of the records.
    """
    if wanted := _ids(images):
        where = _by_id(records.ids)
        if absent := [name for name in wanted if name not in where]:
            raise ValueError(f"{absent[0]} is not one of the {len(records)} images that were scored; see --split.")
        return [where[name] for name in wanted]
    order = np.random.default_rng(seed).permutation(len(records)).tolist()
    seen: dict[int, int] = {}
    ranked = []
    for row in order:
        label = int(records.labels[row])
        seen[label] = seen.get(label, 0) + 1
        without_box = bool(np.isnan(records.iou[row]))
        ranked.append((without_box, seen[label], row))
    # Stable: within the first, second ... image of each class the order is the lot's.
    return [row for *_, row in sorted(ranked, key=lambda one: one[:2])[: max(int(images), 1)]]


def sheet(heads: Sequence[str], labels: Sequence[str], lines: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Pictures in rows and columns on white, with a head over each column and a label over each row."""
    heights = [max(picture.height for picture in line) for line in lines]
    title = _TEXT + 2 * _GAP
    width = len(heads) * (_SIDE + _GAP) + _GAP
    page = Image.new("RGB", (width, title + sum(h + title for h in heights) + _GAP), "white")
    draw = ImageDraw.Draw(page)
    for k, head in enumerate(heads):
        draw.text((_GAP + k * (_SIDE + _GAP), _GAP), head, "black", font(_TEXT))
    top = title
    for label, line, height in zip(labels, lines, heights):
        draw.text((_GAP, top + _GAP // 2), label, "#555555", font(_TEXT - 3))
        for k, picture in enumerate(line):
            page.paste(picture, (_GAP + k * (_SIDE + _GAP), top + title - _GAP))
        top += height + title
    return page


def _ids(images: str) -> list[str]:
    """The ids in a text; none in a number."""
    return [] if images.strip().isdigit() else [name.strip() for name in images.split(",")]


def _by_id(ids: Sequence[str]) -> dict[str, int]:
    """Positions by id, with and without the image's extension."""
    bare = {Path(name).with_suffix("").as_posix(): k for k, name in enumerate(ids)}
    return bare | {name: k for k, name in enumerate(ids)}


def _line(
    panels: Sequence[str], methods: Mapping[str, MethodResults], dataset: DataSet, boxes: GroundTruthBoxes, row: int
) -> list[Image.Image]:
    """The pictures of one image."""
    records = next(iter(methods.values())).records
    label = dataset.classes[records.labels[row]]
    located = {name: one.localizer.locate(records.paths[row], classes=[label]) for name, one in methods.items()}
    own = boxes.get(records.ids[row], np.zeros((0, 4)))
    pictures = []
    for panel in panels:
        kind, *of = panel.split(":")
        picture = open_image(records.paths[row], at_least=2 * _SIDE)
        picture = ImageOps.contain(picture, (_SIDE, _SIDE), Image.Resampling.LANCZOS)
        scale = np.tile(picture.size, 2) / np.tile(records.sizes[row], 2)
        if kind != "image":
            map = _view(kind, of, located[of[0]])
            picture = Image.blend(picture, heat_picture(map, picture.size), _OPACITY)
        if kind in ("image", "heat"):
            _outline(picture, own * scale, _GROUND_TRUTH)
        if kind == "heat" and (box := methods[of[0]].records.boxes[row]).any():
            _outline(picture, box[None] * scale, _PREDICTED)
        pictures.append(picture)
    return pictures


def _view(kind: str, of: Sequence[str], found: Localization) -> Float[np.ndarray, "h w"]:
    if kind == "heat":
        return found.heatmap
    branches = found.branches[found.label]
    if kind == "branch":
        return branches[ord(of[1]) - ord("A")]
    if kind == "cam":
        return branches[0]
    options = HCLNetOptions(complement="threshold" if kind == "erased" else "ccam")
    left = complement(torch.from_numpy(branches[:1]), options)[0].numpy()
    return left.repeat(16, 0).repeat(16, 1) if kind == "erased" else left  # erasing has hard edges


def _head(panel: str) -> str:
    kind, *of = panel.split(":")
    heads = {"image": "image", "cam": "CAM of A", "erased": "threshold, for B", "complement": "1 - CAM, for B"}
    return heads.get(kind) or (of[0] if kind == "heat" else f"{of[0]}, branch {of[1]}")


def _outline(picture: Image.Image, boxes: Real[np.ndarray, "n 4"], color: str) -> None:
    draw = ImageDraw.Draw(picture)
    for x0, y0, x1, y1 in boxes.tolist():
        corners = (x0, y0, max(x0, x1 - 1), max(y0, y1 - 1))
        draw.rectangle(corners, outline="white", width=5)  # a rim, to be seen on any heat
        draw.rectangle((corners[0] + 1, corners[1] + 1, corners[2] - 1, corners[3] - 1), outline=color, width=3)


def _chosen(images: str, count: int, seed: int) -> str:
    if not _ids(images):
        return f"{count} randomly chosen test images (seed {seed})."
    return f"{count} test images, chosen by name."


def _measured(
    experiment: FigureOf, methods: Mapping[str, MethodResults], dataset: DataSet, boxes: GroundTruthBoxes, data: Path
) -> list[dict[str, Any]]:
    """Tables over all test images, in percent with 95 % intervals; those for which the data set has the
    ground truth."""
    records = next(iter(methods.values())).records
    tables = []
    if "kinds" in experiment.measure and not np.isnan(records.iou).all():
        tables.append(
            {
                "title": "Kinds of localization errors",
                "heads": [*KINDS, "box on object", "object in box"],
                "rows": {name: _kinds(one.records, boxes) for name, one in methods.items()},
                "caption": f"Percent of the {int((~np.isnan(records.iou)).sum())} test images with a ground-truth box, "
                "at the box rule, with 95 % intervals over images. "
                + " ".join(f"{kind.capitalize()}: {text}." for kind, text in describe_kinds().items())
                + " Box on object, object in box: mean share of the box inside the ground-truth box, and the "
                "reverse.",
            }
        )
    samples = {s.id: s for s in dataset.samples}
    scored = [samples[name] for name in records.ids if part_file(data, samples[name]).is_file()]
    if "parts" in experiment.measure and scored:
        tables.append(
            {
                "title": "Coverage of the maps",
                "heads": [f"{what} {where}" for what in ("coverage", "heat") for where in (*GROUPS, "rest")],
                "rows": {name: _parts(one.localizer, scored, data) for name, one in methods.items()},
                "caption": "Percent, mean over the test images, with 95 % intervals over images. Coverage: share of a "
                "part's pixels in the box at the box rule. Heat: mean of the heatmap on it. Head: head, beak, crown; "
                "body: body, tail and legs; rest: all other pixels.",
            }
        )
    return tables


def _kinds(records: Records, boxes: GroundTruthBoxes) -> list[list[float]]:
    kinds = box_kinds(records, boxes)
    known = [row for row, kind in enumerate(kinds) if kind is not None]
    shares = np.array([containment(records.boxes[row], boxes[records.ids[row]]) for row in known])
    columns = [[float(kinds[row] == kind) for row in known] for kind in KINDS]
    return [*(_mean(column) for column in columns), _mean(shares[:, 0]), _mean(shares[:, 1])]


def _parts(localizer: Localizer, samples: Sequence[Sample], data: Path) -> list[list[float]]:
    found = part_coverage(localizer, samples, data)
    return [_mean(found[f"{what} {where}"]) for what in ("coverage", "heat") for where in (*GROUPS, "rest")]


def _mean(values: Sequence[float] | Float[np.ndarray, " n"]) -> list[float]:
    """Mean and its 95 % interval, in percent."""
    weights = resamples(len(values)).astype(np.float64)
    means = 100 * (weights @ np.asarray(values, dtype=np.float64)) / len(values)
    tail = 100 * (1 - CONFIDENCE) / 2
    return [float(means[0]), *np.percentile(means[1:], [tail, 100 - tail]).tolist()]
