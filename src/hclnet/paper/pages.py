"""What came out of an experiment -> Markdown, LaTeX and self-contained HTML, by the templates beside this file."""

from __future__ import annotations

import base64
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hclnet.storage import write_text

_TEX = str.maketrans(
    {sign: f"\\{sign}" for sign in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$"}
    | {"“": "``", "”": "''", "×": r"$\times$", "−": "$-$", "±": r"$\pm$"}
)


def write_table(content: dict[str, Any], stem: Path) -> tuple[Path, ...]:
    """`stem`.html, .md and .tex of a table, as `table_of` has it."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for suffix, escape in ((".html", True), (".md", False), (".tex", False)):
        path = stem.with_suffix(suffix)
        text = _environment(escape).get_template(f"table{suffix}").render(**content, style=_style())
        write_text(path, text.rstrip() + "\n", errors="backslashreplace")
        written.append(path)
    return tuple(written)


def write_figure_page(content: dict[str, Any], stem: Path) -> Path:
    """`stem`.html of a figure, with the picture `stem`.png in it."""
    picture = base64.b64encode(stem.with_suffix(".png").read_bytes()).decode()
    path = stem.with_suffix(".html")
    text = _environment(True).get_template("figure.html").render(**content, picture=picture, style=_style())
    write_text(path, text.rstrip() + "\n", errors="backslashreplace")
    return path


def value_text(value: list[float] | float | None, digits: int = 1, signed: bool = False) -> str:
    """`22.1`, or with a spread `22.1 [20.9 to 23.4]`; a dash where there is none."""
    if value is None:
        return "-"
    form = f"{{:{'+' if signed else ''}.{digits}f}}"
    if isinstance(value, float | int):
        return form.format(value)
    middle, low, high = (form.format(v) for v in value)
    return middle if low == high == middle else f"{middle} [{low} to {high}]"


def tex(text: str) -> str:
    """Text with what LaTeX would take for its own made harmless."""
    return text.translate(_TEX)


def _numbers(text: str) -> str:
    """A cell of numbers in LaTeX: real minus signs, the spread small."""
    if text == "-":
        return "--"
    middle, _, spread = text.replace("-", "$-$").partition(" [")
    return f"{middle} {{\\scriptsize [{spread}}}" if spread else middle


def _environment(escape: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("hclnet.paper"),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"value_text": value_text, "tex": tex, "numbers": _numbers}
    return environment


def _style() -> Markup:
    return Markup(files("hclnet.report").joinpath("static", "report.css").read_text(encoding="utf-8"))
