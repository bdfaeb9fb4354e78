"""`hclnet doctor`."""

from __future__ import annotations

import typer


def doctor() -> None:
    """Check the installation: versions that belong together, weights, devices, cache."""
    from hclnet.cli.doctor import examine

    raise typer.Exit(0 if examine() else 1)
