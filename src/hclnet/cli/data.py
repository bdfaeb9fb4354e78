"""`hclnet data`: what concerns data sets themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hclnet.cli.options import SecondsPerImage, given

app = typer.Typer(help="Look into data sets, and get them.", no_args_is_help=True)


@app.command()
def check(
    data: Annotated[
        str, typer.Argument(help="A data set of any layout that hclnet reads; see docs/data.md.", show_default=False)
    ],
    json_file: Annotated[
        Path | None, typer.Option("--json", dir_okay=False, help="Write all findings here.", show_default=False)
    ] = None,
    seconds_per_image: SecondsPerImage = None,
    seed: Annotated[int, typer.Option(help="Of the split, where it is made automatically.")] = 0,
    as_classes: Annotated[
        bool, typer.Option("--as-classes", help="Each folder in DATA is a class, also one called like a split.")
    ] = False,
) -> None:
    """Look for broken files, copies, pictures in both training and test, boxes and masks that don't fit.

    Every image is decoded. The exit code is 1 if there is something to mend.
    """
    from hclnet.cli.findings import show
    from hclnet.data import describe, read
    from hclnet.data.check import as_json, examine
    from hclnet.progress import bar

    dataset = read(data, seed, as_classes)
    typer.echo(describe(dataset))
    with bar("Looking at") as report:
        findings = examine(dataset, report, **given(seconds=seconds_per_image))
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(as_json(dataset, findings), indent=1, ensure_ascii=False) + "\n"
        json_file.write_text(text, encoding="utf-8", errors="backslashreplace")
    show(findings)
    if json_file:
        typer.echo(f"All findings: {json_file}")
    raise typer.Exit(1 if findings.problems else 0)


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="cub: CUB-200-2011 with its masks, 1.2 GB.", show_default=False)],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where it goes; made here.", show_default=False)],
) -> None:
    """Download a data set from its publisher, checked; stopped, the same command goes on."""
    from hclnet.data import describe
    from hclnet.data.get import get as get_data
    from hclnet.progress import bar

    typer.echo(describe(get_data(name, folder, bar)))
    typer.echo(f"Train on it:  hclnet train {folder}")
