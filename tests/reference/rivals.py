"""What HaS, CutMix, ADL, SPG and BAS add to CAM, written out pixel by pixel in float64, slowly, from their definitions.

Nothing of `hclnet` is used in here. Images are b x d x h x w arrays, maps h x w. Chance is what the caller hands in.
"""

import math

import numpy as np

from reference import network


def hidden(image, side, coins, p):
    """HaS on one image: each patch of side x side pixels is hidden by the mean color (0) if its coin is below p.

    Patches are counted row by row. Side 0 hides nothing.
    """
    result, coins = image.copy(), iter(coins)
    if side == 0:
        return result
    _, height, width = image.shape
    for top in range(0, height, side):
        for left in range(0, width, side):
            if next(coins) < p:
                for y in range(top, min(top + side, height)):
                    for x in range(left, min(left + side, width)):
                        result[:, y, x] = 0
    return result


def pasted(images, targets, partners, share, center):
    """CutMix on a batch: the box of `1 - share` of the area around `center` (x, y) comes from each image's partner.

    Returns images, and targets mixed by the pixels that were left.
    """
    height, width = images.shape[2:]
    cut_width, cut_height = int(width * math.sqrt(1 - share)), int(height * math.sqrt(1 - share))
    mixed, targets_mixed = images.copy(), np.zeros(targets.shape)
    for i, j in enumerate(partners):
        kept = 0
        for y in range(height):
            for x in range(width):
                across = -(cut_width // 2) <= x - center[0] < cut_width // 2
                down = -(cut_height // 2) <= y - center[1] < cut_height // 2
                if across and down:
                    mixed[i, :, y, x] = images[j, :, y, x]
                else:
                    kept += 1
        share_kept = kept / (height * width)
        targets_mixed[i] = share_kept * targets[i] + (1 - share_kept) * targets[j]
    return mixed, targets_mixed


def attended(features, gamma, dropping):
    """ADL's block on a batch: without the places of most attention, or weighted by the sigmoid of it."""
    result = np.zeros(features.shape)
    for i, image in enumerate(features):
        depth, height, width = image.shape
        attention = np.zeros((height, width))
        for y in range(height):
            for x in range(width):
                attention[y, x] = sum(image[d, y, x] for d in range(depth)) / depth
        most = max(attention.flat)
        for y in range(height):
            for x in range(width):
                if dropping:
                    factor = 1.0 if attention[y, x] < gamma * most else 0.0
                else:
                    factor = 1 / (1 + math.exp(-attention[y, x]))
                result[i, :, y, x] = image[:, y, x] * factor
    return result


def bilinear(m, height, width):
    """To height x width: pixel centers on pixel centers, the edge repeated outside."""
    result = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            v = min(max((y + 0.5) * m.shape[0] / height - 0.5, 0), m.shape[0] - 1)
            u = min(max((x + 0.5) * m.shape[1] / width - 0.5, 0), m.shape[1] - 1)
            for a in (math.floor(v), math.floor(v) + 1):
                for b in (math.floor(u), math.floor(u) + 1):
                    weight = max(1 - abs(v - a), 0) * max(1 - abs(u - b), 0)
                    if weight:
                        result[y, x] += weight * m[a, b]
    return result


def sigmoid(m):
    return np.array([[1 / (1 + math.exp(-v)) for v in row] for row in m])


def minmax(m):
    low, high = min(m.flat), max(m.flat)
    return np.zeros(m.shape) if low == high else (m - low) / (high - low)


def guided(logits, guides, high, low):
    """SPG's binary cross entropy of a batch of maps with the masks that their guides give: 1, 0, or not counted."""
    losses = []
    for z, guide in zip(logits, guides):
        above = high
        if sum(v > high for v in guide.flat) < 30:
            above = 0.7 * max(guide.flat)
        for value, v in zip(z.flat, guide.flat):
            p = 1 / (1 + math.exp(-value))
            if v < low:
                losses.append(-math.log(1 - p))
            elif v > above:
                losses.append(-math.log(p))
    return sum(losses) / len(losses)


def spg_loss(logits, targets, attention, b1, b2, c, size, b2_by=(0.7, 0.05), b1_by=(0.5, 0.05), c_by=(0.7, 0.1)):
    """SPG's four terms from logits and from one map an image each: of the true class, of B1, of B2 and of C."""
    cross_entropy = 0.0
    for z, t in zip(logits, targets):
        total = sum(math.exp(v) for v in z)
        cross_entropy -= sum(p * math.log(math.exp(v) / total) for p, v in zip(t, z)) / len(logits)
    attention, b1, b2, c = ([bilinear(m, *size) for m in maps] for maps in (attention, b1, b2, c))
    both = [(sigmoid(m) + sigmoid(n)) / 2 for m, n in zip(b1, b2)]
    return {
        "A": cross_entropy,
        "B2": guided(b2, [minmax(m) for m in attention], *b2_by),
        "B1": guided(b1, [sigmoid(m) for m in b2], *b1_by),
        "C": guided(c, both, *c_by),
    }


def foreground(x, generator):
    """BAS's map of each class: a convolution of the features, then the sigmoid."""
    return np.array([sigmoid(m) for m in network.convolve(x, *generator)])


def bas_loss(x, layers, generator, label, targets, guidance, area):
    """BAS's four terms for one image: its features, the classifier's layers, the generator's, and the true class."""
    mask = foreground(x, generator)[label]
    maps = network.branch(x, layers)
    without, through = np.zeros(x.shape), np.zeros(maps.shape)
    for d, i, j in np.ndindex(x.shape):
        without[d, i, j] = x[d, i, j] * (1 - mask[i, j])
    for c, i, j in np.ndindex(maps.shape):
        through[c, i, j] = maps[c, i, j] * mask[i, j]
    whole = max(network.pooled(maps)[label], 0)
    background = max(network.pooled(network.branch(without, layers))[label], 0)
    of_all, of_foreground = network.cross_entropies([network.pooled(maps), network.pooled(through)], targets)
    return {
        "A": of_all,
        "suppression": background / whole if background < whole else 0.0,
        "guidance": guidance * of_foreground,
        "area": area * sum(mask.flat) / mask.size,
    }


def mean_of_top(maps, logits, label, k):
    """BAS's map at test: the mean of those of a class and of the k - 1 others that are most probable."""
    others = sorted((c for c in range(len(maps)) if c != label), key=lambda c: -logits[c])[: k - 1]
    return sum(maps[c] for c in [label, *others]) / (1 + len(others))
