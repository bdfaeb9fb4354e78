"""`hclnet score`: maps of one method, or of several on the same images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from hclnet.cli.tables import differences_table, metrics_table
from hclnet.metrics import differences, save
from hclnet.progress import bar
from hclnet.workflows.score import Score, score


def score_files(
    maps: Sequence[Path],
    ground_truth: str,
    split: str,
    protocol: str,
    box: str | None,
    map_size: int,
    cam_normalization: str,
    json_file: Path | None,
    records: Path | None,
) -> list[dict[str, Any]]:
    """Print the metrics of all maps, and by how much the later ones exceed the first; write what was asked for.

    Raises:
        ValueError: see `hclnet.score`; or `records` of several methods are to go into one file.
    """
    if records and len(maps) > 1:
        raise ValueError("--records takes the records of one method; score the others in calls of their own.")
    scores: list[Score] = []
    for path in maps:
        doubts: list[str] = []
        with bar(f"Scoring {path.name}") as progress:
            scores.append(
                score(path, ground_truth, split, protocol, box, map_size, cam_normalization, progress, doubts.append)
            )
        if len(scores) == 1:  # they are of the ground truth, which is the same for all
            for doubt in doubts:
                typer.echo(doubt)
    rows = [one.metrics for one in scores]
    for row, other in zip(rows[1:], scores[1:]):
        row["difference"] = differences([other.values], [scores[0].values])
    for row in rows:
        metrics_table(f"{row['maps']}, {row['images']} {row['split']} images", row)
    if len(rows) > 1:
        differences_table(rows[0]["maps"], [(row["maps"], row["difference"]) for row in rows[1:]])
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        written = rows[0] if len(rows) == 1 else rows
        json_file.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    if records:
        save(scores[0].records, records)
    return rows
