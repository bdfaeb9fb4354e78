"""What people read on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from hclnet.metrics import MEANINGS, describe_protocol

_HEADERS = {
    "top1_cls": "Top-1\ncls",
    "top5_cls": "Top-5\ncls",
    "top1_loc": "Top-1\nLoc",
    "top5_loc": "Top-5\nLoc",
    "gt_known": "GT-\nknown",
    "max_box_acc": "MaxBox\nAcc",
    "max_box_acc_v2": "MaxBox\nAccV2",
    "top1_loc_best": "T1 Loc,\nbest t",
}


def figures_table(figures: dict[str, Any]) -> None:
    """The figures of one evaluation, with their protocol or why there is none."""
    title = f"{figures['method']}, fusion {figures['fusion']}, {figures['images']} images"
    table = Table(title=title, title_justify="left", box=None)
    for header, side in (("figure", "left"), ("%", "right"), ("what it says", "left")):
        table.add_column(header, justify=side)
    for key, (name, meaning) in MEANINGS.items():
        if key in figures:
            table.add_row(name, f"{100 * figures[key]:.1f}", meaning)
    console = Console()
    console.print(table)
    console.print(describe_protocol(figures), highlight=False)


def compare_table(rows: Sequence[dict[str, Any]]) -> None:
    """Median over seeds and spread, a method a line."""
    from hclnet.compare import METRICS, caption, summarise

    lines = summarise(rows)
    shown = [m for m in METRICS if any(m in line for line in lines)]
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("method", overflow="fold", min_width=16)
    for metric in shown:
        table.add_column(_HEADERS[metric], justify="right", no_wrap=True)
    for line in lines:
        cells = []
        for metric in shown:
            median, low, high = (100 * v for v in line[metric]) if metric in line else (None, 0, 0)
            spread = f"\n[dim]±{(high - low) / 2:.1f}[/dim]" if line["seeds"] > 1 else ""
            cells.append("-" if median is None else f"{median:.1f}{spread}")
        table.add_row(line["method"], *cells)
    console = Console()
    console.print(table)
    told = caption(rows).replace("with the lowest and highest", "± half the distance from lowest to highest")
    console.print(told, highlight=False)


def methods_table() -> None:
    """Every method with its source and options, and the settings that all share."""
    from hclnet.config import Inference, RunConfig
    from hclnet.methods import get_method, method_names

    console = Console(highlight=False)
    for name in method_names():
        method = get_method(name)
        console.print(f"[bold]{name}[/bold]  {method.paper}. Fusion: {method.fusion}.")
        if method.changes_images:
            console.print("  Needs --tune all: it changes the images while training.")
        if method.frozen:
            console.print(f"  With --tune heads {method.frozen}")
        _options(console, method.Options)
    console.print("[bold]Of maps and boxes[/bold], for every method; changed without training:")
    _options(console, Inference)
    console.print("[bold]Of training[/bold]:")
    _options(console, RunConfig, {"data", "method", "options", "inference"})
    console.print("Set any of them with --set KEY=VALUE, or after a method's name: hclnet:branches=1,fusion=max")


def _options(console: Console, group: Any, leave_out: set[str] = frozenset()) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    for name, field in group.model_fields.items():
        if name not in leave_out:
            default = "None" if field.default is None else str(field.default)
            table.add_row(name, default, field.description or "")
    console.print(table)
