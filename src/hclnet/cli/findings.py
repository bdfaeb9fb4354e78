"""What `hclnet data check` prints."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hclnet.data.broken import counted
from hclnet.data.check import Findings
from hclnet.data.copies import MOST_ALIKE, Copies
from hclnet.data.files import shown
from hclnet.types import Sample, Skipped

_MOST = 20


def show(findings: Findings) -> None:
    """Print the counts and what was found, the first twenty of each kind, with what to do about it."""

    def faults(found: Sequence[Skipped]) -> list[str]:
        return [f"{_named(f.sample)}: {f.reason}" for f in found]

    _counts_table(findings.counts)
    of_kind = {kind: [c for c in findings.copies if c.kind == kind] for kind in ("leak", "contradiction", "repeat")}
    _section("Broken: mend or remove, or train with --on-bad-image skip", [f.reason for f in findings.broken])
    _section(
        "Leaks: one picture in several splits makes the test too easy; keep one",
        [_copies(c) for c in of_kind["leak"]],
    )
    _section(
        "Contradictions: one picture in several classes; decide for one",
        [_copies(c) for c in of_kind["contradiction"]],
    )
    _section("Repeats: one picture several times in a class; keep one", [_copies(c) for c in of_kind["repeat"]])
    _section("Boxes that don't fit", faults(findings.boxes))
    _section("Masks that don't fit", faults(findings.masks))
    across = [(a, b) for a, b in findings.alike if a.split != b.split]
    within = [(a, b) for a, b in findings.alike if a.split == b.split]
    for pairs, where in ((across, "in different splits"), (within, "in the same split")):
        lines = [f"{_named(a)}  ~  {_named(b)}" for a, b in pairs]
        _section(f"Look alike, {where}: maybe reduced or re-saved copies; see for yourself", lines)
    if len(findings.alike) == MOST_ALIKE:
        typer.echo(f"The search for look-alikes ended at {MOST_ALIKE:,} pairs.")
    _section("Remarks", findings.remarks)
    if findings.problems:
        typer.echo(f"\n{counted(findings.problems, 'thing')} to mend.")
    else:
        typer.echo("\nNothing to mend.")


def _section(title: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    typer.secho(f"\n{title} ({len(lines):,})" if len(lines) > 1 else f"\n{title}", bold=True)
    for line in lines[:_MOST]:
        typer.echo(f"  {line}")
    if len(lines) > _MOST:
        typer.echo(f"  ... and {len(lines) - _MOST:,} more; --json FILE has all")


def _named(sample: Sample) -> str:
    return f"{shown(sample.id)} ({sample.split})"


def _copies(copies: Copies) -> str:
    what = "the same file" if copies.same_file else "the same pixels"
    return f"{'  =  '.join(_named(s) for s in copies.samples)}  [{what}]"


def _counts_table(counts: dict[str, dict[str, int]], most: int = 40) -> None:
    """Images by class and split; of many classes the smallest."""
    classes = list(next(iter(counts.values())))
    of = {name: sum(by_class[name] for by_class in counts.values()) for name in classes}
    listed = classes if len(classes) <= most else sorted(classes, key=of.__getitem__)[: most // 2]
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("class" if listed is classes else f"class (the smallest of {len(classes)})")
    for split in (*counts, "all"):
        table.add_column(split, justify="right")
    for name in listed:
        table.add_row(Text(shown(name)), *(f"{by_class[name]:,}" for by_class in counts.values()), f"{of[name]:,}")
    if listed is classes:
        totals = [sum(by_class.values()) for by_class in counts.values()]
        table.add_row("all", *(f"{total:,}" for total in totals), f"{sum(totals):,}", style="bold")
    typer.echo()
    Console().print(table)
