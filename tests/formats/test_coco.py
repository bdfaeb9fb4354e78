"""The COCO data set is one that COCO's own tools take."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from as_results import as_results
from hclnet.formats import Target
from hclnet.formats.coco import coco_dataset, write
from hclnet.formats.masks import at_size
from hclnet.types import Localization, LocatedObject


def test_pycocotools_loads_it(localizations: list[Localization], tmp_path: Path):
    write(as_results(localizations), Target(tmp_path))
    coco = COCO(str(tmp_path / "coco.json"))
    assert {c["id"]: c["name"] for c in coco.loadCats(coco.getCatIds())} == {1: "z", 2: "a", 3: "b"}
    images = coco.loadImgs(coco.getImgIds())
    assert [(i["file_name"], i["width"], i["height"]) for i in images] == [
        (Path(one.path).name, *one.size) for one in localizations
    ]
    found = coco.loadAnns(coco.getAnnIds(imgIds=images[0]["id"]))
    assert [(coco.cats[a["category_id"]]["name"], a["score"]) for a in found] == [("b", 0.75), ("a", 0.2)]
    x, y, width, height = found[0]["bbox"]
    assert (x, y, x + width, y + height) == pytest.approx((10.13, 5.0, 50.5, 40.0))
    assert found[0]["area"] == pytest.approx(width * height, abs=0.01)
    assert coco.getAnnIds(catIds=coco.getCatIds(catNms=["z"])) == []
    assert coco.getAnnIds(imgIds=images[1]["id"]) == []


def test_its_annotations_can_be_scored_as_detections(localizations: list[Localization], tmp_path: Path):
    from pycocotools.cocoeval import COCOeval

    path = tmp_path / "coco.json"
    write(as_results(localizations), Target(tmp_path))
    ground_truth = COCO(str(path))
    results = ground_truth.loadRes(json.loads(path.read_text(encoding="utf-8"))["annotations"])
    scorer = COCOeval(ground_truth, results, "bbox")
    scorer.evaluate()
    scorer.accumulate()
    scorer.summarize()
    assert scorer.stats[0] == pytest.approx(1.0)


@pytest.mark.parametrize("masks", [False, True])
def test_pycocotools_shows_and_fills_what_is_annotated(localizations: list[Localization], tmp_path: Path, masks: bool):
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    mask = np.zeros((8, 8), bool)
    mask[2:5, 1:7] = True
    found = [replace(o, mask=mask if masks else None) for o in localizations[0].objects]
    write(as_results([replace(localizations[0], objects=tuple(found)), localizations[1]]), Target(tmp_path))
    coco = COCO(str(tmp_path / "coco.json"))
    annotations = coco.loadAnns(coco.getAnnIds())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pycocotools' own arrays, in NumPy 2
        coco.showAnns(annotations)
        filled = [coco.annToMask(one) for one in annotations]
    axes = plt.gca()
    assert len(axes.images if masks else axes.collections[0].get_paths()) == 2
    plt.close("all")
    for one, pixels in zip(annotations, filled):
        assert pixels.shape == (60, 90) and one["iscrowd"] == 0
        if masks:
            assert pixels.sum() == one["area"] == at_size(mask, (90, 60)).sum()
        else:
            x, y, width, height = one["bbox"]
            assert pixels[round(y) : round(y + height), round(x) : round(x + width)].all()
            assert pixels.sum() == pytest.approx(one["area"], rel=0.03)


def test_a_mask_that_no_pixel_of_the_image_is_in_gives_way_to_the_box(localizations: list[Localization]):
    mask = np.zeros((8, 8), bool)
    mask[0, 7] = True
    tiny = LocatedObject("b", 0.5, (0.0, 0.0, 1.0, 1.0), mask)
    (one,) = coco_dataset(as_results([replace(localizations[0], size=(1, 1), objects=(tiny,))]))["annotations"]
    assert one["segmentation"] == [[0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0]] and one["area"] == 1


@pytest.mark.parametrize(
    ("path", "root", "name"),
    [
        ("p/a.png", "p", "a.png"),
        ("p/sub/a ü.png", "p", "sub/a ü.png"),
        ("p/a.png", ".", "p/a.png"),
        ("p/../q/a.png", "q", "a.png"),
        ("p/a.png", None, "a.png"),
    ],
)
def test_names_are_relative_to_the_root(localizations: list[Localization], path: str, root: str | None, name: str):
    one = replace(localizations[0], path=path)
    (image,) = coco_dataset(as_results([one], root=None if root is None else Path(root)))["images"]
    assert image["file_name"] == name


def test_ids_are_unique_and_count_from_one(localizations: list[Localization]):
    dataset = coco_dataset(as_results([*localizations, *localizations]))
    assert [i["id"] for i in dataset["images"]] == [1, 2, 3, 4]
    assert [a["id"] for a in dataset["annotations"]] == [1, 2, 3, 4]
    assert [a["image_id"] for a in dataset["annotations"]] == [1, 1, 3, 3]


def test_nothing_located(tmp_path: Path):
    write(as_results([]), Target(tmp_path))
    assert COCO(str(tmp_path / "coco.json")).getImgIds() == []


def test_the_average_precision_is_that_of_the_boxes_before_they_were_written(tmp_path: Path):
    """Of 40 images with random boxes, by pycocotools, before writing and after reading the list of results."""
    from pycocotools.cocoeval import COCOeval

    random = np.random.default_rng(3)
    images, before = [], []
    for k in range(40):
        size = (int(random.integers(60, 900)), int(random.integers(60, 900)))
        corners = np.sort(random.uniform(0.05, 0.95, (2, 2)), axis=0) * size
        noise = corners + random.normal(0, 0.06, (2, 2)) * (corners[1] - corners[0])
        box = tuple(float(v) for v in (*noise.min(0), *noise.max(0)))
        found = LocatedObject("ab"[k % 2], float(random.uniform(0.01, 1)), box)
        images.append((Localization(f"{k}.jpg", size, (found,), ((found.label, found.score),), {}, {}), corners))
        before.append([k + 1, *box[:2], box[2] - box[0], box[3] - box[1], found.score, 2 + k % 2])
    write(as_results([one for one, _ in images]), Target(tmp_path))
    ground_truth = json.loads((tmp_path / "coco.json").read_text(encoding="utf-8"))
    for annotation, (_, ((x0, y0), (x1, y1))) in zip(ground_truth["annotations"], images):
        annotation |= {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
    (tmp_path / "truth.json").write_text(json.dumps(ground_truth))
    coco = COCO(str(tmp_path / "truth.json"))
    scores = []
    for results in (np.array(before), str(tmp_path / "coco-results.json")):
        scorer = COCOeval(coco, coco.loadRes(results), "bbox")
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
        scores.append(scorer.stats)
    assert 0.1 < scores[0][0] < 0.9 and scores[0] == pytest.approx(scores[1], abs=1e-4)
