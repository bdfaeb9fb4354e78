"""`hclnet reproduce`: what comes out, on a terminal."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from hclnet.paper import reproduce
from hclnet.paper.pages import value_text


def run_experiment(name: str, data: str, **options: Any) -> None:
    """Run an experiment, print it, and say where its files are."""
    try:
        done = reproduce(name, data, log=typer.echo, **options)
    except KeyboardInterrupt:
        typer.echo("Stopped. What is finished is kept; the same command goes on from there.", err=True)
        raise typer.Exit(130) from None
    if "rows" in done.content:
        _print_table(done.content)
    else:
        _print_measured(done.content)
    first, *others = map(str, done.files)
    typer.echo(f"To look at: {first}   Also: {'   '.join(others)}")


def _print_table(content: dict[str, Any]) -> None:
    console, columns = Console(), content["columns"]
    beside = list(content["beside"].items())[: max(0, (console.width - 22) // 11 - len(columns))]  # as many as fit
    heads = {**columns, **dict(beside)}
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("method", overflow="fold", max_width=16)
    table.add_column("")
    for head in heads.values():
        table.add_column(head, justify="right", min_width=7)
    for row in content["rows"]:
        table.add_row(row["name"], "paper", *(value_text(row["paper"].get(m), 2) for m in heads))
        table.add_row("", "here", *(_cell(row["ours"].get(m)) for m in heads))
    console.print(f"{content['source']}: {content['title']}", highlight=False)
    console.print(table)
    console.print(f"{content['units']} {content['caption']}", highlight=False)
    for note in content["notes"]:
        console.print(f"- {note}", highlight=False)


def _print_measured(content: dict[str, Any]) -> None:
    console = Console()
    for measured in content["measured"]:
        table = Table(title=measured["title"], title_justify="left", box=None, padding=(0, 1, 0, 0))
        table.add_column("method")
        for head in measured["heads"]:
            table.add_column(head, justify="right")
        for name, values in measured["rows"].items():
            table.add_row(name, *map(_cell, values))
        console.print(table)
        console.print(measured["caption"], highlight=False)


def _cell(value: list[float] | None) -> str:
    """The value, and its spread in a line below."""
    middle, _, spread = value_text(value).partition(" [")
    return f"{middle}\n[dim]{spread[:-1].replace(' to ', '-')}[/dim]" if spread else middle
