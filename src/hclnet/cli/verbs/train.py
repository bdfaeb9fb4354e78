"""`hclnet train`."""

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
    Devices,
    Epochs,
    NoReport,
    OnBadImage,
    Preset,
    SecondsPerImage,
    Seed,
    Set,
    Size,
    Tune,
    Weights,
    settings_of_run,
)


def train(
    data: Data,
    method: Annotated[str | None, typer.Option(help="A name from `hclnet methods`.", show_default="hclnet")] = None,
    backbone: Backbone = None,
    weights: Weights = None,
    size: Size = None,
    tune: Tune = None,
    epochs: Epochs = None,
    seed: Seed = None,
    device: Device = None,
    devices: Devices = None,
    background_class: BackgroundClass = None,
    on_bad_image: OnBadImage = None,
    seconds_per_image: SecondsPerImage = None,
    as_classes: AsClasses = False,
    preset: Preset = None,
    settings: Set = None,
    out: Annotated[Path | None, typer.Option(help="The run folder.", show_default="runs/METHOD-SEED")] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on where the run in --out stopped, with its settings; add sizes to a finished one."
        ),
    ] = False,
    no_report: NoReport = False,
) -> None:
    """Train a method on classified images, without a single box."""
    from hclnet.workflows.train import train as run_train

    out = out or Path("runs") / f"{method or 'hclnet'}-{seed or 0}"
    chosen = settings_of_run(
        run_train,
        settings,
        backbone=backbone,
        weights=weights,
        size=size,
        tune=tune,
        epochs=epochs,
        seed=seed,
        device=device,
        devices=devices,
        background_class=background_class,
        on_bad_image=on_bad_image,
        seconds_per_image=seconds_per_image,
        as_classes=as_classes or None,
    )
    report = not no_report
    result = run_train(data, out, method, preset=preset, resume=resume, log=typer.echo, report=report, **chosen)
    if not result.finished:
        typer.echo(f"Stopped after {result.epochs} whole epochs. {out} can be used as it is, or go on with --resume.")
        raise typer.Exit(130)
    done = f"Trained in {result.seconds:.0f} s" if result.trained else f"{out} was finished: nothing was trained"
    typer.echo(f"{done}. Score it:  hclnet evaluate {out}")
    typer.echo(f"Box new images:  hclnet locate IMAGES --model {out}")
    if not no_report:
        typer.echo(f"Curves and a few pictures: {out / 'report.html'}")
