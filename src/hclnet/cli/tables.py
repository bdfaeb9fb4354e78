"""What people read on a terminal."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hclnet.configs import about, preset_names
from hclnet.metrics import PAIRED, Metric, change, describe_protocol, shown_metrics

_NAMES = 15  # least width of a column of methods


def metrics_table(title: str, metrics: dict[str, Any]) -> None:
    """The metrics of one evaluation with their intervals, and their protocol or why there is none."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("metric", no_wrap=True)
    table.add_column("%", justify="right", no_wrap=True)
    table.add_column("95 %", no_wrap=True)
    table.add_column("what it says")
    for metric in shown_metrics():
        if metric.key in metrics:
            low, high = (100 * v for v in metrics["intervals"][metric.key])
            value, interval = f"{100 * metrics[metric.key]:.1f}", f"[dim]{low:.1f}-{high:.1f}[/dim]"
            table.add_row(metric.name, value, interval, metric.meaning)
    console = Console()
    console.print(table)
    console.print(describe_protocol(metrics), highlight=False)


def compare_table(rows: Sequence[dict[str, Any]]) -> None:
    """Median over seeds and spread, a method a line."""
    from hclnet.workflows.table import caption, summarize

    lines = summarize(rows)
    console = Console()
    known = [metric for metric in shown_metrics() if any(metric.key in line for line in lines)]
    shown = fitting(known, console.width - _NAMES - 1)
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("method", overflow="fold", min_width=_NAMES)
    for metric in shown:
        table.add_column(metric.heading, justify="right", no_wrap=True)
    for line in lines:
        cells = []
        for metric in shown:
            median, low, high = (100 * v for v in line[metric.key]) if metric.key in line else (None, 0, 0)
            spread = f"\n[dim]±{(high - low) / 2:.1f}[/dim]" if line["seeds"] > 1 else ""
            cells.append("-" if median is None else f"{median:.1f}{spread}")
        table.add_row(line["method"], *cells)
    console.print(table)
    if left_out := [metric.name for metric in known if metric not in shown]:
        console.print(f"No room here for {', '.join(left_out)}; compare.json has them.", highlight=False)
    text = caption(rows).replace("with the lowest and highest", "± half the distance from lowest to highest")
    console.print(text, highlight=False)
    others = [(line["method"], line["difference"]) for line in lines if "difference" in line]
    if others:
        console.print()
        differences_table(lines[0]["method"], others)


def fitting(metrics: Sequence[Metric], width: int) -> list[Metric]:
    """The most prominent of the metrics whose columns fit side by side into so many characters, in their own order."""
    chosen: list[Metric] = []
    for metric in sorted(metrics, key=lambda metric: -metric.prominence):
        width -= 1 + max(len("100.0"), *map(len, metric.heading.split("\n")))
        if width < 0:
            break
        chosen.append(metric)
    return [metric for metric in metrics if metric in chosen]


_DIFFERENCES = 4  # columns with intervals, that fit on a terminal; compare.json has all of them


def differences_table(baseline: str, others: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """By how much the others exceed the baseline, in points with paired intervals, a method a line."""
    known = [metric for metric in shown_metrics() if any(metric.key in difference for _, difference in others)]
    most = sorted(known, key=lambda metric: -metric.prominence)[:_DIFFERENCES]
    shown = [metric for metric in known if metric in most]
    console = Console()
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column(f"minus {baseline}", overflow="fold", min_width=_NAMES)
    for metric in shown:
        table.add_column(metric.heading, justify="right", no_wrap=True)
    for name, difference in others:
        table.add_row(name, *(change(difference.get(m.key), "{}\n[dim]{} to {}[/dim]") for m in shown))
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
        if method.augments_batches:
            console.print("  Needs --tune all: it changes the images while training.")
        if method.frozen_note:
            console.print(f"  With --tune heads {method.frozen_note}")
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


def _options(console: Console, group: Any, leave_out: Set[str] = frozenset()) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    for name, field in group.model_fields.items():
        if name not in leave_out:
            default = "None" if field.default is None else str(field.default)
            table.add_row(name, default, field.description or "")
    console.print(table)


def backbones_table(pattern: str | None) -> None:
    """Backbones whose names are like a pattern, a line as soon as each of them was looked at."""
    from hclnet.backbones.listing import list_backbones, timm_count

    found = list_backbones(pattern)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{'parameters':>10} {'stride':>6} {'weights':>7}  {'license':16} [bold]name[/bold]")
    for one in found:
        size = f"{one.parameters / 1e6:.1f} M" if one.parameters else "-"
        console.print(
            f"{size:>10} {one.stride or '-':>6} {one.weights:>7}  {one.license:16} [bold]{escape(one.name)}[/bold]"
        )
        if one.why:
            console.print(f"  {one.why}", markup=False)
    console.print(
        "weights: here; hub, where they are fetched from; pip, with which they are installed; or none. The license is "
        "what timm tells."
    )
    if pattern is None:
        console.print(
            f"With timm: in front, each of timm's {timm_count():,} models that gives spatial features is one: "
            f"hclnet backbones 'convnext*'"
        )
