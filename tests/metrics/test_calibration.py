import numpy as np
import pytest

from hclnet.metrics import FEWEST, choose_threshold, resamples
from metrics.test_intervals import some_records


def curves(n, best, seed=0, height=0.8):
    """Records whose IoUs rise up to the level `best` and fall behind it."""
    records, rng = some_records(n, seed), np.random.default_rng(seed)
    own = best + rng.normal(0, 10, (n, 1))
    records.level_iou = np.clip(height - np.abs(np.arange(256) - own) / 100 + rng.normal(0, 0.1, (n, 1)), 0, 1)
    records.iou = np.full(n, height)
    return records


@pytest.mark.parametrize("best", [40, 120, 200])
def test_the_threshold_that_suits_most_images_is_found(best):
    found = choose_threshold(curves(200, best))
    low, high = found.threshold_interval
    assert low <= found.threshold <= high
    assert abs(found.threshold - best / 255) < 0.02 and low - 0.02 < best / 255 < high + 0.02
    assert found.images == 200 and found.threshold == round(found.threshold, 3)


def test_few_images_are_surer_the_more_there_are():
    width = [high - low for low, high in (choose_threshold(curves(n, 100)).threshold_interval for n in (8, 40, 300))]
    assert width[0] > width[1] > width[2]


def test_it_does_better_on_other_images_than_the_first_best_level():
    lost, lost_first = [], []
    for seed in range(20):
        few, others = curves(20, 100, seed), curves(400, 100, seed + 100)
        accuracy = (others.level_iou >= 0.5).mean(0)
        lost.append(accuracy.max() - accuracy[round(255 * choose_threshold(few).threshold)])
        lost_first.append(accuracy.max() - accuracy[(few.level_iou >= 0.5).mean(0).argmax()])
    assert np.mean(lost) < 0.5 * np.mean(lost_first)


def test_the_sure_part_is_that_of_a_loop_over_resamples_and_the_images_they_leave_out():
    records = curves(12, 100, height=0.6)
    score = [[1 / (1 + np.exp(-(iou - 0.5) / 0.1)) for iou in row] for row in records.level_iou]
    right = [[] for _ in range(12)]
    levels = []
    for row in resamples(12):
        total = [sum(w * score[i][t] for i, w in enumerate(row.tolist())) for t in range(256)]
        levels.append(total.index(max(total)))
        for i in np.flatnonzero(row == 0):
            right[i].append(records.level_iou[i, levels[-1]] >= 0.5)
    share = np.array([np.mean(trials) for trials in right])
    found = choose_threshold(records)
    assert found.threshold == round(levels[0] / 255, 3)
    np.testing.assert_allclose(found.threshold_interval, np.percentile(levels[1:], [2.5, 97.5]) / 255)
    assert found.gt_known[0] == pytest.approx(share.mean()) and 0 < share.mean() < 1
    means = [(row * share).mean() for row in resamples(12)[1:]]
    np.testing.assert_allclose(found.gt_known[1:], np.percentile(means, [2.5, 97.5]))
    assert found.rule_gt_known == 1 and found.difference[0] == pytest.approx(share.mean() - 1)


def test_images_without_a_true_box_have_no_part():
    records = some_records(60, boxed=0.5)
    known = ~np.isnan(records.iou)
    only = some_records(int(known.sum()))
    only.iou, only.level_iou = records.iou[known], records.level_iou[known]
    assert choose_threshold(records) == choose_threshold(only)


def test_maps_that_never_fit_have_a_threshold_too():
    records = curves(10, 100)
    records.level_iou[:], records.iou[:] = 0, 0
    found = choose_threshold(records)
    assert found.gt_known == (0, 0, 0) and found.difference == (0, 0, 0) and 0 <= found.threshold < 1


def test_too_few():
    with pytest.raises(
        ValueError, match=f"Only 4 of these 4 images have a ground-truth box; a threshold takes {FEWEST}"
    ):
        choose_threshold(curves(4, 100))
