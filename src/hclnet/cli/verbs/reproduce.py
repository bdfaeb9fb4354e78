"""`hclnet reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hclnet.cli.options import AsClasses, Device, OnBadImage, Protocol, Set, Weights, settings_of_run
from hclnet.configs import experiment_names


def reproduce(
    experiment: Annotated[str, typer.Argument(help=f"{', '.join(experiment_names())}.", show_default=False)],
    data: Annotated[str, typer.Option(help="A data set with boxes.", show_default=False)],
    preset: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="The recipe.", show_default="the paper's own")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="Another backbone.", show_default="the recipe's")] = None,
    weights: Weights = None,
    size: Annotated[int | None, typer.Option(help="Another size, px.", show_default="the recipe's")] = None,
    tune: Annotated[str | None, typer.Option(help="heads or all.", show_default="the recipe's")] = None,
    epochs: Annotated[int | None, typer.Option(help="Other epochs.", show_default="the recipe's")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings per method; figures show the first.")] = 1,
    seed: Annotated[int | None, typer.Option(help="The first seed.", show_default="0")] = None,
    device: Device = None,
    on_bad_image: OnBadImage = None,
    as_classes: AsClasses = False,
    settings: Set = None,
    split: Annotated[str, typer.Option(help="The part that is scored.")] = "test",
    protocol: Protocol = "hclnet",
    images: Annotated[str, typer.Option(help="Of a figure: how many are drawn by lot, or ids: a.jpg,b.jpg.")] = "6",
    out: Annotated[
        Path | None,
        typer.Option(help="Runs, shared by all experiments on the data, and a folder for each.",
                     show_default="runs/reproduce-DATA"),
    ] = None,
) -> None:  # fmt: skip
    """The paper's tables and figures with its results beside ours; trains what is missing, goes on where it stopped."""
    from hclnet.cli.reproduce import run_experiment
    from hclnet.paper import reproduce as run_reproduce

    chosen = settings_of_run(
        run_reproduce,
        settings,
        backbone=backbone,
        weights=weights,
        size=size,
        tune=tune,
        epochs=epochs,
        seed=seed,
        device=device,
        on_bad_image=on_bad_image,
        as_classes=as_classes or None,
    )
    where = {"out": out, "preset": preset, "seeds": seeds, "split": split, "protocol": protocol, "images": images}
    run_experiment(experiment, data, **where, **chosen)
