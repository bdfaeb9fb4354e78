"""The rows of a comparison -> its table, for a terminal, a page and Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from hclnet.methods import frozen_note
from hclnet.metrics import PAIRED, change, shown_metrics


def summarize(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line per method and settings: `{"method": ..., "seeds": n, metric: (median, lowest, highest)}`.

    And, but for the first, `difference`: by how much its medians exceed the first's, `{metric: [value, low, high]}`.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(title(row), []).append(row)
    lines = []
    for name, members in groups.items():
        line: dict[str, Any] = {"method": name, "seeds": len(members), "images": members[0]["images"]}
        for metric in (m.key for m in shown_metrics()):
            if all(metric in m for m in members):
                values = [m[metric] for m in members]
                line[metric] = (statistics.median(values), min(values), max(values))
        if "difference" in members[0]:
            line["difference"] = members[0]["difference"]
        lines.append(line)
    return lines


def title(row: dict[str, Any]) -> str:
    """How a row is called in a table: the method and what was set for it."""
    own = ", ".join(f"{k}={v}" for k, v in row["settings"].items())
    return f"{row['method']} ({own})" if own else row["method"]


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table of `summarize` in Markdown, in percent, median and spread over seeds, with its protocol."""
    lines = summarize(rows)
    shown = [m.key for m in shown_metrics() if any(m.key in line for line in lines)]
    table = ["| method | " + " | ".join(shown) + " |", "|---" * (len(shown) + 1) + "|"]
    for line in lines:
        table.append(f"| {line['method']} | " + " | ".join(_cell(line.get(m)) for m in shown) + " |")
    table += ["", caption(rows)]
    others = [line for line in lines if "difference" in line]
    if others:
        table += ["", f"| minus {lines[0]['method']} | " + " | ".join(shown) + " |", "|---" * (len(shown) + 1) + "|"]
        for line in others:
            cells = (change(line["difference"].get(m), "{} [{} to {}]") for m in shown)
            table.append(f"| {line['method']} | " + " | ".join(cells) + " |")
        table += ["", PAIRED]
    return "\n".join(table)


def caption(rows: Sequence[dict[str, Any]]) -> str:
    """What the metrics are: unit, images, seeds, protocol, recipe."""
    seeds = len({row["seed"] for row in rows})
    over = f"median over {seeds} seeds with the lowest and highest" if seeds > 1 else "one seed"
    text = f"Percent; {over}; {rows[0]['images']} images."
    if protocols := [row["protocol"] for row in rows if "protocol" in row]:
        protocol = {key: _either(protocols, key) for key in ("name", "map_size", "upsampling")}
        text += (
            f" Protocol {protocol['name']}: maps of {protocol['map_size']} px, {protocol['upsampling']} upsampling; "
            f"gt_known and top-k loc at box rule {_either(rows, 'box')}."
        )
    if any("crops" in row for row in rows):
        text += " Classification, and so top-k loc, by the mean of ten crops."
    if len(views := {row.get("looks", "") for row in rows}) == 1 and (augmentation := views.pop()):
        text += f" Test-time augmentation: images {augmentation}."
    recipe = {key: _either([row["recipe"] for row in rows], key) for key in rows[0]["recipe"]}
    text += (
        f" Recipe: {recipe['backbone']}, output stride {recipe['output_stride']}, {recipe['size']} px, "
        f"tune {recipe['tune']}, {recipe['epochs']} epochs"
    )
    text += "." if recipe.get("min_steps", "0") == "0" else f", at least {recipe['min_steps']} steps."
    notes = (frozen_note(row["method"], row["recipe"]["tune"]) for row in rows)
    return " ".join([text, *filter(None, dict.fromkeys(notes))])


def recipe_facts(rows: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """The settings of the trainings, for the report: name and value."""
    recipes = [row["recipe"] for row in rows]
    return [(key.replace("_", " "), _either(recipes, key)) for key in recipes[0]]


def _either(settings: Sequence[dict[str, Any]], key: str) -> str:
    """What a setting is for all rows, or each value that it has for some: `12 or 20`."""
    return " or ".join(dict.fromkeys(str(one[key]) for one in settings))


def _cell(value: tuple[float, float, float] | None) -> str:
    if value is None:
        return "-"
    median, low, high = (100 * v for v in value)
    return f"{median:.1f}" if low == high else f"{median:.1f} [{low:.1f} to {high:.1f}]"
