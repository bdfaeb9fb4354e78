"""`hclnet calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hclnet.cli.options import AsClasses, Device, Fusion, IgnoreUnknown, JsonFile, SetMaps, settings_of_maps


def calibrate(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    data: Annotated[
        str | None, typer.Option(help="A data set with ground-truth boxes: twenty will do.", show_default="the run's")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="The part that is used, or all.", show_default="train; with --rejection test"),
    ] = None,
    rejection: Annotated[
        bool,
        typer.Option("--rejection", help="On labels, not boxes: the probability below which a class is not there."),
    ] = False,
    fusion: Fusion = None,
    device: Device = None,
    as_classes: AsClasses = False,
    on_bad_image: Annotated[
        str | None, typer.Option(metavar="fail|skip", help="As in `hclnet train`.", show_default="the run's")
    ] = None,
    ignore_unknown_classes: IgnoreUnknown = False,
    settings: SetMaps = None,
    json_file: JsonFile = None,
) -> None:
    """Choose a run's box threshold on whatever ground-truth boxes there are, and say how sure it is."""
    from hclnet.cli.calibration import calibrate_run

    maps = settings_of_maps(settings, None, fusion)
    policy = (on_bad_image, as_classes, ignore_unknown_classes)
    calibrate_run(run, data, split, device or "auto", json_file, rejection, policy, maps)
