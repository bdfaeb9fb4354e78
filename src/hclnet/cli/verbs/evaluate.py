"""`hclnet evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer

from hclnet.cli.options import (
    AsClasses,
    Box,
    Device,
    Fusion,
    IgnoreUnknown,
    JsonFile,
    NoReport,
    Protocol,
    Run,
    SetMaps,
    settings_of_maps,
)


def evaluate(
    run: Run,
    data: Annotated[str | None, typer.Option(help="Another data set.", show_default="the run's")] = None,
    split: Annotated[str, typer.Option(help="The part that is scored, or all.")] = "test",
    box: Box = None,
    fusion: Fusion = None,
    protocol: Protocol = "hclnet",
    device: Device = None,
    on_bad_image: Annotated[
        str | None, typer.Option(metavar="fail|skip", help="As in `hclnet train`.", show_default="the run's")
    ] = None,
    as_classes: AsClasses = False,
    ignore_unknown_classes: IgnoreUnknown = False,
    settings: SetMaps = None,
    json_file: JsonFile = None,
    no_report: NoReport = False,
) -> None:
    """Score a run: classification, and localization where there are ground-truth boxes."""
    from hclnet.cli.tables import metrics_table
    from hclnet.storage import check_writable, write_json
    from hclnet.workflows.evaluate import evaluate as run_evaluate

    if json_file:
        check_writable(json_file.parent)
    result = run_evaluate(
        run,
        data,
        split,
        device=device or "auto",
        protocol=protocol,
        on_bad_image=on_bad_image,
        as_classes=as_classes,
        ignore_unknown_classes=ignore_unknown_classes,
        report=not no_report,
        log=typer.echo,
        **settings_of_maps(settings, box, fusion),
    )
    if json_file:
        write_json(json_file, result.metrics, indent=2)
    metrics = result.metrics
    fusion = f", fusion {metrics['fusion']}" if metrics["fusion"] else ""
    metrics_table(f"{metrics['method']}{fusion}, {metrics['images']} images", metrics)
    typer.echo(f"Records: {result.folder / 'records.npz'}   By class: {result.folder / 'classes.csv'}")
    if result.report:
        typer.echo(f"Report: {result.report}")
