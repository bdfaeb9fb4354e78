"""`hclnet locate`: what it says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from hclnet.cli.words import listed, split
from hclnet.workflows.locate import locate_files
from hclnet.workflows.shards import SHARD_SIZE, locate_shards
from hclnet_runtime.text import shown


def locate_images(
    images: Sequence[str], model: str | None, out: Path, top: int, formats: str, save: str, device: str, **options: Any
) -> int:
    """Locate, print what was found and what was left out, and return the exit code: 1 if no image could be located.

    Raises:
        ValueError: as `hclnet.locate_files`, which has the other options.
    """
    kinds = [kind for kind in split(save) if kind != "none"]
    _say_model(model, options)
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


def locate_into_shards(
    images: Sequence[str],
    model: str | Path | None,
    out: Path,
    top: int,
    device: str,
    manifest: str | None,
    shard_size: int | None,
    **options: Any,
) -> int:
    """The same for any number of images, whose boxes are written into shards.

    Raises:
        ValueError: as `hclnet.locate_shards`, which has the other options.
    """
    _say_model(model, options)
    found = locate_shards(
        images,
        model,
        out,
        manifest=manifest,
        shard_size=shard_size or SHARD_SIZE,
        top=top,
        device=device,
        log=typer.echo,
        **options,
    )
    if found.left_out:
        why = "The column error says why; --retry tries them again"
        typer.secho(f"Left out: {found.left_out:,} images. {why}.", fg="yellow", err=True)
    located = found.images - found.left_out
    before = f", {found.already:,} of them by an earlier call" if found.already else ""
    typer.echo(f"{located:,} of {found.images:,} images are located{before}: {shown(out / 'shards')}")
    return 0 if located else 1


def _say_model(model: str | Path | None, options: dict[str, Any]) -> None:
    if model is None and options.get("classifier") is None:
        typer.echo("No --model: the packaged ImageNet classifier with CAM, 1000 classes.")
