"""From boxes to figures. `localisation_row` compares one map with the true boxes, over the box rule and all 256 levels;
the rows of all images are the `Records`, which `save`, `load_records` and `concatenate` keep. Every metric is a
reduction of them (`figures`, `accuracy_by_level`, `box_kinds`), to be read with how it was measured (`protocol`).
Nothing in here needs torch.
"""

from hclnet.metrics.failures import KINDS, box_kinds, containment, describe_kinds, kind_of_box
from hclnet.metrics.figures import MEANINGS, accuracy_by_level, describe_protocol, figures, protocol
from hclnet.metrics.records import concatenate, load_records, localisation_row, save

__all__ = [
    "KINDS",
    "MEANINGS",
    "accuracy_by_level",
    "box_kinds",
    "concatenate",
    "containment",
    "describe_kinds",
    "describe_protocol",
    "figures",
    "kind_of_box",
    "load_records",
    "localisation_row",
    "protocol",
    "save",
]
