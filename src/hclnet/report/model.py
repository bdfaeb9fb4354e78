"""What a page shows, as plain data. Whoever fills it has the maps; nothing in here needs torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Real

from hclnet.report.maps import ImageMaps
from hclnet.types import Records

Spread = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Mark:
    """A point on a chart.

    Attributes:
        x, y: where.
        low, high: of x, where it stands for a range.
        kind: `rule` or `best`: how it is drawn.
        text: what it is.
    """

    x: float
    y: float
    low: float
    high: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart.

    Attributes:
        name: as in the legend.
        x, y: its points.
        low, high: a band around y, or empty.
        marks: points on it or beside it.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """A line chart from y = 0 up to the first tick at or above `y_top`.

    Attributes:
        key: in the page's addresses.
        percent: whether y is a share that is read in percent.
        whole: whether x is counted in whole numbers.
        follows: whether it shows where the threshold slider stands.
    """

    key: str
    title: str
    caption: str
    x_label: str
    y_label: str
    x_range: tuple[float, float]
    y_top: float
    series: tuple[Series, ...]
    percent: bool = False
    whole: bool = False
    follows: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table: a name and metrics, fractions, as (value, lowest, highest), over seeds or of an interval."""

    name: str
    metrics: Mapping[str, Spread]


@dataclass(frozen=True, slots=True)
class Results:
    """The table of results.

    Attributes:
        lines: one per method.
        caption: unit, images, protocol, recipe.
        spread: what the spread is over, or why there is none.
        differences: by how much the methods after the first exceed it, each with its interval.
        paired: what the differences are.
    """

    lines: tuple[Line, ...]
    caption: str
    spread: str
    differences: tuple[Line, ...] = ()
    paired: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One method: what it found in every image.

    Attributes:
        name: as in the table.
        records: a row an image; the same images in the same order for all columns.
        maps: by row.
        side: of the level maps, pixels.
        upsampling: how the maps came to it.
        fusion: in words; empty where there is one branch.
        rule: the box rule, as text.
        erase_at: the threshold at which the page shows an erased map.
    """

    name: str
    records: Records
    maps: Sequence[ImageMaps]
    side: int
    upsampling: str
    fusion: str
    rule: str
    erase_at: float = 0.7


@dataclass(frozen=True, slots=True)
class Page:
    """A whole report.

    Attributes:
        title: its heading.
        lede: a sentence or two under it.
        classes: names, by label.
        columns: the methods whose pictures are shown, at least one.
        gt_boxes: by sample id, image pixels.
        results: the table, if the images were scored.
        charts: in order.
        facts: terms and what they are, for the foot of the page.
        notes: what a reader has to know about the images shown, such as a sample that stands for all.
        pictures: so many images are embedded at most; the others are listed with their boxes only.
        seed: of the random half of those, where not all are embedded.
    """

    title: str
    lede: str
    classes: tuple[str, ...]
    columns: tuple[Column, ...]
    gt_boxes: Mapping[str, Real[np.ndarray, "_ 4"]]
    results: Results | None = None
    charts: tuple[Chart, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    pictures: int = 1000
    seed: int = 0
