"""`hclnet serve`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer


def serve(
    file: Annotated[Path, typer.Argument(help="That hclnet export wrote: .onnx or .xml.", show_default=False)],
    host: Annotated[
        str, typer.Option(help="An address of this machine.", show_default="this machine alone")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8000,
    threads: Annotated[int | None, typer.Option(min=1, help="That compute.", show_default="all processors")] = None,
    megabytes: Annotated[float, typer.Option(help="Of an image file, at most.")] = 20,
    megapixels: Annotated[float, typer.Option(help="Of an image, at most.")] = 50,
    waiting: Annotated[int, typer.Option(min=1, help="Requests that may wait; more are refused.")] = 8,
    seconds: Annotated[float, typer.Option(help="In which an image has to come.")] = 20,
) -> None:
    """Serve an exported model: POST an image to /locate, get JSON. For this machine alone, unless --host says more."""
    try:
        service = importlib.import_module("hclnet_runtime.service")
    except ImportError:
        raise ValueError("A service needs two more packages. Install them: pip install 'hclnet[serve]'.") from None
    service.serve(file, host, port, threads, service.Limits(megabytes, megapixels, waiting, seconds), typer.echo)
