"""What is written of an evaluation: metrics with their intervals, protocol and settings, and a table by class."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from hclnet.localizer.evaluation import protocol_of
from hclnet.localizer.localizer import Localizer
from hclnet.metrics import Resampled, figures, intervals, resamples, weighted_figures
from hclnet.storage import write_text
from hclnet.types import Records


def summary(localizer: Localizer, records: Records, values: Resampled | None = None) -> dict[str, Any]:
    """All figures of a table of records with their intervals, the settings and the protocol they belong to.

    Args:
        localizer: that was scored.
        records: of the images.
        values: the figures over `resamples`, if they are at hand.
    """
    values = weighted_figures(records, resamples(len(records))) if values is None else values
    settings = localizer.inference
    measured = figures(records)
    named = {"method": localizer.method.name, "fusion": localizer.fusion, "box": settings.box}
    if "gt_known" in measured or "pxap" in measured:
        named["protocol"] = protocol_of(records.protocol, settings).describe(settings.box)
    if settings.crops > 1:
        named["crops"] = settings.crops
    if settings.looks:
        named["looks"] = settings.looks
    return {**named, **measured, "intervals": intervals(values)}


def write_class_table(rows: list[dict[str, Any]], path: Path) -> None:
    """A line a class; of each figure the value, and the ends of its 95 % interval as `..._low` and `..._high`."""
    flat = []
    for row in rows:
        line: dict[str, Any] = {}
        for name, value in row.items():
            ends = ("", "_low", "_high")
            line |= {name + end: v for end, v in zip(ends, value)} if isinstance(value, list) else {name: value}
        flat.append(line)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for line in flat for name in line)))
    writer.writeheader()
    writer.writerows(flat)
    write_text(path, text.getvalue())
