"""Curves of a page: accuracy against threshold, and the training by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from hclnet.report.model import Chart, Mark, Series

_SHARES = np.arange(256) / 255


def threshold_series(
    name: str,
    curves: Sequence[Float64[np.ndarray, " 256"]],
    rule: str,
    at_rule: float,
    levels: Sequence[int],
) -> Series:
    """A method's accuracy at each level, with the best level and the box rule's result marked.

    Args:
        name: the method's.
        curves: `accuracy_by_level`, one per seed; the line is their median, the band goes from lowest to highest.
        rule: the box rule, as text.
        at_rule: GT-known at the box rule, median over seeds.
        levels: at which the rule cut the images, of one seed: a range where it is not the same for all.
    """
    stack = np.stack(curves)
    middle = np.median(stack, axis=0)
    best = int(middle.argmax())
    low, median, high = (float(q) / 255 for q in np.percentile(levels, (25, 50, 75)))
    where = f"{median:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"
    rule_mark = Mark(median, at_rule, low, high, "rule", f"{at_rule:.1%} at {where} ({rule})")
    top, at = float(middle[best]), best / 255
    best_mark = Mark(at, top, at, at, "best", f"{top:.1%} at {at:.2f}")
    spread = len(curves) > 1
    return Series(
        name,
        _SHARES.tolist(),
        middle.tolist(),
        stack.min(axis=0).tolist() if spread else (),
        stack.max(axis=0).tolist() if spread else (),
        (best_mark, rule_mark),
    )


def threshold_chart(series: Sequence[Series], seeds: int = 1) -> Chart:
    """Accuracy against threshold of several methods."""
    band = (
        f" Line: median of {seeds} seeds; band: lowest to highest. MaxBoxAcc in the table is the median of each "
        "seed’s own best, which may lie above the best of this line."
        if seeds > 1
        else ""
    )
    return Chart(
        key="threshold",
        title="Accuracy against threshold",
        caption="Share of images whose box has IoU ≥ 0.5 if every heatmap were cut at the same threshold. "
        "○ the best threshold for all (MaxBoxAcc). ● the box rule’s result; where the rule picks a threshold for each "
        f"image, at its median, with a bar over the middle half.{band}",
        x_label="threshold, share of the heatmap’s maximum",
        y_label="right boxes",
        x_range=(0.0, 1.0),
        y_top=1.0,
        series=tuple(series),
        percent=True,
        follows=True,
    )


def learning_charts(rows: Sequence[Mapping[str, str]]) -> tuple[Chart, ...]:
    """Loss and training accuracy by epoch, from the rows of a run's `metrics.csv`; none for fewer than two epochs."""
    if len(rows) < 2:
        return ()
    epochs = [float(row["epoch"]) for row in rows]
    terms = [key for key in rows[0] if key == "loss" or key.startswith("loss_")]
    if len(terms) == 2:  # the only term is the loss itself
        terms = ["loss"]
    loss = [Series(_term(key), epochs, [float(row[key]) for row in rows]) for key in terms]
    ends = (epochs[0], epochs[-1])
    top1 = Series("top-1", epochs, [float(row["top1"]) for row in rows])
    return (
        Chart(
            key="loss",
            title="Loss",
            caption="Mean over each epoch.",
            x_label="epoch",
            y_label="loss",
            x_range=ends,
            y_top=max(max(s.y) for s in loss),
            series=tuple(loss),
            whole=True,
        ),
        Chart(
            key="top1",
            title="Training accuracy",
            caption="Top-1 on the augmented training images, mean over each epoch.",
            x_label="epoch",
            y_label="top-1",
            x_range=ends,
            y_top=1.0,
            series=(top1,),
            percent=True,
            whole=True,
        ),
    )


def _term(key: str) -> str:
    return "all" if key == "loss" else f"branch {key.removeprefix('loss_')}"
