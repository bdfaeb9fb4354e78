"""`hclnet convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hclnet.cli.options import Formats, ImageRoot


def convert(
    located: Annotated[Path, typer.Argument(help="The folder that `hclnet locate` made.")] = Path("located"),
    formats: Formats = "json,coco",
    out: Annotated[Path | None, typer.Option(help="Where the files go.", show_default="the same folder")] = None,
    image_root: ImageRoot = None,
) -> None:
    """Write what was located before in other formats, without locating again."""
    from hclnet.cli.words import listed, split
    from hclnet.workflows.convert import convert

    kinds = split(formats)
    found = convert(located, kinds, out, image_root=image_root)
    if found.missing and {"yolo", "voc"} & {*kinds}:
        said = f"{found.missing:,} of {found.images:,} images are not where they were located: no links to them."
        typer.secho(said, fg="yellow", err=True)
    typer.echo(f"{found.boxes:,} boxes in {found.images:,} images: {listed(found.written)}")
