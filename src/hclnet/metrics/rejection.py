"""The probability below which a class is taken to be absent, chosen on class labels, and how sure that is.

Of every image, its own class is there and every other is not. The threshold is the one at which the share of classes
found where they are exceeds the share found where they are not by most. A softmax that was fitted to these images says
nothing about it, so they have to be held out of the training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Integer

from hclnet.metrics.calibration import FEWEST
from hclnet.metrics.intervals import interval, resamples

_PASS = 0.9999  # of an image's probability: it is to pass again, in a batch of another size too


@dataclass(frozen=True, slots=True)
class Rejection:
    """A threshold on class probabilities; intervals are of 95 %, by a bootstrap over the images.

    Attributes:
        min_score: the threshold.
        min_score_interval: where it would lie on other images of the same kind.
        images: that it was chosen on.
        found: share of the images whose class is found, on images that had no part in choosing, and its interval.
        falsely_found: the same of the pairs of an image and a class that it does not show.
    """

    min_score: float
    min_score_interval: tuple[float, float]
    images: int
    found: tuple[float, float, float]
    falsely_found: tuple[float, float, float]


def choose_min_score(probabilities: Float[np.ndarray, "n c"], labels: Integer[np.ndarray, " n"]) -> Rejection:
    """The threshold for these probabilities.

    Args:
        probabilities: of every class in every image.
        labels: the class that each image shows.

    Raises:
        ValueError: there are too few images, or only one class.
    """
    images, classes = probabilities.shape
    if images < FEWEST or classes < 2:
        raise ValueError(
            f"{images} images of {classes} classes do not show when a class is absent: it takes at least {FEWEST} "
            "images and two classes."
        )
    probabilities = probabilities.astype(np.float64)
    own = np.zeros(probabilities.shape, dtype=bool)
    own[np.arange(images), labels] = True
    there = probabilities[own]
    others = np.sort(probabilities[~own].reshape(images, classes - 1), axis=1)
    # Between two neighboring scores of what is there nothing is gained; so they are the candidates.
    candidates = np.unique(there)
    passes = there[:, None] >= candidates
    falsely = np.stack([(classes - 1 - np.searchsorted(row, candidates)) / (classes - 1) for row in others])
    gain = passes - falsely
    drawn = resamples(images)
    # Of equal candidates the highest: it finds as much, and nothing is lost by asking for more.
    chosen = np.array([len(candidates) - 1 - int((weights @ gain)[::-1].argmax()) for weights in drawn])
    left_out = drawn[1:] == 0
    trials = np.maximum(left_out.sum(0), 1)
    shares = [(left_out * of[:, chosen[1:]].T).sum(0) / trials for of in (passes, falsely)]
    low, high = interval(candidates[chosen[1:]])
    found, falsely_found = (_spread(share, drawn[1:] @ share / images) for share in shares)
    return Rejection(float(candidates[chosen[0]]) * _PASS, (low, high), images, found, falsely_found)


def _spread(share: Float64[np.ndarray, " n"], means: Float64[np.ndarray, " r"]) -> tuple[float, float, float]:
    low, high = interval(means)
    return float(share.mean()), low, high
