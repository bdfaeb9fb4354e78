"""The union-find pass behind `ComponentTree`: level, parent, area, box and first pixel of every component."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Integer

from hclnet_runtime.loops import compiled

LEVELS = 256

# The eight neighbors in a ring, as (dy, dx): N, NE, E, SE, S, SW, W, NW.
_RING = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def _representatives(connectivity: int) -> Integer[np.ndarray, "256 4"]:
    """For each set of neighbors, as bits over the ring: one neighbor of each connected group, then -1.

    Neighbors that touch each other are already in one component, so one look-up answers for the group: on a smooth map
    one in place of eight. There are at most four groups. A group of 4-connected neighbors counts only if it touches
    the pixel in their midst, that is if it has one that is not a corner.
    """
    apart = (lambda y, x: max(y, x)) if connectivity == 8 else (lambda y, x: y + x)
    table = np.full((256, 4), -1, dtype=np.int8)
    for mask in range(256):
        left = [i for i in range(8) if mask >> i & 1]
        count = 0
        while left:
            group = [left.pop(0)]
            for a in group:
                touching = [b for b in left if apart(*(abs(_RING[a][d] - _RING[b][d]) for d in (0, 1))) == 1]
                group += touching
                left = [b for b in left if b not in touching]
            if at_pixel := [i for i in group if apart(*map(abs, _RING[i])) == 1]:
                table[mask, count] = at_pixel[0]
                count += 1
    return table


EIGHT, FOUR = _representatives(8), _representatives(4)


def _outlines() -> Integer[np.ndarray, " 256"]:
    """For each set of neighbors: by how much a pixel among them adds to twice the area within the outline.

    The outline of a component is the polygon through the centers of its border pixels. Of each 2 x 2 window it holds a
    half if three of the pixels belong to the component, and all if four do. So a pixel that joins two or three others
    in a window adds one half.
    """
    windows = [sum(1 << (corner + k) % 8 for k in range(3)) for corner in (0, 2, 4, 6)]  # N NE E, E SE S, ...
    return np.array([sum((mask & w).bit_count() >= 2 for w in windows) for mask in range(256)], dtype=np.uint8)


_OUTLINES = _outlines()


# `no_type_check` keeps run-time checkers of annotations out of what numba compiles.
@compiled(nogil=True)
@no_type_check
def build(levels, representatives, whole):
    """Level, parent, area, box and first pixel of every node; see `ComponentTree`.

    Then, if asked for, for every node twice the area within its outline, without holes of the 8-connected component,
    and for every pixel its node.

    Args:
        levels: the level map, contiguous.
        representatives: `EIGHT` or `FOUR`, for components of that connectivity.
        whole: whether these are asked for; else they are empty.
    """
    height, width = levels.shape
    pixels = height * width
    # A border below every level spares the bounds checks.
    stride = width + 2
    size = (height + 2) * stride
    # One block for the working arrays: after the first call the allocator keeps a block of this size at hand, where
    # several smaller ones may go back to the system and be paged in again at every map, at a cost like the tree's own.
    # Unsigned indices: with signed ones every access would first look whether it counts from the end.
    scratch = np.empty(4 * size, dtype=np.uint32)
    padded = np.full(size, -1, dtype=np.int16)
    starts = np.zeros(LEVELS + 1, dtype=np.int64)
    for y in range(height):
        for x in range(width):
            value = np.int64(levels[y, x])
            padded[(y + 1) * stride + x + 1] = value
            starts[LEVELS - value] += 1
    for i in range(LEVELS):
        starts[i + 1] += starts[i]

    # Counting sort: highest level first, raster order within a level.
    order = scratch[:size]
    for y in range(height):
        for x in range(width):
            at = (y + 1) * stride + x + 1
            bucket = LEVELS - 1 - padded[at]
            order[starts[bucket]] = at
            starts[bucket] += 1

    offsets = np.array([-stride, -stride + 1, 1, stride + 1, stride, stride - 1, -1, -stride - 1]).astype(np.uintp)
    down, right = np.uintp(stride), np.uintp(1)
    root = scratch[size : 2 * size]  # union-find, compressed
    latest = scratch[2 * size : 3 * size]  # of a union-find root: the last pixel to join its component
    above = scratch[3 * size :]  # the pixel that took in the component of which this one was the latest
    gain = np.empty(size if whole else 0, dtype=np.uint8)  # what the pixel adds to twice the area within the outline
    nodes = pixels
    for i in range(pixels):
        p = np.uintp(order[i])
        v = padded[p]
        # Which neighbors came before p: those of a higher level, or of the same one and earlier in raster order.
        mask = np.uintp(
            (padded[p - down] >= v)
            | (padded[p - down + right] >= v) << 1
            | (padded[p + right] > v) << 2
            | (padded[p + down + right] > v) << 3
            | (padded[p + down] > v) << 4
            | (padded[p + down - right] > v) << 5
            | (padded[p - right] >= v) << 6
            | (padded[p - down - right] >= v) << 7
        )
        if whole:
            gain[p] = _OUTLINES[mask]
        # p joins the first neighboring component under that one's root, which keeps the paths short.
        top = p
        root[p] = p
        above[p] = p
        for j in range(4):
            neighbor = representatives[mask, np.uintp(j)]
            if neighbor < 0:
                break
            r = p + offsets[np.uintp(neighbor)]
            s = np.uintp(root[r])
            while s != r:
                t = root[s]
                root[r] = t
                r = np.uintp(t)
                s = np.uintp(root[r])
            if r != top:  # else two groups of neighbors were one component already
                q = np.uintp(latest[r])
                above[q] = p
                nodes -= padded[q] == v
                if top == p:
                    top = r
                    root[p] = r
                else:
                    root[r] = top
        latest[top] = p

    # From the root down: a pixel taken in by one of its own level belongs to that one's node, any other starts a node.
    node = root  # its own use is over
    level = np.empty(nodes, dtype=np.uint8)
    parent = np.empty(nodes, dtype=np.int32)
    n = np.uint32(0)
    for i in range(pixels - 1, -1, -1):
        p = np.uintp(order[i])
        q = np.uintp(above[p])
        if q != p and padded[q] == padded[p]:
            node[p] = node[q]
        else:
            level[np.uintp(n)] = padded[p]
            parent[np.uintp(n)] = node[q] if q != p else -1
            node[p] = n
            n += np.uint32(1)

    area = np.zeros(nodes, dtype=np.int32)
    outline = np.zeros(nodes if whole else 0, dtype=np.int32)
    node_of = np.empty((height, width) if whole else (0, 0), dtype=np.int32)
    first = np.empty(nodes, dtype=np.int32)
    box = np.empty((nodes, 4), dtype=np.int32)
    for y in range(height):
        for x in range(width):
            p = np.uintp((y + 1) * stride + x + 1)
            m = np.uintp(node[p])
            if whole:
                node_of[y, x] = m
                outline[m] += gain[p]
            if area[m] == 0:
                first[m] = y * width + x
                box[m, 0] = x
                box[m, 1] = y
                box[m, 2] = x + 1
            area[m] += 1
            box[m, 0] = min(box[m, 0], x)
            box[m, 2] = max(box[m, 2], x + 1)
            box[m, 3] = y + 1
    for n in range(nodes - 1, 0, -1):
        q = parent[n]
        area[q] += area[n]
        if whole:
            outline[q] += outline[n]
        first[q] = min(first[q], first[n])
        box[q, 0] = min(box[q, 0], box[n, 0])
        box[q, 1] = min(box[q, 1], box[n, 1])
        box[q, 2] = max(box[q, 2], box[n, 2])
        box[q, 3] = max(box[q, 3], box[n, 3])
    return level, parent, area, box, first, outline, node_of


@compiled(nogil=True)
@no_type_check
def _better(i, j, score, first):
    """Whether node i beats node j (-1: nobody) by score, then by coming first."""
    return j < 0 or score[i] > score[j] or (score[i] == score[j] and first[i] < first[j])


@compiled(nogil=True)
@no_type_check
def best_nodes(level, parent, first, score):
    """For each t, the node with the highest score among those in the mask `levels > t`; -1 if there is none.

    A sparse table for range maxima, run backwards: a node enters as the two overlapping power-of-two runs that cover
    its interval, and the runs are halved down to single levels at the end. So a node costs the same however long it is.
    """
    rows = 9
    table = np.full((rows, LEVELS), -1, dtype=np.int32)
    for i in range(len(level)):
        begin = np.int64(level[parent[i]]) if parent[i] >= 0 else 0
        length = np.int64(level[i]) - begin
        if length <= 0:
            continue
        k = 0
        while 2 << k <= length:
            k += 1
        end = begin + length - (1 << k)
        if _better(i, table[k, begin], score, first):
            table[k, begin] = i
        if _better(i, table[k, end], score, first):
            table[k, end] = i
    for k in range(rows - 1, 0, -1):
        half = 1 << (k - 1)
        for begin in range(LEVELS):
            i = table[k, begin]
            if i >= 0:
                if _better(i, table[k - 1, begin], score, first):
                    table[k - 1, begin] = i
                if _better(i, table[k - 1, begin + half], score, first):
                    table[k - 1, begin + half] = i
    return table[0].copy()
