"""Without Numba the loops are plain Python, and the boxes of all levels come from OpenCV: the results are the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from boxes.test_tree import MAPS
from hclnet_runtime.boxes import component_tree, contours, flood, geometry, objects, rules
from hclnet_runtime.boxes.cuts import largest_box, largest_boxes
from hclnet_runtime.loops import interpreted


@pytest.mark.parametrize("name", MAPS)
def test_the_boxes_of_all_levels(name: str):
    levels = MAPS[name]
    boxes = component_tree(levels).largest_boxes()
    np.testing.assert_array_equal(largest_boxes(levels), boxes)
    for t in (0, max(int(levels.max()) - 1, 0), int(levels.max())):
        np.testing.assert_array_equal(largest_box(levels > t), boxes[t])


@pytest.mark.parametrize("name", MAPS)
def test_loops_as_plain_python(name: str):
    levels = np.ascontiguousarray(MAPS[name])

    def same(function, *arguments):
        ours, theirs = (run(*arguments) for run in (interpreted(function.py_func), function))
        for one, other in zip(*((of if isinstance(of, tuple) else (of,)) for of in (ours, theirs)), strict=True):
            np.testing.assert_array_equal(one, other)
        return theirs

    for representatives in (flood.EIGHT, flood.FOUR):
        level, parent, area, _, first, *_ = same(flood.build, levels, representatives, True)
    same(flood.best_nodes, level, parent, first, area.astype(np.float64))
    same(objects._flood, levels, levels > 20, 0.2, 0.2)
    histogram = same(rules._histogram, levels.reshape(-1))
    same(rules._otsu3, histogram)
    boxes = component_tree(levels).box
    same(geometry._best_iou, boxes, np.array([[1.0, 1, 4, 5], [0, 0, 2, 2]]), 0)
    hole = np.zeros(len(level), bool)
    hole[1:] = True
    same(sys.modules[contours.__module__]._fill_levels, level, parent, hole)


def test_all_rules_where_there_is_none(tmp_path: Path):
    code = """
import sys
sys.modules["numba"] = None
import numpy as np
from hclnet_runtime.boxes import Evidence, find_objects, parse_rule
levels = np.load(sys.argv[1])
for rule in ("auto", "fixed:0.3", "otsu3"):
    for most in (1, 4):
        print(rule, [(one.box.tolist(), one.peak) for one in find_objects(Evidence(levels), parse_rule(rule), most)])
"""
    np.save(tmp_path / "levels.npy", MAPS["smooth"])
    with_it = code.replace('sys.modules["numba"] = None', "")
    words = [[sys.executable, "-W", "error", "-c", text, str(tmp_path / "levels.npy")] for text in (code, with_it)]
    without, compiled = (subprocess.check_output(one, text=True) for one in words)
    assert without == compiled and without.count("auto") == 2
