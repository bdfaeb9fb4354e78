"""`hclnet compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hclnet.cli.options import (
    AsClasses,
    Backbone,
    BackgroundClass,
    Data,
    Device,
    Epochs,
    NoReport,
    OnBadImage,
    Preset,
    Protocol,
    Set,
    Size,
    Tune,
    Weights,
    settings_of_run,
)


def compare(
    data: Data,
    methods: Annotated[str, typer.Option(help="cam,acol,hclnet,'hclnet:branches=1,fusion=max'")] = "cam,acol,hclnet",
    backbone: Backbone = None,
    weights: Weights = None,
    size: Size = None,
    tune: Tune = None,
    epochs: Epochs = None,
    preset: Preset = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings per method; the table has median and spread.")] = 1,
    seed: Annotated[int | None, typer.Option(help="The first seed.", show_default="0")] = None,
    device: Device = None,
    background_class: BackgroundClass = None,
    on_bad_image: OnBadImage = None,
    as_classes: AsClasses = False,
    settings: Set = None,
    split: Annotated[str, typer.Option(help="The part that is scored.")] = "test",
    protocol: Protocol = "hclnet",
    out: Annotated[Path, typer.Option(help="Runs, records, compare.json, compare.md, report.html.")] = Path(
        "runs/compare"
    ),
    no_report: NoReport = False,
) -> None:
    """Train and score several methods under one recipe; goes on where it stopped."""
    from hclnet.cli.tables import compare_table
    from hclnet.storage import write_text
    from hclnet.workflows.compare import compare as run_compare
    from hclnet.workflows.plan import split_specs
    from hclnet.workflows.table import markdown

    chosen = settings_of_run(
        run_compare,
        settings,
        backbone=backbone,
        weights=weights,
        size=size,
        tune=tune,
        epochs=epochs,
        seed=seed,
        device=device,
        background_class=background_class,
        on_bad_image=on_bad_image,
        as_classes=as_classes or None,
    )
    try:
        rows = run_compare(
            data,
            split_specs(methods),
            out,
            seeds=seeds,
            split=split,
            preset=preset,
            protocol=protocol,
            report=not no_report,
            log=typer.echo,
            **chosen,
        )
    except KeyboardInterrupt:
        typer.echo("Stopped. What is finished is kept; the same command goes on from there.", err=True)
        raise typer.Exit(130) from None
    write_text(out / "compare.md", markdown(rows) + "\n")
    compare_table(rows)
    typer.echo(f"Rows: {out / 'compare.json'}   Markdown: {out / 'compare.md'}   By class: {out / 'classes.csv'}")
    if not no_report:
        typer.echo(f"Report: {out / 'report.html'}")
