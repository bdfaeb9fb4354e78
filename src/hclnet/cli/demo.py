"""`hclnet demo`: the whole path on drawn birds, from labels to boxes."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import typer

from hclnet.cli.tables import compare_table
from hclnet.documents import parse_json
from hclnet.progress import bar
from hclnet.storage import write_text
from hclnet.synthetic import PartsOptions, write
from hclnet.workflows.compare import compare, run_folder
from hclnet.workflows.locate import locate_files
from hclnet.workflows.table import markdown

_METHODS = ("cam", "acol", "hclnet")
# At 320 px a map has 20 x 20 values, enough to tell a body from a head. With a body cue of 1 every body has the plumage
# of its own species, which neighbours share in part: there is something to be found on it, if less than on the head.
BIRDS = PartsOptions(classes=8, train=16, test=8, size=320, body_cue=1.0)


def run_demo(out: Path, options: PartsOptions = BIRDS, epochs: int = 12, workers: int = 2) -> None:
    """Draw `parts` into `out/birds`, compare CAM, ACoL and HCLNet on it, box its test images with HCLNet.

    What is there already from an earlier call with the same options is used again.

    Args:
        out: made if it is missing.
        options: of the data set; the methods see it at its size.
        epochs: of every training.
        workers: processes that draw.
    """
    started, data = time.monotonic(), out / "birds"
    typer.echo(f"1/3  Drawing {options.classes} species of birds; the head tells which, the body only hints at it.")
    if not _is_drawn(data, options):
        with bar("Drawing") as report:
            write(options, data, progress=report, workers=workers)
    typer.echo(f"2/3  Training {', '.join(_METHODS)} on labels alone, and scoring them on images they never saw.")
    rows = compare(data, _METHODS, out, log=typer.echo, size=options.size, epochs=epochs)
    write_text(out / "compare.md", markdown(rows) + "\n")
    typer.echo("3/3  Boxing the test images with HCLNet.")
    run = run_folder(out, rows[-1])
    locate_files(sorted((data / "images").glob("*/*_test_*.jpg")), run, out / "located", overwrite=True)
    typer.echo("")
    compare_table(rows)
    typer.echo(f"\nDone in {time.monotonic() - started:.0f} s. Boxes on the test images: {out / 'located/overlays'}/")
    typer.echo(f"Open in a browser: {(out / 'report.html').resolve()}")


def _is_drawn(data: Path, options: PartsOptions) -> bool:
    """Whether the data set is there whole: its options are written last."""
    try:
        return bool(parse_json((data / "parts.json").read_text(encoding="utf-8")) == asdict(options))
    except (OSError, ValueError):
        return False
