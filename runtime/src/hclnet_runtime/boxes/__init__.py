"""From a class map to a box. A class map is normalized to a heatmap in 0..1 (`normalize`) and cut into 256 levels,
`floor(255 h)` (`to_levels`). The component tree of the level map (`component_tree`) holds every 8-connected component
of all 256 masks `levels > t` at once. A box rule (`parse_rule`) looks at the levels, and at what else it needs of the
`Evidence`. It picks the level t whose mask is the object's, and the object's box (`box`), in map pixels; `scale` takes
it to the image. `find_objects` tells several objects apart. `contours` is what OpenCV finds in the same masks. Nothing
in here needs torch.
"""

from hclnet_runtime.boxes.auto import Choice
from hclnet_runtime.boxes.contours import Contours, contours
from hclnet_runtime.boxes.evidence import NEEDS, Evidence
from hclnet_runtime.boxes.geometry import best_iou, iou, scale
from hclnet_runtime.boxes.levels import NORMALIZATIONS, normalize, parse_normalization, steady, to_levels
from hclnet_runtime.boxes.objects import MapObject, find_objects
from hclnet_runtime.boxes.rules import RULES, Auto, Fixed, Otsu3, Rule, box, check_needs, parse_rule
from hclnet_runtime.boxes.tree import ComponentTree, component_tree

__all__ = [
    "NEEDS",
    "NORMALIZATIONS",
    "RULES",
    "Auto",
    "Choice",
    "ComponentTree",
    "Contours",
    "Evidence",
    "Fixed",
    "MapObject",
    "Otsu3",
    "Rule",
    "best_iou",
    "box",
    "check_needs",
    "component_tree",
    "contours",
    "find_objects",
    "iou",
    "normalize",
    "parse_normalization",
    "parse_rule",
    "scale",
    "steady",
    "to_levels",
]
