"""`hclnet export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hclnet.cli.options import Box, Fusion, Run, SetMaps, settings_of_maps


def export(
    run: Run,
    to: Annotated[str, typer.Option(help="onnx (one file), openvino (.xml and .bin) or web (a page).")] = "onnx",
    precision: Annotated[
        str, typer.Option(help="float32, or smaller and a little different: float16, int8.")
    ] = "float32",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the file goes.", show_default="RUN/exported/")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Where the training images are now; int8 needs some.", show_default="where they were"),
    ] = None,
    ort: Annotated[
        Path | None,
        typer.Option(help="For the page: onnxruntime-web, packed or unpacked.", show_default="what npm fetches"),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Run the file on a few images and compare it with the run.")
    ] = True,
    box: Box = None,
    fusion: Fusion = None,
    settings: SetMaps = None,
) -> None:
    """Write a run as one file for other programs, ONNX or OpenVINO, or as a page that runs it in a browser.

    The settings of maps and boxes are part of the file. Those of the run can be changed here, with --set and others.
    """
    from hclnet.workflows.export import export

    maps = settings_of_maps(settings, box, fusion)
    export(run, to, precision, out, data=data, ort=ort, verify=verify, log=typer.echo, **maps)
