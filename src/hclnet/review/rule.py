"""Which box rule would have been better, as far as the heatmaps on the disk and the person's boxes can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hclnet.metrics import Calibration, choose_threshold
from hclnet.metrics.calibration import FEWEST
from hclnet.review.decisions import Decision
from hclnet.review.folder import Listed
from hclnet.review.maps import read_heat
from hclnet.review.results import is_unchanged
from hclnet.types import Records
from hclnet_runtime.boxes.geometry import iou

MOST = 300
"""Images that are looked at: enough to tell, and a few seconds."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A fixed level beside the rule that made the boxes.

    Attributes:
        images: that could be compared.
        unchanged: those of them whose box was accepted as it is, which favors the rule that made it.
        found: the level and how good it is; None where there are too few images.
    """

    images: int
    unchanged: int
    found: Calibration | None


def compare_rules(images: Sequence[Listed], decisions: Mapping[int, Decision], side: int) -> Comparison:
    """Compare the model's boxes with those of the best level of the heatmaps, on the images that a person boxed.

    Args:
        images: of the folder.
        decisions: what is decided, by the number of the image.
        side: of the square that boxes are drawn on.
    """
    rows: list[tuple[float, np.ndarray]] = []
    unchanged = 0
    for k, decision in decisions.items():
        one = images[k]
        boxes = np.array([o.box for o in decision.objects if o.label == one.label], dtype=np.float64)
        heat = read_heat(one, side) if decision.verdict == "accepted" and len(boxes) and len(rows) < MOST else None
        if heat is None:
            continue
        theirs = np.array([f.box for f in one.found if f.label == one.label][:1], dtype=np.float64).reshape(-1, 4)
        rows.append((float(iou(theirs, boxes).max(initial=0)), iou(heat.boxes(), boxes).max(1)))
        unchanged += all(is_unchanged(one, o) for o in decision.objects)
    found = choose_threshold(_records(rows)) if len(rows) >= FEWEST else None
    return Comparison(len(rows), unchanged, found)


def _records(rows: Sequence[tuple[float, np.ndarray]]) -> Records:
    """As much of records as a threshold is chosen on."""
    count = len(rows)
    return Records(
        ids=[str(k) for k in range(count)],
        paths=[""] * count,
        labels=np.zeros(count, dtype=np.int64),
        sizes=np.ones((count, 2), dtype=np.int64),
        top_classes=np.zeros((count, 0), dtype=np.int64),
        top_scores=np.zeros((count, 0), dtype=np.float32),
        rank=np.full(count, -1),
        boxes=np.zeros((count, 4)),
        iou=np.array([rule for rule, _ in rows], dtype=np.float32),
        level_iou=np.array([levels for _, levels in rows], dtype=np.float32),
        level_best=np.array([levels for _, levels in rows], dtype=np.float32),
    )
