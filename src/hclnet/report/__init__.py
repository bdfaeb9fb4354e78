"""Step 7 of the flow: metrics -> page. A `Page` is plain data: the table, charts, and for each method a `Column` with
its records and, image by image, its maps in small (`image_maps`). `write` makes of it one HTML file that needs nothing
else, not even a network: pictures, maps, style and script are in it. Nothing in here needs torch.
"""

from hclnet.report.charts import learning_charts, threshold_chart, threshold_series
from hclnet.report.maps import ImageMaps, image_maps
from hclnet.report.model import Chart, Column, Line, Page, Results, Series
from hclnet.report.render import write

__all__ = [
    "Chart",
    "Column",
    "ImageMaps",
    "Line",
    "Page",
    "Results",
    "Series",
    "image_maps",
    "learning_charts",
    "threshold_chart",
    "threshold_series",
    "write",
]
