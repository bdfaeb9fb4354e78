"""`hclnet locate`: what it says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from hclnet.cli.words import listed, split
from hclnet.workflows.locate import locate_files


def locate_images(
    images: Sequence[str], model: str | None, out: Path, top: int, formats: str, save: str, device: str, **options: Any
) -> int:
    """Locate, print what was found and what was left out, and return the exit code: 1 if no image could be located.

    Raises:
        ValueError: as `hclnet.locate_files`, which has the other options.
    """
    kinds = [kind for kind in split(save) if kind != "none"]
    if model is None and options.get("classifier") is None:
        typer.echo("No --model: the packaged ImageNet classifier with CAM, 1000 classes.")
    found = locate_files(
        images,
        model,
        out,
        top=top,
        formats=split(formats),
        save=kinds,
        device=device,
        log=typer.echo,
        **options,
    )
    for message in found.left_out:
        typer.secho(f"Left out: {message}", fg="yellow", err=True)
    boxes = sum(len(one.objects) for one in found.localizations)
    typer.echo(f"{boxes} boxes in {len(found.localizations)} images: {listed(found.written)}")
    return 0 if found.localizations else 1
