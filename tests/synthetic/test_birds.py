"""The drawn data set: same seed, same bytes; exact ground truth; and a body that tells as much as it is asked to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hclnet import synthetic as parts
from hclnet.synthetic import PartsOptions, class_names, draw, write
from hclnet.synthetic.bird import PARTS, Bird
from hclnet.synthetic.pose import Pose
from hclnet.synthetic.species import SPECIES, plumage

SMALL = PartsOptions(classes=3, train=2, test=1, size=96)


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def drawings() -> list[parts.Drawing]:
    options = PartsOptions(classes=16, seed=4)
    return [draw(options, split, label, 0) for label in range(16) for split in parts.SPLITS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("parts")
    write(SMALL, root)
    return root


def lines(folder: Path, name: str) -> list[list[str]]:
    return [line.split() for line in (folder / name).read_text().splitlines()]


def test_same_options_same_bytes(folder: Path, tmp_path: Path):
    write(SMALL, tmp_path)
    assert files(tmp_path) == files(folder)


def test_workers_do_not_change_the_bytes(folder: Path, tmp_path: Path):
    write(SMALL, tmp_path, workers=2)
    assert files(tmp_path) == files(folder)


@pytest.mark.parametrize("other", [("train", 0, 1), ("train", 1, 0), ("test", 0, 0)])
def test_every_image_is_another(other: tuple[str, int, int]):
    assert not np.array_equal(draw(SMALL, "train", 0, 0).image, draw(SMALL, *other).image)


def test_another_seed_draws_another_image():
    assert not np.array_equal(draw(SMALL, "train", 0, 0).mask, draw(replace(SMALL, seed=1), "train", 0, 0).mask)


def test_an_image_does_not_depend_on_how_many_there_are():
    grown = replace(SMALL, train=50, test=9)
    assert np.array_equal(draw(SMALL, "train", 1, 1).image, draw(grown, "train", 1, 1).image)


def test_the_box_is_the_extent_of_the_mask(drawings: list[parts.Drawing]):
    for drawing in drawings:
        x0, y0, x1, y1 = (int(v) for v in drawing.box)
        inside = drawing.mask[y0:y1, x0:x1]
        assert inside.sum() == drawing.mask.sum()
        assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
        assert 0.05 < inside.size / drawing.mask.size < 0.65


def test_the_parts_make_up_the_mask_without_overlap(drawings: list[parts.Drawing]):
    for drawing in drawings:
        assert tuple(drawing.parts) == PARTS[1:]
        assert np.array_equal(np.sum(list(drawing.parts.values()), axis=0), drawing.mask.astype(int))


def test_the_class_is_on_a_small_share_of_the_bird(drawings: list[parts.Drawing]):
    for drawing in drawings:
        pixels = {name: int(mask.sum()) for name, mask in drawing.parts.items()}
        assert max(pixels, key=pixels.__getitem__) == "body"
        assert 0.04 < sum(pixels[name] for name in ("head", "beak", "crown")) / drawing.mask.sum() < 0.30


def test_sizes_are_kept():
    drawing = draw(replace(SMALL, size=65), "test", 2, 0)
    assert drawing.image.shape == (65, 65, 3) and drawing.image.dtype == np.uint8
    assert drawing.mask.shape == (65, 65) and drawing.mask.dtype == bool


def test_without_a_body_cue_plumage_does_not_look_at_the_label():
    for seed in range(50):
        first, *others = (plumage(np.random.default_rng(seed), label, 8, 0.0) for label in range(8))
        assert all(other == first for other in others)


def gap(body_cue: float) -> float:
    """Distance between the mean breast colors of two opposite species, 0..255."""
    rngs = [np.random.default_rng(k) for k in range(2)]
    means = [
        np.mean([plumage(rng, 4 * k, 8, body_cue).breast for _ in range(400)], axis=0) for k, rng in enumerate(rngs)
    ]
    return float(np.linalg.norm(means[0] - means[1]))


def test_plumage_tells_more_as_the_cue_grows():
    assert gap(0.0) < 10 < 1.5 * gap(0.0) + 10 < gap(0.5) < gap(1.0)


def test_the_cue_changes_the_plumage_only():
    plain, told = (draw(replace(SMALL, body_cue=cue), "train", 1, 0) for cue in (0.0, 1.0))
    assert all(np.array_equal(plain.parts[name], told.parts[name]) for name in plain.parts)


def test_place_and_size_say_nothing_of_the_species():
    pose = Pose.drawn(np.random.default_rng(0))
    coat = plumage(np.random.default_rng(0), 0, 16, 0.5)
    first, *others = (Bird(pose, species, coat).reach() for species in SPECIES)
    assert all(np.array_equal(first, other) for other in others)


def test_names_and_looks_are_unique():
    names = class_names(PartsOptions(classes=16))
    assert len(set(names)) == 16 and len({replace(species, name="") for species in SPECIES}) == 16


def test_the_text_files_agree(folder: Path):
    images = lines(folder, "images.txt")
    assert [number for number, _ in images] == [str(k) for k in range(1, 10)]
    for name in ("image_class_labels.txt", "train_test_split.txt", "bounding_boxes.txt"):
        assert [row[0] for row in lines(folder, name)] == [number for number, _ in images]
    classes = dict(lines(folder, "classes.txt"))
    assert [name.split(".")[1] for name in classes.values()] == list(class_names(SMALL))
    labels, train = dict(lines(folder, "image_class_labels.txt")), dict(lines(folder, "train_test_split.txt"))
    for number, name in images:
        assert name.split("/")[0] == classes[labels[number]]
        assert train[number] == str(int("_train_" in name))
    assert sorted(train.values()) == ["0"] * 3 + ["1"] * 6
    assert json.loads((folder / "parts.json").read_text())["body_cue"] == SMALL.body_cue


def test_the_pictures_agree_with_the_text(folder: Path):
    numbers = {name: int(k) for k, name in lines(folder, "part_masks/parts.txt")}
    boxes = {row[0]: [float(v) for v in row[1:]] for row in lines(folder, "bounding_boxes.txt")}
    for number, name in lines(folder, "images.txt"):
        image = cv2.imread(str(folder / "images" / name))
        mask = cv2.imread(str(folder / "segmentations" / name.replace(".jpg", ".png")), cv2.IMREAD_UNCHANGED)
        ids = cv2.imread(str(folder / "part_masks" / name.replace(".jpg", ".png")), cv2.IMREAD_UNCHANGED)
        assert image.shape == (96, 96, 3) and set(np.unique(mask)) == {0, 255}
        assert np.array_equal(ids > 0, mask > 0) and ids.max() < len(numbers)
        assert boxes[number] == list(cv2.boundingRect(mask))
        assert (ids == numbers["body"]).sum() > (ids == numbers["head"]).sum() > 0


def test_progress_counts_images(tmp_path: Path):
    seen: list[tuple[int, int]] = []
    write(replace(SMALL, classes=1), tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": 0}, "classes is 0"),
        ({"classes": 17}, "from 1 to 16"),
        ({"size": 32}, "size is 32"),
        ({"body_cue": 1.5}, "body_cue is 1.5"),
        ({"clutter": float("nan")}, "clutter is nan"),
        ({"train": 0, "test": 0}, "both 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_options_out_of_range(change: dict[str, float], message: str):
    with pytest.raises(ValueError, match=message):
        PartsOptions(**change)


def test_no_such_split_or_class():
    with pytest.raises(ValueError, match="split 'val'"):
        draw(SMALL, "val", 0, 0)
    with pytest.raises(ValueError, match="label from 0 to 2"):
        draw(SMALL, "train", 3, 0)
    with pytest.raises(ValueError, match="workers is 0"):
        write(SMALL, "unused", workers=0)
