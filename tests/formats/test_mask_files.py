import json

import numpy as np
import pytest
from PIL import Image

from as_results import as_results
from hclnet.formats import Target
from hclnet.formats.coco import coco_dataset, write
from hclnet.formats.masks import at_size, run_lengths
from hclnet.formats.overlay import save_pictures
from hclnet.types import Localization, LocatedObject


def decoded(rle):
    """COCO's definition: counts of zeros and ones in turns, columns first."""
    flat = [value % 2 for value, count in enumerate(rle["counts"]) for _ in range(count)]
    height, width = rle["size"]
    return np.array(flat, dtype=bool).reshape(width, height).T


@pytest.mark.parametrize("seed", range(4))
def test_run_lengths_are_cocos(seed):
    mask = np.random.default_rng(seed).random((5, 7)) < 0.5
    rle = run_lengths(mask)
    np.testing.assert_array_equal(decoded(rle), mask)
    assert rle["size"] == [5, 7] and all(count > 0 for count in rle["counts"][1:])
    assert json.loads(json.dumps(rle)) == rle


def test_run_lengths_by_hand():
    assert run_lengths(np.array([[0, 1], [0, 1]], bool)) == {"size": [2, 2], "counts": [2, 2]}
    assert run_lengths(np.array([[1, 0], [0, 0]], bool)) == {"size": [2, 2], "counts": [0, 1, 3]}
    assert run_lengths(np.ones((2, 3), bool))["counts"] == [0, 6]
    assert run_lengths(np.zeros((2, 3), bool))["counts"] == [6]


def test_at_size_each_pixel_is_that_of_its_center():
    mask = np.array([[1, 0], [0, 1]], bool)
    large = at_size(mask, (5, 4))
    assert large.tolist() == [[mask[int((y + 0.5) / 2), int((x + 0.5) / 2.5)] for x in range(5)] for y in range(4)]


@pytest.fixture
def located(tmp_path):
    mask = np.zeros((8, 8), bool)
    mask[2:6, 0:4] = True
    objects = (
        LocatedObject("owl", 0.9, (0.0, 10.0, 30.0, 30.0), mask),
        LocatedObject("owl", 0.4, (30.0, 10.0, 60.0, 30.0), ~mask),
    )
    return Localization("a.jpg", (60, 40), objects, (("owl", 0.9),), {"owl": np.zeros((8, 8), np.float32)}, {})


def test_masks_are_files_of_the_images_size_and_in_coco(located, tmp_path):
    save_pictures(located, tmp_path, "sub/a", {"masks"})
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.png")) == [
        "masks/sub/a-1.png",
        "masks/sub/a-2.png",
    ]
    write(as_results([located], ["owl", "kite"]), Target(tmp_path))
    annotations = json.loads((tmp_path / "coco.json").read_text())["annotations"]
    for k, annotation in enumerate(annotations, 1):
        with Image.open(tmp_path / "masks" / "sub" / f"a-{k}.png") as picture:
            pixels = np.asarray(picture)
        assert pixels.shape == (40, 60) and set(np.unique(pixels)) == {0, 255}
        np.testing.assert_array_equal(decoded(annotation["segmentation"]), pixels == 255)
        assert annotation["area"] == (pixels == 255).sum()


def test_without_masks_the_segmentation_is_the_box(located):
    bare = Localization(
        "a.jpg", (60, 40), (LocatedObject("owl", 0.9, (0.0, 0.0, 30.0, 30.0)),), (("owl", 0.9),), {}, {}
    )
    (annotation,) = coco_dataset(as_results([bare], ["owl"]))["annotations"]
    assert annotation["segmentation"] == [[0, 0, 30, 0, 30, 30, 0, 30]] and annotation["area"] == 900
