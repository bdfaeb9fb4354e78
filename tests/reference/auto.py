"""The box rule `auto`, slow and literal: a mask at a time, a pixel at a time, in fractions; boxes are not rounded."""

import math
from fractions import Fraction
from functools import cache

import numpy as np

from reference import labelling


def bilinear(cells, height, width):
    """Half-pixel centers, the edge repeated."""
    rows, columns = cells.shape
    out = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            v, u = (y + 0.5) * rows / height - 0.5, (x + 0.5) * columns / width - 0.5
            v, u = min(max(v, 0), rows - 1), min(max(u, 0), columns - 1)
            i, j = int(v), int(u)
            k, m = min(i + 1, rows - 1), min(j + 1, columns - 1)
            top = cells[i, j] * (1 - (u - j)) + cells[i, m] * (u - j)
            bottom = cells[k, j] * (1 - (u - j)) + cells[k, m] * (u - j)
            out[y, x] = top * (1 - (v - i)) + bottom * (v - i)
    return out


def boxes_by_level(levels):
    boxes = {}
    for t in range(256):
        mask = levels > t
        if mask.tobytes() not in boxes:
            boxes[mask.tobytes()] = tuple(labelling.largest_box(labelling.components(mask)))
    return [boxes[(levels > t).tobytes()] for t in range(256)]


def by_foreground(levels, cells):
    height, width = levels.shape
    likely = bilinear(cells.astype(float), height, width) > 0
    boxes = boxes_by_level(levels)
    agreement = []
    for t in range(256):
        mask = levels > t
        union = int((mask | likely).sum())
        agreement.append(Fraction(int((mask & likely).sum()), union) if union and mask.any() else Fraction(0))
    best = max(agreement)
    if best == 0:
        return by_map(levels)
    weights = [(a / best) ** 8 for a in agreement]
    mean = [sum(w * b[i] for w, b in zip(weights, boxes)) / sum(weights) for i in range(4)]
    heat = [sum(int(levels[p]) for p in pixels) for pixels in labelling.components(likely)]
    heaviest = labelling.bounding_box(labelling.components(likely)[heat.index(max(heat))])
    mean = [(a + b) / 2 for a, b in zip(mean, heaviest)]
    sides = mean[2] - mean[0], mean[3] - mean[1]
    moved = list(mean)
    for axis, (full, count) in enumerate(((width, cells.shape[1]), (height, cells.shape[0]))):
        inwards = min(Fraction(full, 2 * count), Fraction(3, 10) * sides[axis])
        near = Fraction(1, 10**6)
        if mean[axis] > near:
            moved[axis] += inwards
        if mean[axis + 2] < full - near:
            moved[axis + 2] -= inwards
    return agreement.index(best), moved


def consensus_cuts(levels, cells, first):
    """Mask of each cut, the weight of each pixel with it, and how near a pixel comes to a threshold."""
    height, width = levels.shape
    score = bilinear(cells.astype(float), height, width)
    likely = 1 / (1 + np.exp(-3 * score))
    maps = [levels.astype(float)]
    if first is not None and first.any():
        maps.append(bilinear(first.astype(float), height, width))
    cuts, nearest = [], 1.0
    for of in maps:
        heat = np.maximum(of / of.max(), 1e-6)
        for power in (0, 1 / 2, 1):
            together = heat**power * likely
            together /= together.max()
            for tenths in range(1, 8):
                nearest = min(nearest, np.abs(together - tenths / 10).min())
                cuts.append((together > tenths / 10, (heat * likely) ** 2))
    return cuts, nearest


def agreement(levels, cells, first, box):
    """The share of cuts at which a component's box has an IoU of at least 0.5 with a box."""
    return agreement_of(box, consensus_cuts(levels, cells, first)[0])


def by_consensus(levels, cells, first):
    """Level, box and pixels, and how near a pixel comes to a threshold."""
    if not levels.any():
        return 0, [0, 0, 0, 0], None, 1.0
    cuts, nearest = consensus_cuts(levels, cells, first)
    boxes = []
    for mask, weight in cuts:
        parts = labelling.components(mask)
        sums = [sum(weight[p] for p in pixels) for pixels in parts]
        boxes.append(labelling.bounding_box(parts[sums.index(max(sums))]))
    agree = [[k for k, other in enumerate(boxes) if labelling.iou(box, other) >= 0.5] for box in boxes]
    voters = max(agree, key=len)
    pixels = cuts[voters[len(voters) // 2]][0]
    agreement = []
    of_levels = boxes_by_level(levels)
    for t in range(256):
        mask = levels > t
        share = Fraction(int((mask & pixels).sum()), int((mask | pixels).sum()))
        agreement.append(share if of_levels[t][2] > of_levels[t][0] else Fraction(0))
    mean = [sum(boxes[k][i] for k in voters) / len(voters) for i in range(4)]
    if agreement_of(mean, cuts) < 0.5:
        return *by_map(levels, Fraction(1, 2)), pixels, nearest
    return agreement.index(max(agreement)), mean, pixels, nearest


def agreement_of(box, cuts):
    """The share of cuts of which a component has an IoU of at least 0.5 with a box."""
    return sum(
        any(labelling.iou(labelling.bounding_box(part), box) >= 0.5 for part in labelling.components(mask))
        for mask, _ in cuts
    ) / len(cuts)


def by_map(levels, background=Fraction(65, 100)):
    height, width = levels.shape
    boxes = boxes_by_level(levels)
    background = sorted(levels.ravel().tolist())[math.floor(background * (levels.size - 1))]
    present = [t for t in range(256) if boxes[t][2] > boxes[t][0]]
    candidates = [t for t in present if t >= background] or present
    if not candidates:
        return 0, [0, 0, 0, 0]

    @cache  # few boxes are those of many levels
    def weight(box):
        x0, y0, x1, y1 = box
        share = Fraction((x1 - x0) * (y1 - y0), height * width)
        return max(share * (1 - share), Fraction(1, 10**9))

    def alike(box):
        return [boxes[s] for s in candidates if labelling.iou(boxes[s], box) >= 0.5]

    @cache
    def support(box):
        return sum(weight(other) for other in alike(box))

    chosen = max(candidates, key=lambda t: support(boxes[t]))  # the first of equal ones
    near = alike(boxes[chosen])
    return chosen, [sum(weight(box) * box[i] for box in near) / support(boxes[chosen]) for i in range(4)]
