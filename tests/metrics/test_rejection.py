import numpy as np
import pytest

from hclnet.metrics import choose_min_score, resamples


def probabilities(n, classes, sharpness=3.0, seed=0):
    """A softmax in which the own class has a higher score than the others by `sharpness`, plus noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    scores = rng.standard_normal((n, classes))
    scores[np.arange(n), labels] += sharpness
    exponential = np.exp(scores)
    return exponential / exponential.sum(1, keepdims=True), labels


def shares(values, labels, threshold):
    """Of the classes that are there and of those that are not, how many pass."""
    there = [row[label] >= threshold for row, label in zip(values, labels)]
    away = [v >= threshold for row, label in zip(values, labels) for k, v in enumerate(row) if k != label]
    return np.mean(there), np.mean(away)


@pytest.mark.parametrize("classes", [2, 5, 40])
def test_no_threshold_tells_presence_from_absence_better(classes):
    values, labels = probabilities(60, classes)
    found, false = shares(values, labels, choose_min_score(values, labels).min_score)
    best = max(np.subtract(*shares(values, labels, t)) for t in np.unique(values))
    assert found - false == pytest.approx(best, abs=2e-3)


def test_it_says_what_the_threshold_does_on_other_images():
    """Not on those that it was chosen on, where it looks better than it is."""
    others = probabilities(3000, 10, seed=1)
    said, true, chosen_on, within = [], [], [], []
    for seed in range(16):
        few = probabilities(40, 10, seed=100 + seed)
        result = choose_min_score(*few)
        said.append((result.found[0], result.falsely_found[0]))
        true.append(shares(*others, result.min_score))
        chosen_on.append(shares(*few, result.min_score))
        within.append(result.found[1] <= true[-1][0] <= result.found[2])
    assert np.mean(said, 0) == pytest.approx(np.mean(true, 0), abs=0.015)
    gain = [float(np.mean(np.subtract(*np.transpose(of)))) for of in (said, true, chosen_on)]
    assert gain[0] == pytest.approx(gain[1], abs=0.015) and gain[2] > gain[1] + 0.025
    assert np.mean(within) > 0.8


def test_more_images_make_it_surer():
    few, many = choose_min_score(*probabilities(40, 10)), choose_min_score(*probabilities(600, 10, seed=2))
    for of in ("found", "falsely_found"):
        (value, *wide), (_, *narrow) = getattr(few, of), getattr(many, of)
        assert narrow[1] - narrow[0] < 0.5 * (wide[1] - wide[0]) and wide[0] < value < wide[1]
    few_between, many_between = (r.min_score_interval[1] - r.min_score_interval[0] for r in (few, many))
    assert many_between < few_between
    assert (few.images, many.images) == (40, 600)


def test_it_is_that_of_a_loop_over_resamples_and_the_images_they_leave_out():
    values, labels = probabilities(9, 3, sharpness=1.0)
    there = [row[label] for row, label in zip(values, labels)]
    chosen, trials = [], [[] for _ in labels]
    for weights in resamples(9):
        gains = []
        for t in sorted(there, reverse=True):
            found = sum(w * (p >= t) for w, p in zip(weights.tolist(), there))
            false = sum(
                w * np.mean([v >= t for k, v in enumerate(row) if k != label])
                for w, row, label in zip(weights.tolist(), values, labels)
            )
            gains.append((round(found - false, 9), t))
        best = max(gain for gain, _ in gains)
        chosen.append(next(t for gain, t in gains if gain == best))
        for i in np.flatnonzero(weights == 0):
            trials[i].append(there[i] >= chosen[-1])
    result = choose_min_score(values, labels)
    assert result.min_score == pytest.approx(chosen[0], rel=0.02)
    np.testing.assert_allclose(result.min_score_interval, np.percentile(chosen[1:], [2.5, 97.5]))
    assert result.found[0] == pytest.approx(np.mean([np.mean(t) for t in trials]))


def test_a_perfect_classifier():
    values = np.eye(4)[[0, 1, 2, 3, 0, 1]] * 0.97 + 0.0075
    result = choose_min_score(values, np.array([0, 1, 2, 3, 0, 1]))
    assert 0.5 < result.min_score < 0.98 and result.found == (1, 1, 1) and result.falsely_found == (0, 0, 0)


def test_too_little_to_choose_on():
    values, labels = probabilities(4, 3)
    with pytest.raises(ValueError, match="4 images of 3 classes do not show when a class is absent"):
        choose_min_score(values, labels)
    with pytest.raises(ValueError, match="20 images of 1 classes"):
        choose_min_score(np.ones((20, 1)), np.zeros(20, dtype=int))
