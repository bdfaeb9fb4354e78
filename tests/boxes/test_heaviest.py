"""The heaviest component against a literal flood fill, whether its box tells it or its sum."""

import cv2
import numpy as np
import pytest

from hclnet_runtime.boxes import heaviest
from hclnet_runtime.boxes.heaviest import Weights, heaviest_component
from reference import labelling


def blobs(seed, cells):
    random = np.random.default_rng(seed)
    coarse = random.random((cells, cells), dtype=np.float32)
    return cv2.resize(coarse, (40, 30), interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("kind", [np.float32, np.uint8])
def test_it_is_that_of_the_greatest_sum(kind, monkeypatch):
    summed, real = [], heaviest._summed
    monkeypatch.setattr(heaviest, "_summed", lambda *given: summed.append(1) or real(*given))
    for seed in range(60):
        pixels = blobs(seed, 4 + seed % 12) > 0.3 + 0.1 * (seed % 5)
        weight = (blobs(seed + 100, 6) ** 3 * (1 if kind is np.float32 else 255)).astype(kind)
        parts = labelling.components(pixels)
        sums = [sum(float(weight[p]) for p in part) for part in parts]
        box, boxes = heaviest_component(pixels, Weights(weight))
        assert tuple(box) == labelling.bounding_box(parts[int(np.argmax(sums))])
        assert sorted(map(tuple, boxes)) == sorted(map(labelling.bounding_box, parts))
    assert 0 < len(summed) < 30  # both ways were gone


def test_of_equal_ones_it_is_the_first_and_what_lies_in_a_ring_is_one_of_its_own():
    pixels = np.zeros((9, 20), bool)
    pixels[1:8, 1:8] = True
    pixels[2:7, 2:7] = False
    pixels[4, 4] = pixels[0, 15] = pixels[8, 15] = pixels[8, 19] = True
    weight = np.zeros(pixels.shape, np.float32)
    weight[4, 4], weight[1, 1] = 3, 1  # the box of the ring weighs more than what is in it, the ring itself less
    box, boxes = heaviest_component(pixels, Weights(weight))
    assert box.tolist() == [4, 4, 5, 5] and len(boxes) == 5
    weight[:] = 0
    weight[0, 15] = weight[8, 15] = weight[8, 19] = 2
    assert heaviest_component(pixels, Weights(weight))[0].tolist() == [15, 0, 16, 1]
