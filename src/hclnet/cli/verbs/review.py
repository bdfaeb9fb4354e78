"""`hclnet review`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hclnet.cli.options import Formats, ImageRoot


def review(
    located: Annotated[Path, typer.Argument(help="The folder that `hclnet locate` made.")] = Path("located"),
    images: Annotated[
        Path | None, typer.Option(help="Where the images are now.", show_default="where they were located")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of this machine.", show_default="a free one")] = 0,
    formats: Formats = "json,coco",
    image_root: ImageRoot = None,
    browser: Annotated[bool, typer.Option("--browser", help="Open the page in the browser.")] = False,
) -> None:
    """Accept, mend or reject boxes on a page in your browser; each decision is kept at once.

    Ctrl-C ends it and writes LOCATED/reviewed.json and the other formats.
    """
    from hclnet.cli.words import listed, split
    from hclnet.workflows.review import review

    found = review(
        located, images, port=port, formats=split(formats), image_root=image_root, browser=browser, log=typer.echo
    )
    left_out = f", {found.rejected:,} without a right box left out" if found.rejected else ""
    typer.echo(f"{found.decided:,} of {found.images:,} images decided{left_out}: {listed(found.written)}")
