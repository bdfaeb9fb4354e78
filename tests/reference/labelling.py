"""Slow and literal: a mask's components by flood fill, one mask at a time, and what the box step reduces them to."""

from collections import deque
from itertools import combinations, pairwise

import numpy as np


def components(mask):
    """The 8-connected components as lists of (y, x), in raster order of their first pixel."""
    height, width = mask.shape
    seen = np.zeros(mask.shape, dtype=bool)
    found = []
    for y in range(height):
        for x in range(width):
            if not mask[y, x] or seen[y, x]:
                continue
            seen[y, x] = True
            pixels, queue = [], deque([(y, x)])
            while queue:
                a, b = queue.popleft()
                pixels.append((a, b))
                for c in range(max(a - 1, 0), min(a + 2, height)):
                    for d in range(max(b - 1, 0), min(b + 2, width)):
                        if mask[c, d] and not seen[c, d]:
                            seen[c, d] = True
                            queue.append((c, d))
            found.append(pixels)
    return found


def bounding_box(pixels):
    """Half-open x0, y0, x1, y1."""
    ys, xs = [y for y, _ in pixels], [x for _, x in pixels]
    return min(xs), min(ys), max(xs) + 1, max(ys) + 1


def largest_box(found):
    """The box of the component with the most pixels, the first of equal ones; zeros without components."""
    return bounding_box(max(found, key=len)) if found else (0, 0, 0, 0)


def iou(a, b):
    """Of two half-open boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def best_iou(found, gt_boxes):
    """The best of every component with every ground-truth box; 0 if either is missing."""
    return max((iou(bounding_box(pixels), true) for pixels in found for true in gt_boxes), default=0.0)


def variance_between(levels, thresholds):
    """Between-class variance of the classes that thresholds split the levels into: sum of share * (mean - mean)^2."""
    values = levels.ravel().astype(float)
    edges = [-1, *thresholds, 255]
    classes = [values[(values > low) & (values <= high)] for low, high in pairwise(edges)]
    return sum(len(c) / len(values) * (c.mean() - values.mean()) ** 2 for c in classes if len(c))


def otsu3(levels, top):
    """Greatest variance between three classes for each upper threshold below `top`, over every lower threshold."""
    best = {}
    for lower, upper in combinations(range(top), 2):
        best[upper] = max(best.get(upper, 0.0), variance_between(levels, (lower, upper)))
    return best
