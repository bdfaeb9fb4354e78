"""From boxes to figures. `localisation_row` compares one map with the true boxes, over the box rule and all 256 levels;
the rows of all images are the `Records`, which `save`, `load_records` and `concatenate` keep. Every metric is a
reduction of them (`figures`), to be read with how it was measured (`protocol`). Nothing in here needs torch.
"""

from hclnet.metrics.figures import figures, protocol
from hclnet.metrics.records import concatenate, load_records, localisation_row, save

__all__ = ["concatenate", "figures", "load_records", "localisation_row", "protocol", "save"]
