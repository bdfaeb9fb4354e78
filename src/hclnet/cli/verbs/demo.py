"""`hclnet demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("demo"),
) -> None:
    """Draw a small data set, train CAM, ACoL and HCLNet on its labels, score them, box the test images."""
    from hclnet.cli.demo import run_demo

    run_demo(out)
