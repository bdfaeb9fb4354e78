"""Progress wherever a person waits: a bar on a terminal, one line per finished task elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Report = Callable[..., None]


@contextmanager
def bar(label: str, unit: str = "images") -> Iterator[Report]:
    """A function `report(done, total, note="")` to call while working; nothing is shown if it is never called."""
    console = Console(stderr=True)
    started, state = time.monotonic(), {"done": 0, "note": ""}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
    progress = Progress(*columns, *times, console=console, transient=True)
    task = None

    def report(done: int, total: int, note: str = "") -> None:
        nonlocal task
        state.update(done=done, note=note)
        if not console.is_terminal:
            return
        if task is None:
            progress.start()
            task = progress.add_task(label, total=total, note=note)
        progress.update(task, completed=done, note=note)

    try:
        yield report
    finally:
        if task is not None:
            progress.stop()
        if state["done"]:
            seconds = time.monotonic() - started
            note = f", {state['note']}" if state["note"] else ""
            print(f"{label}: {state['done']} {unit} in {seconds:.1f} s{note}", file=sys.stderr)
