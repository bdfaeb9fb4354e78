"""What people read on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from hclnet.configs import about, preset_names
from hclnet.metrics import MEANINGS, PAIRED, change, describe_protocol

_HEADERS = {
    "top1_cls": "Top-1\ncls",
    "top5_cls": "Top-5\ncls",
    "top1_loc": "Top-1\nLoc",
    "top5_loc": "Top-5\nLoc",
    "gt_known": "GT-\nknown",
    "max_box_acc": "MaxBox\nAcc",
    "max_box_acc_v2": "MaxBox\nAccV2",
    "top1_loc_best": "T1 Loc,\nbest t",
    "pxap": "PxAP\n",
}


def figures_table(title: str, figures: dict[str, Any]) -> None:
    """The figures of one evaluation with their intervals, and their protocol or why there is none."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for header, side in (("figure", "left"), ("%", "right"), ("95 %", "left")):
        table.add_column(header, justify=side, no_wrap=True)
    table.add_column("what it says")
    for key, (name, meaning) in MEANINGS.items():
        if key in figures:
            low, high = (100 * v for v in figures["intervals"][key])
            table.add_row(name, f"{100 * figures[key]:.1f}", f"[dim]{low:.1f}-{high:.1f}[/dim]", meaning)
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
    others = [(line["method"], line["difference"]) for line in lines if "difference" in line]
    if others:
        console.print()
        differences_table(lines[0]["method"], others)


# What of a comparison is set side by side on a terminal; compare.md and compare.json have all of it.
_DIFFERENCES = ("pxap", "top1_cls", "top1_loc", "gt_known", "max_box_acc", "max_box_acc_v2")


def differences_table(baseline: str, others: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """By how much the others exceed the baseline, in points with paired intervals, a method a line."""
    shown = [m for m in _DIFFERENCES if any(m in difference for _, difference in others)][-4:]
    console = Console()
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column(f"minus {baseline}", overflow="fold", min_width=16)
    for metric in shown:
        table.add_column(_HEADERS[metric], justify="right", no_wrap=True)
    for name, difference in others:
        table.add_row(name, *(change(difference.get(m), "{}\n[dim]{} to {}[/dim]") for m in shown))
    console.print(table)
    console.print(PAIRED, highlight=False)


def methods_table() -> None:
    """Every method with its source and options, the settings that all share, and the presets of them."""
    from hclnet.config import Inference, RunConfig
    from hclnet.methods import get_method, method_names

    console = Console(highlight=False)
    for name in method_names():
        method = get_method(name)
        fusion = f" Fusion: {method.fusion}." if method.fusion else ""
        console.print(f"[bold]{name}[/bold]  {method.paper}.{fusion}")
        if method.changes_images:
            console.print("  Needs --tune all: it changes the images while training.")
        if method.frozen:
            console.print(f"  With --tune heads {method.frozen}")
        _options(console, method.Options)
    console.print("[bold]Of maps and boxes[/bold], for every method; changed without training:")
    _options(console, Inference)
    console.print("[bold]Of training[/bold]:")
    _options(console, RunConfig, {"data", "method", "options", "inference"})
    console.print("[bold]Presets[/bold], for --preset:")
    presets = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    for name in preset_names():
        presets.add_row(name, about(name))
    console.print(presets)
    console.print("Set any of them with --set KEY=VALUE, or after a method's name: hclnet:branches=1,fusion=max")


def _options(console: Console, group: Any, leave_out: set[str] = frozenset()) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    for name, field in group.model_fields.items():
        if name not in leave_out:
            default = "None" if field.default is None else str(field.default)
            table.add_row(name, default, field.description or "")
    console.print(table)
