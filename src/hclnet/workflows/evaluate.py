"""`hclnet evaluate`: a run and a split -> records, metrics and a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import torch

from hclnet.config import InferenceSettings
from hclnet.data.record import record_skipped
from hclnet.localizer.evaluation import evaluate_localizer
from hclnet.metrics import class_table, get_protocol, hits, save
from hclnet.progress import bar
from hclnet.randomness import random_states_kept
from hclnet.report import ImageMaps, write
from hclnet.storage import locked
from hclnet.types import DataSet, Log, Records
from hclnet.workflows.datasets import told_of_unchanged
from hclnet.workflows.pages import evaluation_page
from hclnet.workflows.runs import open_run
from hclnet.workflows.summary import summary, write_class_table, write_metrics


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Records, what is reduced from them, and where both are.

    Attributes:
        records: a row an image.
        metrics: fractions, their intervals, and the protocol they were measured under, as `--json` has them.
        folder: has `records.npz`, `metrics.json` and `classes.csv`.
        report: the page to look at, if one was asked for.
    """

    records: Records
    metrics: dict[str, Any]
    folder: Path
    report: Path | None = None

    @property
    def figures(self) -> dict[str, Any]:
        """The metrics, by the name that version 0.1 has for them."""
        return self.metrics


@random_states_kept()
def evaluate(
    run: str | Path,
    data: str | Path | DataSet | None = None,
    split: str = "test",
    *,
    device: str | torch.device = "auto",
    out: str | Path | None = None,
    report: bool = True,
    protocol: str = "hclnet",
    on_bad_image: str | None = None,
    log: Log | None = None,
    as_classes: bool = False,
    ignore_unknown_classes: bool = False,
    **inference: Unpack[InferenceSettings],
) -> Evaluation:
    """Score a run on a split, and keep the records beside it. The run itself is not changed.

    Args:
        run: a run folder, or `hf:user/name` on the hub.
        data: another data set than the run's own. Its classes are matched by name; it may have a part of the run's.
        split: which part of it; `all` of other data than the run's own.
        out: folder for `records.npz`, `metrics.json`, `classes.csv` and `report.html`; by default
            `<run>/evaluation/<split>`, with another protocol than our own `<split>-<protocol>`, and for other data than
            the run's own `<run>/evaluation/<name>-<fingerprint>/<split>`. Of a model on the hub, `<run>` is
            `hub/user/name`.
        report: write the report.
        protocol: `hclnet`, our own, or `wsoleval`; see docs/protocols.md.
        on_bad_image: `fail` or `skip`; as the run was trained by default. Skipped images, and those of the run's own
            that are gone, are listed in `skipped.csv`.
        log: called with lines for a person, such as which images are skipped.
        as_classes: of other data each folder is a class, see `hclnet.read`; the run's own is read as it was trained on.
        ignore_unknown_classes: leave out images of classes that the run does not have.
        inference: settings of maps and boxes, such as `box="fixed:0.2"`.

    Raises:
        ValueError: the run, the data or a setting is not as it has to be; or the run's own images are not what they
            were when it was trained; or the box rule `auto` lacks what it needs at a size that is asked for.
    """
    get_protocol(protocol)  # whether there is such a one, now and not after the work
    opened = open_run(run, data, split, device, on_bad_image, log, as_classes, ignore_unknown_classes, **inference)
    localizer, dataset, scored = opened.localizer, opened.dataset, opened.split
    samples = dataset.split(scored)
    told_of_unchanged(dataset, scored, localizer.fingerprint, log)
    maps: list[ImageMaps] = []
    keep = (lambda _, one: maps.append(one)) if report else None
    home = Path(out) if out else opened.home(protocol)
    with locked(home, "evaluation"):
        doubts: list[str] = []
        with bar("Scoring") as progress:
            (records,) = evaluate_localizer(
                localizer, samples, dataset.ground_truth, None, opened.cache, progress, keep, protocol, doubts.append
            )
        if log:
            for doubt in doubts:
                log(doubt)
        measured = {**summary(localizer, records), "data": opened.about}
        save(records, home / "records.npz")
        record_skipped(dataset, home)
        write_metrics(localizer, str(run), measured, home)
        write_class_table(class_table(records.labels, dataset.classes, [hits(records)]), home / "classes.csv")
        page = None
        if report:
            page = write(
                evaluation_page(localizer, dataset, scored, records, maps, measured, run), home / "report.html"
            )
    return Evaluation(records, measured, home, page)
