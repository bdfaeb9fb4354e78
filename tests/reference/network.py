"""The methods and fusions of the paper written out place by place in float64, slowly, from its equations.

Nothing of `hclnet` is used in here. Maps are h x w arrays, features d x h x w; a branch is the list of its layers.
Rows are those of the list of readings.
"""

import math

import numpy as np


def convolve(x, weight, bias):
    """A 2-d convolution with stride 1, zeros outside, as large as its input; weight is out x in x k x k."""
    (depth, height, width), reach = x.shape, weight.shape[2] // 2
    y = np.zeros((len(weight), height, width))
    for o in range(len(weight)):
        for i in range(height):
            for j in range(width):
                total = bias[o]
                for d in range(depth):
                    for a in range(-reach, reach + 1):
                        for b in range(-reach, reach + 1):
                            if 0 <= i + a < height and 0 <= j + b < width:
                                total += weight[o, d, a + reach, b + reach] * x[d, i + a, j + b]
                y[o, i, j] = total
    return y


def branch(x, layers):
    """Convolutions with ReLU between them -> the C maps (section 4)."""
    for weight, bias in layers[:-1]:
        x = np.maximum(convolve(x, weight, bias), 0)
    return convolve(x, *layers[-1])


def pooled(maps):
    """Global average pooling: the logits."""
    return np.array([sum(m.flat) / m.size for m in maps])


def softmax(logits):
    powers = [math.exp(v - max(logits)) for v in logits]
    return np.array(powers) / sum(powers)


def minmax(m):
    """Row 3: to 0..1; a constant map gives zeros."""
    low, high = min(m.flat), max(m.flat)
    return np.zeros(m.shape) if low == high else (m - low) / (high - low)


def sigmoid(m):
    return np.array([[1 / (1 + math.exp(-v)) for v in row] for row in m])


def erased(m, threshold):
    """ACoL: 0 where the map is at least the threshold, 1 elsewhere."""
    return np.array([[0.0 if v >= threshold else 1.0 for v in row] for row in m])


def acol_pools(x):
    """Row 5: 3x3 maximum, then 3x3 mean over nine places, zeros outside."""
    for reduce, outside in ((max, -math.inf), (lambda block: sum(block) / 9, 0.0)):
        y = np.zeros(x.shape)
        for d, i, j in np.ndindex(x.shape):
            block = []
            for a in (-1, 0, 1):
                for b in (-1, 0, 1):
                    inside = 0 <= i + a < x.shape[1] and 0 <= j + b < x.shape[2]
                    block.append(x[d, i + a, j + b] if inside else outside)
            y[d, i, j] = reduce(block)
        x = y
    return x


def cascade(x, branches, label, complement="ccam", threshold=0.7, cam_range="minmax"):
    """Row 14: branch k sees features * product over j < k of the complement of branch j's map of `label`.

    Returns the C maps of each branch.
    """
    keep, maps = np.ones(x.shape[1:]), []
    for layers in branches:
        seen = np.zeros(x.shape)
        for d, i, j in np.ndindex(x.shape):
            seen[d, i, j] = x[d, i, j] * keep[i, j]
        maps.append(branch(seen, layers))
        cam = minmax(maps[-1][label]) if cam_range == "minmax" else sigmoid(maps[-1][label])
        keep = keep * (1 - cam if complement == "ccam" else erased(cam, threshold))
    return maps


def cross_entropies(logits_of_branches, targets):
    """Eq. (6) with its minus sign, a term a branch (row 13)."""
    return [-sum(y * math.log(p) for y, p in zip(targets, softmax(z))) for z in logits_of_branches]


def normalized(m, how):
    """Row 7: what f_i is."""
    if how == "minmax":
        return minmax(m)
    return np.maximum(m, 0) if how == "relu" else m


def fused(maps, label, fusion, branch_normalization="minmax", l1_over="all", l1_weights="ratio", radius=1, larger=None):
    """Eqs. (1)-(5): the branches' C maps -> F of one class.

    Args:
        maps: C x h x w, by branch.
        larger: what each normalized map and activity is upsampled by before all else (row 11), if at all.
    """
    f = [normalized(m[label], branch_normalization) for m in maps]
    activity = []
    for branch_maps, own in zip(maps, f):
        over = [normalized(m, branch_normalization) for m in branch_maps] if l1_over == "all" else [own]
        activity.append(sum(np.abs(m) for m in over))  # eq. (2)
    if larger is not None:
        f, activity = [larger(m) for m in f], [larger(m) for m in activity]
    if len(f) == 1:
        return f[0]
    height, width = f[0].shape
    result = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            values = [m[y, x] for m in f]
            if fusion == "max":
                result[y, x] = max(values)
            elif fusion == "addition":
                result[y, x] = sum(values)  # eq. (1)
            else:
                w = _weights([_block_mean(m, y, x, radius) for m in activity], l1_weights)
                result[y, x] = sum(wi * v for wi, v in zip(w, values))  # eq. (4)
    return result


def _block_mean(m, y, x, r):
    """Eq. (3), zeros outside (row 10)."""
    total = 0.0
    for a in range(-r, r + 1):
        for b in range(-r, r + 1):
            if 0 <= y + a < m.shape[0] and 0 <= x + b < m.shape[1]:
                total += m[y + a, x + b]
    return total / (2 * r + 1) ** 2


def _weights(activities, how):
    """Eq. (5), as it is written or as it is called (row 9)."""
    if how == "softmax":
        return softmax(activities)
    total = sum(activities)
    return [a / total if total > 0 else 1 / len(activities) for a in activities]


def upsampled(m, side, how="bilinear"):
    """To side x side: pixel centers on pixel centers, the edge repeated outside."""
    return _resampled(_resampled(m, side, how).T, side, how).T


def _resampled(m, side, how):
    rows = np.zeros((side, m.shape[1]))
    for i in range(side):
        at = (i + 0.5) * m.shape[0] / side - 0.5
        if how == "bilinear":
            at = max(at, 0.0)
            taps = [(math.floor(at) + k, 1 - abs(at - math.floor(at) - k)) for k in (0, 1)]
        else:
            taps = [(math.floor(at) + k, _cubic(at - math.floor(at) - k)) for k in (-1, 0, 1, 2)]
        for k, weight in taps:
            rows[i] += weight * m[min(max(k, 0), m.shape[0] - 1)]
    return rows


def _cubic(t, a=-0.75):
    """Keys' kernel (1981)."""
    t = abs(t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0
