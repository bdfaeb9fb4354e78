"""`hclnet backbones`."""

from __future__ import annotations

from typing import Annotated

import typer


def backbones(
    pattern: Annotated[
        str | None, typer.Argument(help="Names of backbones, timm's among them: 'convnext*'.", show_default="ours")
    ] = None,
) -> None:
    """List backbones: parameters, output stride, whether their weights are here, and the license of these."""
    from hclnet.cli.tables import backbones_table

    backbones_table(pattern)
