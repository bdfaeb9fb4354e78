"""A metric is one registered thing: written in one place, it is in every table."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hclnet.cli import tables
from hclnet.metrics import METRICS, Metric, compute_metrics, register, shown_metrics
from hclnet.metrics.registry import boxed, share
from hclnet.types import Records
from hclnet.workflows.evaluate import evaluate
from hclnet.workflows.table import caption, markdown, summarize


def records_of(iou: list[float]) -> Records:
    """Records of which only the boxes at the rule are told."""
    n = len(iou)
    nothing = np.zeros((n, 0), dtype=np.int64)
    levels = np.where(np.isnan(iou)[:, None], np.nan, np.zeros((n, 256)))
    return Records(
        ["x"] * n, ["x"] * n, np.zeros(n, dtype=np.int64), np.ones((n, 2), dtype=np.int64), nothing, nothing * 1.0,
        np.full(n, -1), np.zeros((n, 4)), np.array(iou), levels, levels,
    )  # fmt: skip


@pytest.fixture
def loose() -> Iterator[Metric]:
    """A metric of one's own, written in one place: the share of images whose box has an IoU of 0.1."""

    def found(records: Records, iou_threshold: float) -> np.ndarray:
        return records.iou >= 0.1

    metric = Metric("loose", (boxed, found), share, ("boxes",), "Loose boxes", "Loose\nboxes", "box IoU >= 0.1")
    yield register(metric)
    METRICS.pop("loose")


def test_a_new_metric_is_in_figures_and_in_every_table(
    loose: Metric, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert compute_metrics(records_of([0.1, 0.05, 0.9, np.nan]))["loose"] == pytest.approx(2 / 3)
    assert "loose" not in compute_metrics(records_of([np.nan]))  # nothing to measure it by

    run = shutil.copytree(trained, tmp_path / "run")
    result = evaluate(run, device="cpu")
    share_of_all = float((result.records.iou >= 0.1).mean())
    written = json.loads((result.folder / "metrics.json").read_text(encoding="utf-8"))
    measured = result.metrics
    assert written["metrics"]["loose"]["value"] == measured["loose"]
    assert measured["loose"] == share_of_all and len(measured["intervals"]["loose"]) == 2
    page = result.report.read_text(encoding="utf-8")
    assert "Loose boxes" in page and "box IoU ≥ 0.1" in page

    tables.metrics_table("title", measured)
    assert "Loose boxes" in capsys.readouterr().out
    recipe = {"backbone": "b", "output_stride": 16, "size": 64, "tune": "heads", "epochs": 1}
    row = {"settings": {}, "seed": 0, "recipe": recipe, **measured}
    rows = [row, {**row, "method": "cam", "difference": {"loose": [0.0, -0.1, 0.1]}}]
    assert summarize(rows)[0]["loose"] == (share_of_all,) * 3
    first, second = markdown(rows).split(caption(rows))
    assert "| loose |" in first and "| loose |" in second and "+0.0 [-10.0 to +10.0]" in second
    tables.compare_table(rows)
    assert "Loose boxes" in capsys.readouterr().out  # in the table, or among those that it has no room for


def test_the_most_prominent_metrics_stay_where_not_all_fit():
    metrics = shown_metrics()
    chosen = [m.key for m in tables.fitting(metrics, 25)]
    assert chosen == ["gt_known", "max_box_acc", "max_box_acc_v2"]
    assert tables.fitting(metrics, 80 - 16) == metrics  # all of ours fit on a terminal of 80 characters
    assert tables.fitting(metrics, 0) == []


def test_a_key_is_taken_once_and_a_name_has_its_meaning():
    with pytest.raises(ValueError, match="there is a metric 'gt_known' already"):
        register(METRICS["gt_known"])
    with pytest.raises(ValueError, match="'mine' has a name and no meaning"):
        register(Metric("mine", (boxed,), share, name="Mine"))
    assert "mine" not in METRICS


def test_every_shown_metric_has_a_heading_of_two_short_lines():
    for metric in shown_metrics():
        assert metric.heading.count("\n") == 1 and max(map(len, metric.heading.split("\n"))) <= 7


def test_box_acc_v2_is_of_the_rules_box_alone():
    some = records_of([0.3, 0.5, 0.7, 0.29])
    assert compute_metrics(some)["box_acc_v2"] == pytest.approx((3 / 4 + 2 / 4 + 1 / 4) / 3)
    assert compute_metrics(some, iou_threshold=0.9)["box_acc_v2"] == compute_metrics(some)["box_acc_v2"]
    some.iou = some.iou.astype(np.float32)  # as tables of records keep them
    assert compute_metrics(some)["box_acc_v2"] == pytest.approx((3 / 4 + 2 / 4 + 1 / 4) / 3)


def test_every_shown_metric_is_explained_among_the_protocols():
    page = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text(encoding="utf-8")
    assert [metric.key for metric in shown_metrics() if f"`{metric.key}`" not in page] == []
