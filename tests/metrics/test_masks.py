import numpy as np
import pytest
from PIL import Image

from hclnet.metrics import Hclnet, WsolEval
from hclnet.metrics.masks import count_pixels, pxap
from hclnet.types import MaskFiles
from reference import wsoleval


def write(path, values, scale=255):
    Image.fromarray((np.asarray(values) * scale).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def files(tmp_path):
    """Two objects and a region to ignore that overlaps the first."""
    first, second, ignore = np.zeros((3, 20, 20))
    first[2:8, 2:8] = second[12:18, 4:10] = ignore[5:15, 5:15] = 1
    paths = [write(tmp_path / f"{i}.png", m) for i, m in enumerate((first, second, ignore))]
    return MaskFiles(tuple(paths[:2]), paths[2]), (first + second) > 0, (ignore > 0) & ~(first + second > 0)


@pytest.mark.parametrize("protocol", [Hclnet(map_size=20), WsolEval(map_size=20)])
def test_foreground_is_the_union_and_what_is_ignored_is_not_counted(files, protocol):
    mask, foreground, ignore = files
    heatmap = protocol.heatmap(np.random.default_rng(0).random((20, 20)))
    inside, outside = protocol.pixels(heatmap, protocol.levels(heatmap), mask)
    assert len(inside) == len(outside) == protocol.bins
    assert inside.sum() == foreground.sum() and outside.sum() == (~foreground & ~ignore).sum()


def test_wsoleval_pxap_equals_the_literal_one(tmp_path):
    protocol, rng = WsolEval(map_size=16), np.random.default_rng(1)
    heatmaps, masks, ignores, counts = [], [], [], []
    for i in range(5):
        foreground, ignore = rng.random((2, 16, 16)) < 0.3
        # Scores on and beside the thresholds, where a bin is easily missed by one.
        scores = rng.integers(0, 1001, (16, 16)) / 1000
        scores[rng.random((16, 16)) < 0.3] = np.nextafter(scores[0, 0], 1)
        scores[0, :2] = 0, 1
        heatmap = protocol.heatmap(scores)
        files = MaskFiles((write(tmp_path / f"m{i}.png", foreground),), write(tmp_path / f"i{i}.png", ignore))
        counts.append(protocol.pixels(heatmap, protocol.levels(heatmap), files))
        heatmaps.append(heatmap)
        masks.append(foreground)
        ignores.append(ignore & ~foreground)
    inside, outside = (np.sum(c, axis=0) for c in zip(*counts))
    assert pxap(inside, outside) == pytest.approx(wsoleval.pxap(heatmaps, masks, ignores), abs=1e-12)


def test_a_perfect_map_has_pxap_1_and_an_inverted_one_less_than_the_share_of_foreground():
    foreground = np.zeros((10, 10), dtype=bool)
    foreground[:3] = True
    none = np.zeros_like(foreground)
    perfect = count_pixels(np.where(foreground, 9, 2), foreground, none, 10)
    inverted = count_pixels(np.where(foreground, 2, 9), foreground, none, 10)
    assert pxap(*perfect) == 1.0
    assert pxap(*inverted) == pytest.approx(0.3)
    assert np.isnan(pxap(np.zeros(10), np.ones(10)))


@pytest.mark.parametrize(("gray", "ours", "theirs"), [(1, True, True), (100, False, True), (200, True, True)])
def test_from_which_gray_a_pixel_counts(tmp_path, gray, ours, theirs):
    """A mask may be 0 and 1, 0 and 255, or the mean of several people's masks as in CUB."""
    values = np.zeros((4, 4))
    values[0, 0] = gray
    values[3, 3] = 0 if gray == 1 else 255
    files = MaskFiles((write(tmp_path / "m.png", values, scale=1),))
    for protocol, expected in ((Hclnet(map_size=4), ours), (WsolEval(map_size=4), theirs)):
        heatmap = np.zeros((4, 4))
        heatmap[0, 0] = 1.0
        inside, _ = protocol.pixels(heatmap, protocol.levels(heatmap), files)
        assert bool(inside[-1]) is expected


def test_masks_of_another_size_are_sampled(tmp_path):
    values = np.zeros((40, 80))
    values[10:30, 20:60] = 1
    files = MaskFiles((write(tmp_path / "m.png", values),))
    for protocol in (Hclnet(map_size=8), WsolEval(map_size=8)):
        inside, outside = protocol.pixels(np.zeros((8, 8)), np.zeros((8, 8), dtype=np.uint8), files)
        assert (inside[0], outside[0]) == (16, 48)


def test_a_mask_that_is_missing_or_damaged_is_named(tmp_path):
    protocol = Hclnet(map_size=4)
    (tmp_path / "bad.png").write_bytes(b"no image")
    for name, message in (("gone.png", r"no mask file .*gone\.png"), ("bad.png", r"bad\.png can't be read")):
        with pytest.raises(ValueError, match=message):
            protocol.pixels(np.zeros((4, 4)), np.zeros((4, 4), dtype=np.uint8), MaskFiles((tmp_path / name,)))
