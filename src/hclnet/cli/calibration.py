"""`hclnet calibrate`: what it says."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from hclnet.metrics import Calibration, Rejection, change
from hclnet.storage import check_writable, write_json
from hclnet.workflows.calibrate import calibrate, calibrate_rejection


def calibrate_run(
    run: Path,
    data: str | None,
    split: str | None,
    device: str,
    json_file: Path | None,
    rejection: bool,
    policy: tuple[str | None, bool, bool],
    maps: dict[str, Any],
) -> None:
    """Calibrate a run, and print how sure the threshold is.

    Raises:
        ValueError: see `hclnet.workflows.calibrate` and `hclnet.calibrate_rejection`.
    """
    split, (on_bad_image, as_classes, ignore_unknown) = split or ("test" if rejection else "train"), policy
    if json_file:
        check_writable(json_file.parent)
    choose = calibrate_rejection if rejection else calibrate
    found = choose(
        run,
        data,
        split,
        device=device,
        on_bad_image=on_bad_image,
        as_classes=as_classes,
        ignore_unknown_classes=ignore_unknown,
        log=typer.echo,
        **maps,
    )
    for line in summary(found):
        typer.echo(line)
    typer.echo(f"Written into {run}; {'--min-score 0' if rejection else '--box auto'} goes without it.")
    if json_file:
        write_json(json_file, asdict(found), indent=2)


def summary(found: Calibration | Rejection) -> list[str]:
    """The lines that describe a calibration."""
    return _of_boxes(found) if isinstance(found, Calibration) else _of_rejection(found)


def _of_boxes(found: Calibration) -> list[str]:
    low, high = found.threshold_interval
    lines = [
        f"Box rule fixed:{found.threshold}, from {found.images} images with ground-truth boxes. 95 % interval of the "
        f"threshold: {low:.2f} to {high:.2f}.",
        f"GT-known on images that had no part in choosing it: {_percent(found.gt_known)}.",
        f"The rule auto on the same images: {100 * found.rule_gt_known:.1f} %. The threshold minus auto, in points: "
        f"{change(found.difference, '{} [{} to {}]')}.",
    ]
    if found.difference[2] < 0:
        lines.append("So auto is better here: use --box auto.")
    elif found.difference[1] <= 0:
        lines.append("So these images can't tell which is better; more of them might.")
    return lines


def _of_rejection(found: Rejection) -> list[str]:
    low, high = (100 * v for v in found.min_score_interval)
    return [
        f"A class is not there below a probability of {_short(100 * found.min_score)} %, from {found.images} images. "
        f"95 % interval: {_short(low)} to {_short(high)} %.",
        f"On images that had no part in choosing it, found where it is: {_percent(found.found)}; "
        f"where it is not: {_percent(found.falsely_found)}.",
    ]


def _short(value: float) -> str:
    """Two significant digits of a percentage, and three of one that they would call 100."""
    return f"{value:.3g}" if value >= 99.5 else f"{value:.2g}"


def _percent(value: tuple[float, float, float]) -> str:
    return "{:.1f} % [{:.1f} to {:.1f}]".format(*(100 * v for v in value))
