"""What is written of an evaluation: metrics with their intervals, protocol and settings, and a table by class."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from hclnet import __version__
from hclnet.localizer.localizer import Localizer
from hclnet.metrics import (
    METRICS,
    Resampled,
    compute_metrics,
    intervals,
    is_count,
    protocol_of,
    resamples,
    weighted_metrics,
)
from hclnet.storage import write_json, write_text
from hclnet.types import Records


def summary(localizer: Localizer, records: Records, values: Resampled | None = None) -> dict[str, Any]:
    """All metrics of a table of records with their intervals, the settings and the protocol they belong to.

    Args:
        localizer: that was scored.
        records: of the images.
        values: the metrics over `resamples`, if they are at hand.
    """
    values = weighted_metrics(records, resamples(len(records))) if values is None else values
    settings = localizer.inference
    measured = compute_metrics(records)
    named: dict[str, Any] = {"method": localizer.method.name, "fusion": localizer.fusion, "box": settings.box}
    if "gt_known" in measured or "pxap" in measured:
        named["protocol"] = protocol_of(records.protocol, settings).describe(settings.box)
    if settings.crops > 1:
        named["crops"] = settings.crops
    if settings.augmentation:
        named["looks"] = settings.augmentation
    return {**named, **measured, "intervals": intervals(values)}


def write_metrics(localizer: Localizer, run: str, measured: dict[str, Any], folder: Path) -> Path:
    """`metrics.json`: what was measured, on which data, under which protocol and settings.

    ```
    hclnet    the version that wrote it
    run       the folder of the localizer, or its name on the hub
    localizer its fingerprint: which weights these are the metrics of
    method    its method
    data      path, root, split, fingerprint, images, images_expected
    protocol  name, map_size, upsampling, ...; null without ground-truth boxes or masks
    settings  of maps and boxes, all of them
    counts    images, images_with_boxes, images_with_masks
    metrics   by key: value and interval (95 %), fractions 0..1
    ```

    Args:
        localizer: that was scored.
        run: its folder, or its name on the hub.
        measured: as `summary` has it, and the data.
        folder: where the file goes.

    Returns:
        The file.
    """
    known = [key for key in METRICS if key in measured]
    document = {
        "hclnet": __version__,
        "run": run,
        "localizer": localizer.fingerprint(),
        "method": measured["method"],
        "data": measured["data"],
        "protocol": measured.get("protocol"),
        "settings": {**localizer.inference.model_dump(mode="json"), "fusion": localizer.fusion},
        "counts": {key: measured[key] for key in known if is_count(key)},
        "metrics": {
            key: {"value": measured[key], "interval": list(measured["intervals"][key])}
            for key in known
            if not is_count(key)
        },
    }
    file = folder / "metrics.json"
    write_json(file, document, indent=2)
    (folder / "figures.json").unlink(missing_ok=True)  # of version 0.1: it is of the evaluation that this one replaces
    return file


def write_class_table(rows: list[dict[str, Any]], path: Path) -> None:
    """A line a class; of each metric the value, and the ends of its 95 % interval as `..._low` and `..._high`."""
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
