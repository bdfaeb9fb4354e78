"""From boxes to metrics. A protocol (`get_protocol`) looks at one map, the ground-truth boxes and the ground-truth
mask; what it finds on all images is a `Table`, hence `Records`, which `save`, `load_records` and `concatenate` keep.
Every metric is registered in one place (`METRICS`, `register`) and is a reduction of the records (`compute_metrics`,
`accuracy_by_level`, `box_kinds`), to be read with its interval (`intervals`, `differences`) and how it was measured
(the protocol's `describe`). `choose_threshold` is a reduction too. Nothing in here needs torch.
"""

from hclnet.metrics import registered as _registered  # noqa: F401, the metrics that are there from the start
from hclnet.metrics.calibration import FEWEST, Calibration, choose_threshold
from hclnet.metrics.compute import accuracy_by_level, compute_metrics, describe_protocol, weighted_metrics
from hclnet.metrics.failures import KINDS, box_kinds, containment, describe_kinds, kind_of_box
from hclnet.metrics.intervals import (
    PAIRED,
    Hits,
    Resampled,
    change,
    class_table,
    differences,
    hits,
    intervals,
    resamples,
)
from hclnet.metrics.masks import Counts, Mask
from hclnet.metrics.protocols import PROTOCOLS, Hclnet, get_protocol, look, protocol_of
from hclnet.metrics.records import Table, concatenate, load_records, save, true_class_ranks
from hclnet.metrics.registry import METRICS, Metric, is_count, register, shown_metrics
from hclnet.metrics.rejection import Rejection, choose_min_score
from hclnet.metrics.scoring import Found, Scoring, unlocated
from hclnet.metrics.wsoleval import WsolEval
from hclnet_runtime.heatmaps import Drawn, draw

__all__ = [
    "FEWEST",
    "KINDS",
    "METRICS",
    "PAIRED",
    "PROTOCOLS",
    "Calibration",
    "Counts",
    "Drawn",
    "Found",
    "Hclnet",
    "Hits",
    "Mask",
    "Metric",
    "Rejection",
    "Resampled",
    "Scoring",
    "Table",
    "WsolEval",
    "accuracy_by_level",
    "box_kinds",
    "change",
    "choose_min_score",
    "choose_threshold",
    "class_table",
    "compute_metrics",
    "concatenate",
    "containment",
    "describe_kinds",
    "describe_protocol",
    "differences",
    "draw",
    "get_protocol",
    "hits",
    "intervals",
    "is_count",
    "kind_of_box",
    "load_records",
    "look",
    "protocol_of",
    "register",
    "resamples",
    "save",
    "shown_metrics",
    "true_class_ranks",
    "unlocated",
    "weighted_metrics",
]
