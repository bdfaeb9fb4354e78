"""A table of the paper beside ours, as plain data: errors in percent with their spread, and margins over one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hclnet.metrics import PAIRED
from hclnet.paper.experiments import TableOf
from hclnet.workflows.plan import parse_spec
from hclnet.workflows.table import caption, summarize, title

QUOTED = "quoted from the paper"


def table_of(experiment: TableOf, rows: Sequence[dict[str, Any]], data: str) -> dict[str, Any]:
    """What the templates show.

    Args:
        experiment: of the paper.
        rows: of `compare`, for the experiment's methods.
        data: what the data set is called.

    Returns:
        `rows`, in the paper's order, each with its `name`, `paper` (errors by metric, as far as the paper has them),
        `ours` (by metric `[error, low, high]`) and, but for the first, `margins`: by how much its error exceeds the
        first row's, `paper` and `ours` likewise. All in percent or points. And titles, heads and captions.
    """
    lines = {line["method"]: line for line in summarize(rows)}
    several = len({row["seed"] for row in rows}) > 1
    heads = {**experiment.columns, **experiment.beside}
    first, table = experiment.rows[0], []
    for row in experiment.rows:
        method, settings = parse_spec(row.spec)
        members = [r for r in rows if r["method"] == method and r["settings"] == settings]
        line = lines[title(members[0])]
        ours = {}
        for metric in heads:
            if metric in line:
                value, low, high = line[metric] if several else (line[metric][0], *members[0]["intervals"][metric])
                ours[metric] = _error(value, low, high)
        entry: dict[str, Any] = {"name": row.name, "spec": row.spec, "paper": row.paper, "ours": ours}
        if row is not first:
            theirs = {m: round(v - first.paper[m], 2) for m, v in row.paper.items() if m in first.paper}
            gained = line.get("difference", {})
            entry["margins"] = {"paper": theirs, "ours": {m: _less(*gained[m]) for m in heads if m in gained}}
        entry["runs"] = [r["run"] for r in members]
        table.append(entry)
    return {
        "title": experiment.title,
        "source": experiment.source,
        "columns": experiment.columns,
        "beside": {m: head for m, head in experiment.beside.items() if any(m in row["ours"] for row in table)},
        "rows": table,
        "caption": caption(rows),
        "units": _units(several, data, any("gt_known" in row for row in rows)),
        "paired": PAIRED,
        "notes": experiment.notes,
    }


def _units(several: bool, data: str, boxed: bool) -> str:
    spread = "the lowest and highest seed" if several else "the 95 % interval over images"
    best = "“Best t” is at the one threshold that is best for all images together."
    return (
        f"Errors in percent, as in the paper: 100 - accuracy; lower is better. Rows “paper” are {QUOTED}, "
        f"measured by its authors on the data set of the title; rows “here” are measured by hclnet on {data}, with "
        f"{spread} in brackets. " + (best if boxed else f"{data} has no ground-truth boxes: classification only.")
    )


def _error(value: float, low: float, high: float) -> list[float]:
    return [100 * (1 - value), 100 * (1 - high), 100 * (1 - low)]


def _less(value: float, low: float, high: float) -> list[float]:
    """A difference of accuracies as one of errors."""
    return [-100 * value + 0.0, -100 * high + 0.0, -100 * low + 0.0]
