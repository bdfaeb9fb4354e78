"""Reports of what the verbs did: training, evaluation, comparison. Each makes a `Page`, which `hclnet.report` draws."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from jaxtyping import Float64

from hclnet import __version__
from hclnet.localizer.localizer import Localizer
from hclnet.metrics import PAIRED, PROTOCOLS, accuracy_by_level, describe_protocol, protocol_of, shown_metrics
from hclnet.report import (
    Chart,
    Column,
    ImageMaps,
    Line,
    Page,
    Results,
    Series,
    learning_charts,
    threshold_chart,
    threshold_series,
)
from hclnet.types import DataSet, Records

_ERASE_AT = 0.7


@dataclass(slots=True)
class MethodScores:
    """One method of a comparison, over its seeds.

    Attributes:
        name: as in the table.
        column: what the first seed found.
        curves: accuracy by level, a seed each; none without ground-truth boxes.
        at_rule: GT-known at the box rule, a seed each.
    """

    name: str
    column: Column | None = None
    curves: list[Float64[np.ndarray, " 256"]] = field(default_factory=list)
    at_rule: list[float] = field(default_factory=list)

    def add(self, records: Records, metrics: dict[str, Any]) -> None:
        """Another seed's."""
        if "gt_known" in metrics:
            self.curves.append(accuracy_by_level(records))
            self.at_rule.append(metrics["gt_known"])


def column(name: str, localizer: Localizer, records: Records, maps: Sequence[ImageMaps]) -> Column:
    """What a localizer found in some images, as a report shows it."""
    inference, options = localizer.inference, localizer.method.options
    scoring = protocol_of(records.protocol, inference)
    threshold = getattr(options, "threshold", _ERASE_AT)
    fusion = localizer.fusion or ""
    return Column(name, records, maps, scoring.map_size, scoring.upsampling, fusion, inference.box, threshold)


def evaluation_page(
    localizer: Localizer,
    dataset: DataSet,
    split: str,
    records: Records,
    maps: Sequence[ImageMaps],
    metrics: dict[str, Any],
    run: str | Path,
) -> Page:
    """Of one run, scored on a split."""
    name = localizer.method.name
    one = column(name, localizer, records, maps)
    known = "gt_known" in metrics
    shown = [metric.key for metric in shown_metrics() if metric.key in metrics]
    lines = (Line(name, {key: (metrics[key], *metrics["intervals"][key]) for key in shown}),)
    spread = (
        "Small numbers: 95 % interval over images (bootstrap). How far the metrics vary from training to training is "
        "not in it; hclnet compare --seeds 3 measures that."
    )
    curves: tuple[Chart, ...] = ()
    if known:
        scores = MethodScores(name, one)
        scores.add(records, metrics)
        curves = (threshold_chart([_series(scores)]),)
    boxed = ""
    if known:
        count = "All" if metrics["images_with_boxes"] == len(records) else metrics["images_with_boxes"]
        boxed = f" {count} of them have a ground-truth box to compare with."
    return Page(
        title=f"{name} on {dataset.root.resolve().name}",
        lede=f"{len(records)} {split} images of {len(dataset.classes)} classes, boxed by a model that learned from "
        f"class labels alone.{boxed}",
        classes=dataset.classes,
        columns=(one,),
        gt_boxes=boxes_of(dataset, records),
        results=Results(lines, describe_protocol(metrics), spread),
        charts=(*curves, *_learning(Path(run))),
        notes=_notes(records),
        facts=(
            ("Run", str(run)),
            ("Data", f"{dataset.root} ({dataset.kind}), {split}"),
            *_facts(localizer),
            *_written(),
        ),
    )


def training_page(
    localizer: Localizer,
    dataset: DataSet,
    split: str,
    records: Records,
    maps: Sequence[ImageMaps],
    run: Path,
) -> Page:
    """Of one training: its curves, and what the localizer makes of a few images of a split."""
    name, total = localizer.method.name, len(dataset.split(split))
    counts = dataset.counts()
    sample = f"a seeded sample of {len(records)} of the {total}" if len(records) < total else f"the {total}"
    return Page(
        title=f"{name} learns {dataset.root.resolve().name}",
        lede=f"Trained on the class labels of {counts['train']} images of {len(dataset.classes)} classes.",
        classes=dataset.classes,
        columns=(column(name, localizer, records, maps),),
        gt_boxes=boxes_of(dataset, records),
        charts=_learning(run),
        facts=(("Run", str(run)), ("Data", f"{dataset.root} ({dataset.kind})"), *_facts(localizer), *_written()),
        notes=(f"To look at, not to score by: {sample} {split} images. hclnet evaluate {run} scores them all.",),
    )


def comparison_page(
    dataset: DataSet,
    split: str,
    scores: Sequence[MethodScores],
    lines: Sequence[dict[str, Any]],
    caption: str,
    seeds: Sequence[int],
    facts: Sequence[tuple[str, str]],
) -> Page:
    """Of several methods under one recipe.

    Args:
        dataset: that was read.
        split: that was scored.
        scores: by method; every one has its column.
        lines: of the table, as `hclnet.workflows.compare.summarize` makes them, in the same order.
        caption: of the table.
        seeds: that were trained.
        facts: of the recipe.
    """
    columns = tuple(one.column for one in scores if one.column)
    records = columns[0].records
    several = len(seeds) > 1
    spread = (
        f"Small numbers: lowest to highest of {len(seeds)} seeds."
        if several
        else "One seed: how far the metrics vary from seed to seed is not measured; --seeds 3 measures it."
    )
    keys = [metric.key for metric in shown_metrics()]
    table = tuple(Line(line["method"], {key: line[key] for key in keys if key in line}) for line in lines)
    differences = tuple(
        Line(line["method"], {key: tuple(value) for key, value in line["difference"].items()})
        for line in lines
        if "difference" in line
    )
    curves = (threshold_chart([_series(one) for one in scores], len(seeds)),) if all(s.curves for s in scores) else ()
    over = f", {len(seeds)} seeds each" if several else ""
    return Page(
        title=f"{_listed([one.name.partition(' (')[0] for one in columns])} on {dataset.root.resolve().name}",
        lede=f"Trained under one recipe on class labels alone{over}, and scored on {len(records)} {split} images of "
        f"{len(dataset.classes)} classes.",
        classes=dataset.classes,
        columns=columns,
        gt_boxes=boxes_of(dataset, records),
        results=Results(table, caption, spread, differences, PAIRED),
        charts=curves,
        facts=(("Data", f"{dataset.root} ({dataset.kind}), {split}"), *facts, *_written()),
        notes=((f"Pictures and filters are of seed {seeds[0]}.",) if several else ()) + _notes(records),
    )


def _listed(names: Sequence[str]) -> str:
    *most, last = dict.fromkeys(names)
    return f"{', '.join(most)} and {last}" if most else last


def _series(scores: MethodScores) -> Series:
    one = scores.column
    if one is None:
        raise ValueError(f"{scores.name} has no column to draw.")
    levels = [maps.level for maps, overlap in zip(one.maps, one.records.iou) if not np.isnan(overlap)]
    return threshold_series(scores.name, scores.curves, one.rule, median(scores.at_rule), levels)


def boxes_of(dataset: DataSet, records: Records) -> dict[str, Float64[np.ndarray, "_ 4"]]:
    """Ground-truth boxes of the images that have one, in pixels of the image."""
    sizes = map(tuple, records.sizes.tolist())
    boxes = {name: dataset.ground_truth.boxes_in(name, size) for name, size in zip(records.ids, sizes)}
    return {name: found for name, found in boxes.items() if len(found)}


def _notes(records: Records) -> tuple[str, ...]:
    """What a reader has to know where the boxes that were scored are not those that the page can find itself."""
    note = PROTOCOLS[records.protocol].note
    return (note,) if note else ()


def _learning(run: Path) -> tuple[Chart, ...]:
    try:
        with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
            return learning_charts(list(csv.DictReader(file)))
    except FileNotFoundError:
        return ()


def _facts(localizer: Localizer) -> tuple[tuple[str, str], ...]:
    method, inference = localizer.method, localizer.inference
    options = ", ".join(f"{k} = {v}" for k, v in method.options.model_dump().items() if v is not None)
    fusion = f"fusion {localizer.fusion}, " if localizer.fusion else ""
    return (
        ("Method", f"{method.name}: {method.paper}"),
        ("Its options", options),
        (
            "Backbone",
            f"{localizer.backbone.name}, output stride {localizer.backbone.output_stride}, {localizer.size} px",
        ),
        ("Maps and boxes", f"{fusion}box rule {inference.box}, maps of {inference.map_size} px"),
    )


def _written() -> tuple[tuple[str, str], ...]:
    return (("Written", f"{datetime.now():%Y-%m-%d %H:%M} by hclnet {__version__}"),)
