"""`hclnet score`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hclnet.cli.options import JsonFile, Protocol


def score(
    maps: Annotated[
        list[Path],
        typer.Argument(help="A folder of <image id>.npy, or an .npz or .safetensors file.", show_default=False),
    ],
    ground_truth: Annotated[str, typer.Option(help="A data set with boxes or masks.", show_default=False)],
    split: Annotated[str, typer.Option(help="The part that is scored, or all.")] = "test",
    protocol: Protocol = "hclnet",
    box: Annotated[str | None, typer.Option(help="Box rule of GT-known.", show_default="auto")] = None,
    map_size: Annotated[int, typer.Option(min=8, help="Side that maps are brought to, px.")] = 224,
    cam_normalization: Annotated[str, typer.Option(help="minmax, max, pas or ivr:P; of protocol hclnet.")] = "minmax",
    json_file: JsonFile = None,
    records: Annotated[
        Path | None, typer.Option(help="Write per-image records here (.npz).", show_default=False)
    ] = None,
) -> None:
    """Score heatmaps that anything made; those of several methods side by side, the first as the baseline."""
    from hclnet.cli.score import score_files

    score_files(maps, ground_truth, split, protocol, box, map_size, cam_normalization, json_file, records)
