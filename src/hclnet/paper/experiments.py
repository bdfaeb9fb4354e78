"""The paper's tables and figures as files: methods, metrics, the paper's numbers, and notes on them."""

from __future__ import annotations

from typing import Annotated, Literal

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from hclnet.config import Strict, readable
from hclnet.configs import HERE, experiment_names


class Row(Strict):
    """A line of a table: what the paper calls the method, how `compare` does, and the paper's errors in percent."""

    name: str
    spec: str
    paper: dict[str, float]


class TableOf(Strict):
    """A table of the paper. Its numbers are errors: 100 - accuracy, percent.

    Attributes:
        columns: the paper's columns, by metric; their heads.
        beside: more columns, which the paper does not have.
        notes: what a reader has to know to compare the paper's numbers with others.
    """

    kind: Literal["table"]
    title: str
    source: str
    preset: str
    columns: dict[str, str]
    beside: dict[str, str] = Field(default_factory=dict)
    rows: list[Row]
    notes: list[str] = Field(default_factory=list)

    @property
    def specs(self) -> dict[str, str]:
        """How `compare` calls the methods, by the paper's names."""
        return {row.name: row.spec for row in self.rows}


class FigureOf(Strict):
    """A figure of the paper: test images, a row each, under several views (see `hclnet.paper.pictures`).

    Attributes:
        specs: how `compare` calls the methods, by the paper's names.
        panels: the views, from left to right.
        measure: what is counted over all test images: `kinds` of boxes, coverage of `parts`.
    """

    kind: Literal["figure"]
    title: str
    source: str
    preset: str
    specs: dict[str, str]
    panels: list[str]
    measure: list[Literal["kinds", "parts"]] = Field(default_factory=list)
    caption: str


Experiment = TableOf | FigureOf
_ADAPTER = TypeAdapter(Annotated[Experiment, Field(discriminator="kind")])


def read_experiment(name: str) -> Experiment:
    """The experiment of a name.

    Raises:
        ValueError: there is none; the message lists those that exist.
    """
    if name not in experiment_names():
        raise ValueError(f"hclnet has no experiment {name!r} of the paper; it has {', '.join(experiment_names())}.")
    try:
        return _ADAPTER.validate_python(yaml.safe_load((HERE / "paper" / f"{name}.yaml").read_text(encoding="utf-8")))
    except ValidationError as error:  # ours to mend
        raise AssertionError(f"{name}.yaml: {readable(error)}") from None
