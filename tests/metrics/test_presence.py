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


def test_it_holds_on_other_images_and_says_so():
    few, many = choose_min_score(*probabilities(40, 10)), choose_min_score(*probabilities(600, 10, seed=2))
    found, false = shares(*probabilities(3000, 10, seed=1), few.min_score)
    assert few.found[1] <= found <= few.found[2] or abs(few.found[0] - found) < 0.06
    assert abs(many.found[0] - found) < 0.06 and abs(many.falsely_found[0] - false) < 0.06
    for narrow, wide in zip((many.min_score_interval, many.found[1:]), (few.min_score_interval, few.found[1:])):
        assert narrow[1] - narrow[0] < wide[1] - wide[0]
    assert few.images == 40


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
    with pytest.raises(ValueError, match="4 images of 3 classes do not tell when a class is absent"):
        choose_min_score(values, labels)
    with pytest.raises(ValueError, match="20 images of 1 classes"):
        choose_min_score(np.ones((20, 1)), np.zeros(20, dtype=int))
