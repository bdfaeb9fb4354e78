"""What a comparison measures of each method and seed, and the files that it writes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer

from hclnet.config import Inference, RunConfig
from hclnet.localizer.evaluation import evaluate_localizer
from hclnet.localizer.localizer import Localizer
from hclnet.metrics import (
    PROTOCOLS,
    Hits,
    Resampled,
    class_table,
    differences,
    hits,
    resamples,
    save,
    shown_metrics,
    weighted_metrics,
)
from hclnet.progress import bar
from hclnet.report import ImageMaps, write
from hclnet.storage import write_json
from hclnet.types import DataSet, Records, Sample
from hclnet.workflows.pages import MethodScores, column, comparison_page
from hclnet.workflows.plan import Job, Plan, Variant
from hclnet.workflows.summary import summary, write_class_table
from hclnet.workflows.table import caption, recipe_facts, summarize, title


class ComparisonRow(dict[str, Any]):
    """What one method with one seed came to: the dictionary that `compare.json` has, and names for its main entries."""

    @property
    def method(self) -> str:
        """The method's name."""
        return str(self["method"])

    @property
    def settings(self) -> dict[str, Any]:
        """What was set for this method alone."""
        return dict(self["settings"])

    @property
    def seed(self) -> int:
        """The seed of the training."""
        return int(self["seed"])

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics that could be measured, as fractions."""
        return {metric.key: float(self[metric.key]) for metric in shown_metrics() if metric.key in self}

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95 % interval of each metric, as fractions."""
        return {key: (float(low), float(high)) for key, (low, high) in self["intervals"].items()}

    @property
    def difference(self) -> dict[str, tuple[float, float, float]]:
        """By how much the method's medians over seeds exceed those of the first method: value, low and high of the 95 %
        interval, as fractions. Empty for the first method."""
        rows = self.get("difference", {}).items()
        return {key: (float(value), float(low), float(high)) for key, (value, low, high) in rows}

    @property
    def run(self) -> str:
        """The run folder, relative to that of the comparison."""
        return str(self["run"])

    @property
    def records(self) -> str:
        """The file of the records, relative to the folder of the comparison."""
        return str(self["records"])


@dataclass(slots=True)
class _Method:
    """What was measured of one method, a seed each.

    Attributes:
        rows: by seed, as in `compare.json`.
        values: metrics over the resamples of the images.
        right: which images are right.
        scores: for the report.
    """

    rows: dict[int, ComparisonRow] = field(default_factory=dict)
    values: list[Resampled] = field(default_factory=list)
    right: list[Hits] = field(default_factory=list)
    scores: MethodScores = field(default_factory=lambda: MethodScores(""))


class Comparison:
    """All that a comparison measures, and the files that it writes of it.

    Args:
        plan: what is trained and scored.
        out: the folder of the runs.
        home: the folder of the files that are written.
        dataset: that was read and checked.
        samples: that are scored.
        about: which data they are, for the rows.
        protocol: that localization is scored under.
        report: write the report.
    """

    def __init__(
        self,
        plan: Plan,
        out: Path,
        home: Path,
        dataset: DataSet,
        samples: Sequence[Sample],
        about: dict[str, Any],
        protocol: str,
        report: bool,
    ) -> None:
        self.plan, self.out, self.home, self.dataset, self.samples = plan, out, home, dataset, samples
        self.about, self.protocol, self.report = about, protocol, report
        self.drawn: Integer[np.ndarray, "r n"] = resamples(len(samples))  # the same for all, so that they are paired
        self.methods = {spec: _Method() for spec in plan.specs}

    def add(self, job: Job, run: Path, localizer: Localizer, label: str) -> None:
        """Score the variants of a training, and write the rows that there are."""
        variants = [variant.config.inference for variant in job.variants]
        pictured = self.report and job.config.seed == self.plan.seeds.start
        maps: list[list[ImageMaps]] = [[] for _ in variants]
        keep: Callable[[int, ImageMaps], None] | None = None
        if pictured:

            def keep(k: int, one: ImageMaps) -> None:
                maps[k].append(one)

        with bar(f"{label}: scoring") as progress:
            tables = evaluate_localizer(
                localizer,
                self.samples,
                self.dataset.ground_truth,
                variants,
                job.config.tune == "heads",
                progress,
                keep,
                self.protocol,
            )
        for variant, records, drawn in zip(job.variants, tables, maps):
            shown = localizer.with_inference(**variant.config.inference.model_dump())
            row = self._row(variant, job.config, run, shown, records)
            method = self.methods[variant.spec]
            method.rows[job.config.seed] = row
            method.right.append(hits(records))
            if self.report:
                method.scores.name = title(row)
                method.scores.add(records, row)
            if pictured:
                method.scores.column = column(title(row), shown, records, drawn)
        write_json(self.home / "compare.json", self.rows(), indent=1)

    def _row(
        self, variant: Variant, trained: RunConfig, run: Path, localizer: Localizer, records: Records
    ) -> ComparisonRow:
        """The row of one variant; its records are written."""
        values = weighted_metrics(records, self.drawn)
        self.methods[variant.spec].values.append(values)
        file = run / f"records-{_slug(variant.config.inference, self.protocol)}.npz"
        save(records, file)
        row: dict[str, Any] = {"method": variant.method, "settings": variant.settings, "seed": trained.seed}
        row |= {key: value for key, value in summary(localizer, records, values).items() if key != "method"}
        key = trained.training_key()
        recipe = {k: v for k, v in key.items() if k not in ("data", "method", "options", "seed")}
        row |= {"data": self.about, "recipe": recipe}
        row |= {"run": run.relative_to(self.out).as_posix(), "records": file.relative_to(self.out).as_posix()}
        return ComparisonRow(row)

    def rows(self) -> list[ComparisonRow]:
        """Those that there are, by method and seed."""
        methods = self.methods.values()
        return [method.rows[seed] for method in methods for seed in self.plan.seeds if seed in method.rows]

    def finish(self) -> list[ComparisonRow]:
        """Compare the methods with the first one, write all files, and return the rows."""
        baseline, *others = self.methods.values()
        for method in others:
            for row in method.rows.values():
                row["difference"] = differences(method.values, baseline.values)
        rows = self.rows()
        write_json(self.home / "compare.json", rows, indent=1)
        labels, by_class = np.array([s.label for s in self.samples]), []
        first = self.plan.seeds.start
        for method in self.methods.values():
            against = () if method is baseline else baseline.right
            lines = class_table(labels, self.dataset.classes, method.right, against)
            by_class += [{"method": title(method.rows[first]), **line} for line in lines]
        write_class_table(by_class, self.home / "classes.csv")
        if self.report:
            page = comparison_page(
                self.dataset,
                self.samples[0].split,
                [method.scores for method in self.methods.values()],
                summarize(rows),
                caption(rows),
                self.plan.seeds,
                recipe_facts(rows),
            )
            write(page, self.home / "report.html")
        return rows


def _slug(inference: Inference, protocol: str) -> str:
    named = inference.model_dump_json() + PROTOCOLS[protocol].suffix.removeprefix("-")
    return hashlib.sha256(named.encode()).hexdigest()[:8]
