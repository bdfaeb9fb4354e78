"""The COCO data set is one that COCO's own tools take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pycocotools.coco import COCO

from hclnet.annotate import coco_dataset, write_coco
from hclnet.types import Localization

CLASSES = ("z", "a", "b")


def test_pycocotools_loads_it(localizations: list[Localization], tmp_path: Path):
    write_coco(localizations, CLASSES, tmp_path / "coco.json")
    coco = COCO(str(tmp_path / "coco.json"))
    assert {c["id"]: c["name"] for c in coco.loadCats(coco.getCatIds())} == {1: "z", 2: "a", 3: "b"}
    images = coco.loadImgs(coco.getImgIds())
    assert [(i["file_name"], i["width"], i["height"]) for i in images] == [
        (one.path, *one.size) for one in localizations
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
    write_coco(localizations, CLASSES, path)
    truth = COCO(str(path))
    results = truth.loadRes(json.loads(path.read_text(encoding="utf-8"))["annotations"])
    scorer = COCOeval(truth, results, "bbox")
    scorer.evaluate()
    scorer.accumulate()
    scorer.summarize()
    assert scorer.stats[0] == pytest.approx(1.0)


def test_ids_are_unique_and_count_from_one(localizations: list[Localization]):
    dataset = coco_dataset([*localizations, *localizations], CLASSES)
    assert [i["id"] for i in dataset["images"]] == [1, 2, 3, 4]
    assert [a["id"] for a in dataset["annotations"]] == [1, 2, 3, 4]
    assert [a["image_id"] for a in dataset["annotations"]] == [1, 1, 3, 3]


def test_nothing_located(tmp_path: Path):
    write_coco([], CLASSES, tmp_path / "coco.json")
    assert COCO(str(tmp_path / "coco.json")).getImgIds() == []
