"""Charts as paths in a 1000 x 1000 square that the page stretches, with ticks in percent of it; colors of heat."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hclnet import caches as _caches  # noqa: F401, of which matplotlib learns what not to say
from hclnet.report.model import Chart, Mark, Series

Scale = Callable[[float], float]
"""A value -> its place, in percent of the chart's side."""

_SIDE = 1000
# Told apart by dashes as well as by color: eight of each, out of step, before a pair comes again.
HUES = 8
_DASHES = ("", "9 4", "2 3", "9 3 2 3", "14 5")


def drawn_chart(chart: Chart) -> dict[str, Any]:
    """What the template draws of a chart; places are percentages from the left and from the bottom."""
    left, right = chart.x_range
    y_ticks = _ticks(0.0, chart.y_top or 1.0)
    top = y_ticks[-1]  # the first at or above the highest point

    def across(x: float) -> float:
        return (x - left) / (right - left) * 100

    def up(y: float) -> float:
        return y / top * 100

    return {
        "chart": chart,
        "x_ticks": [
            {"at": across(x), "text": f"{x:g}"} for x in _ticks(left, right, chart.whole) if left <= x <= right
        ],
        "y_ticks": [{"at": up(y), "text": f"{100 * y:g}%" if chart.percent else f"{y:g}"} for y in y_ticks],
        "series": [
            {
                "name": s.name,
                "hue": k % HUES,
                "dash": dash(k),
                "line": _path(s.x, s.y, across, up),
                "band": _band(s, across, up) if s.low else "",
                "marks": [_mark(m, across, up) for m in s.marks],
                "last": f"{s.y[-1]:.1%}" if chart.percent else f"{s.y[-1]:.3g}",
            }
            for k, s in enumerate(chart.series)
        ],
    }


def dash(k: int) -> str:
    """The dashes of the k-th line, as SVG's `stroke-dasharray`."""
    return _DASHES[k % len(_DASHES)]


def heat_colors() -> str:
    """Red, green and blue of the 256 levels, in base64.

    matplotlib's inferno: its lightness rises evenly, so it reads the same to color-blind eyes and in gray.
    """
    import matplotlib

    table = matplotlib.colormaps["inferno"](np.arange(256))[:, :3]
    return base64.b64encode((table * 255).round().astype(np.uint8).tobytes()).decode()


def _ticks(low: float, high: float, whole: bool = False) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    values = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10], integer=whole).tick_values(low, high)
    return [round(float(value), 12) for value in values]


def _path(xs: Sequence[float], ys: Sequence[float], across: Scale, up: Scale) -> str:
    return "M" + "L".join(_point(x, y, across, up) for x, y in zip(xs, ys))


def _point(x: float, y: float, across: Scale, up: Scale) -> str:
    return f"{across(x) * _SIDE / 100:.1f} {_SIDE - up(y) * _SIDE / 100:.1f}"


def _band(series: Series, across: Scale, up: Scale) -> str:
    xs, back = list(series.x), list(series.x)[::-1]
    return _path(xs, series.high, across, up) + "L" + _path(back, list(series.low)[::-1], across, up)[1:] + "Z"


def _mark(mark: Mark, across: Scale, up: Scale) -> dict[str, Any]:
    return {
        "kind": mark.kind,
        "text": mark.text,
        "x": across(mark.x),
        "y": up(mark.y),
        "low": across(mark.low),
        "width": across(mark.high) - across(mark.low),
    }
