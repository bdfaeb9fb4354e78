"""`hclnet calibrate`: what it says."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from hclnet.calibrate import calibrate
from hclnet.metrics import Calibration, change


def calibrate_run(
    run: Path, data: str | None, split: str, device: str, json_file: Path | None, maps: dict[str, Any]
) -> None:
    """Calibrate a run, and print how sure the threshold is.

    Raises:
        ValueError: see `hclnet.calibrate`.
    """
    found = calibrate(run, data, split, device, None, typer.echo, **maps)
    for line in told(found, split):
        typer.echo(line)
    typer.echo(f"Written into {run}; --box auto goes without it.")
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")


def told(found: Calibration, split: str) -> list[str]:
    """What a calibration says, for a person."""
    low, high = found.threshold_interval
    value, least, most = (100 * v for v in found.gt_known)
    lines = [
        f"Box rule fixed:{found.threshold}, from {found.images} images with true boxes. 95 % interval of the "
        f"threshold: {low:.2f} to {high:.2f}.",
        f"GT-known on images that had no part in choosing it: {value:.1f} % [{least:.1f} to {most:.1f}].",
        f"The rule auto on the same images: {100 * found.rule_gt_known:.1f} %. The threshold minus auto, in points: "
        f"{change(found.difference, '{} [{} to {}]')}.",
    ]
    if found.difference[2] < 0:
        lines.append("So auto is better here: use --box auto.")
    elif found.difference[1] <= 0:
        lines.append("So these images can't tell which is better; more of them might.")
    if split == "train":
        lines.append("The run was trained on images of this split: on new ones, either is right less often.")
    return lines
