"""What is written is what other tools read: their own libraries read it here."""

from __future__ import annotations

import csv
import json
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

import hostile
from as_results import as_results
from hclnet.formats import WRITERS, Results, Target, check_formats, write_formats
from hclnet.formats.masks import at_size
from hclnet.types import Localization

with warnings.catch_warnings():  # of their own making, at import
    warnings.simplefilter("ignore")
    import globox
    import supervision
    from cvat_sdk import models as cvat_models
    from cvat_sdk.api_client.model_utils import validate_and_convert_types  # noqa: F401  the models need it
    from label_studio_sdk.label_interface import LabelInterface
    from torchvision.datasets import VOCDetection

CLASSES = ("zebra", "badger, big", "fox")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "my photos"


@pytest.fixture
def found(folder: Path) -> list[Localization]:
    return hostile.localizations(folder)


@pytest.fixture
def results(folder: Path, found: list[Localization]) -> Results:
    return as_results(found, CLASSES, folder)


def boxes(localizations: list[Localization]) -> dict[str, tuple[str, tuple[float, ...]]]:
    """By the path of an image its class and box."""
    return {one.path: (one.objects[0].label, one.objects[0].box) for one in localizations if one.objects}


def original(link: str | Path) -> str:
    return os.path.realpath(link)


def test_every_image_is_in_every_file(results: Results, tmp_path: Path):
    out = tmp_path / "out"
    write_formats(results, WRITERS, Target(out))
    names = set(hostile.NAMES)
    coco = json.loads((out / "coco.json").read_text(encoding="utf-8"))
    assert {one["file_name"] for one in coco["images"]} == names
    assert {one["name"] for one in json.loads((out / "boxes.json").read_text(encoding="utf-8"))} == names
    cvat = ElementTree.parse(out / "cvat.xml")
    assert {one.get("name") for one in cvat.iter("image")} == names
    tasks = json.loads((out / "label-studio.json").read_text(encoding="utf-8"))
    assert {one["data"]["name"] for one in tasks} == names
    with (out / "boxes.csv").open(encoding="utf-8", newline="") as file:
        assert {row["name"] for row in csv.DictReader(file)} == names
    for kind, images in (("yolo", "images"), ("voc", "JPEGImages")):
        links = [path for path in (out / kind / images).rglob("*") if path.is_file()]
        assert {original(path) for path in links} == {original(one.file) for one in results.images}
        stems = [path.relative_to(out / kind / images).with_suffix("").as_posix().casefold() for path in links]
        assert len(set(stems)) == len(names)


def test_no_image_at_all(tmp_path: Path):
    written = write_formats(as_results([], CLASSES), WRITERS, Target(tmp_path))
    assert all(path.exists() for path in written) and len(written) == 11
    assert globox.AnnotationSet.from_coco(tmp_path / "coco.json").image_ids == {}.keys()


def test_files_of_a_review_are_beside_those_of_locate(results: Results, tmp_path: Path):
    written = write_formats(results, WRITERS, Target(tmp_path, "reviewed"))
    assert {path.name for path in written} == {
        "reviewed.json",
        "reviewed.coco.json",
        "reviewed.coco-results.json",
        "reviewed.yolo",
        "reviewed.voc",
        "reviewed.cvat.xml",
        "reviewed.cvat-labels.json",
        "reviewed.label-studio.json",
        "reviewed.label-studio.xml",
        "reviewed.csv",
        "reviewed.parquet",
    }


def test_coco_with_globox(results: Results, found: list[Localization], tmp_path: Path):
    write_formats(results, ["coco"], Target(tmp_path))
    read = globox.AnnotationSet.from_coco(tmp_path / "coco.json")
    assert set(read.image_ids) == set(hostile.NAMES)
    for one in results.images:
        assert read[one.name].image_size == one.size
        for mine, theirs in zip(one.objects, read[one.name].boxes, strict=True):
            assert theirs.label == mine.label and theirs.confidence == pytest.approx(mine.score)
            assert theirs.ltrb == pytest.approx(mine.box, abs=0.011)


def test_yolo_with_supervision(folder: Path, tmp_path: Path):
    flat = tuple(name for name in hostile.NAMES if "/" not in name)  # it reads no folders in folders
    found = hostile.localizations(folder, names=flat)
    results = as_results(found, CLASSES, folder)
    write_formats(results, ["yolo"], Target(tmp_path))
    home = tmp_path / "yolo"
    for labels, sure in (("labels", False), ("labels_confidence", True)):
        read = supervision.DetectionDataset.from_yolo(str(home / "images"), str(home / labels), str(home / "data.yaml"))
        assert read.classes == list(CLASSES) and len(read) == len(flat)
        theirs = {original(path): annotations for path, _, annotations in read}
        for path, (label, box) in boxes(found).items():
            (class_id,), (corners,) = theirs[original(path)].class_id, theirs[original(path)].xyxy
            assert CLASSES[class_id] == label and corners == pytest.approx(box, abs=0.01)
        assert sure or all(len(line.split()) == 5 for line in lines_in(home / labels))


def lines_in(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*.txt"):
        yield from path.read_text(encoding="utf-8").splitlines()


def test_yolo_as_ultralytics_reads_it(results: Results, tmp_path: Path):
    """Labels by the rule of its `img2label_paths`, lines by those of its `verify_image_label`."""
    write_formats(results, ["yolo"], Target(tmp_path))
    home = tmp_path / "yolo"
    data = yaml.safe_load((home / "data.yaml").read_text(encoding="utf-8"))
    assert data["names"] == dict(enumerate(CLASSES)) and data["train"] == data["val"] == "images"
    seen = {}
    for path in (p for p in (home / data["train"]).rglob("*") if p.is_file()):
        before, _, after = str(path).rpartition(f"{os.sep}images{os.sep}")
        label = Path(f"{before}{os.sep}labels{os.sep}{after}".rpartition(".")[0] + ".txt")
        assert label.is_file(), "an image without an object has an empty file"
        rows = [list(map(float, line.split())) for line in label.read_text().splitlines()]
        assert all(len(row) == 5 and min(row) >= 0 and max(row[1:]) <= 1 and row[0] < len(CLASSES) for row in rows)
        seen[original(path)] = rows
    assert {path for path, rows in seen.items() if not rows} == {
        original(one.file) for one in results.images if one.name in hostile.BARE
    }


def test_voc_with_supervision_and_torchvision(folder: Path, tmp_path: Path):
    flat = ("a.jpg", "b.jpg", "two words #1 100%+?.jpg", "für dich.jpg", "d.o.t.jpg")
    found = hostile.localizations(folder, names=flat)
    write_formats(as_results(found, CLASSES, folder), ["voc"], Target(tmp_path))
    home = tmp_path / "voc"
    read = supervision.DetectionDataset.from_pascal_voc(str(home / "JPEGImages"), str(home / "Annotations"))
    theirs = {original(path): annotations for path, _, annotations in read}
    for path, (label, box) in boxes(found).items():
        (class_id,), (corners,) = theirs[original(path)].class_id, theirs[original(path)].xyxy
        assert read.classes[class_id] == label and corners == pytest.approx(np.round(box), abs=1e-3)
    (tmp_path / "VOCdevkit").mkdir()
    (tmp_path / "VOCdevkit" / "VOC2012").symlink_to(home)
    data = VOCDetection(tmp_path, image_set="trainval")
    assert len(data) == len(flat)
    for (image, target), one in zip(data, found):
        about = target["annotation"]
        assert image.size == one.size == (int(about["size"]["width"]), int(about["size"]["height"]))
        (element,) = about["object"]
        assert element["name"] == one.objects[0].label and (element["truncated"], element["difficult"]) == ("0", "0")
        corners = [int(element["bndbox"][name]) for name in ("xmin", "ymin", "xmax", "ymax")]
        assert min(corners) >= 1 and corners[2] <= one.size[0] and corners[3] <= one.size[1]


def test_voc_with_globox(results: Results, tmp_path: Path):
    """Its boxes count from 0 where VOC's count from 1."""
    write_formats(results, ["voc"], Target(tmp_path))
    for path in (tmp_path / "voc" / "Annotations").rglob("*.xml"):
        read = globox.Annotation.from_pascal_voc(path)
        image = tmp_path / "voc" / "JPEGImages" / read.image_id
        assert image.is_file() and image.with_suffix("").name == path.with_suffix("").name
        one = next(one for one in results.images if original(one.file) == original(image))
        for mine, theirs in zip(one.objects, read.boxes, strict=True):
            x0, y0, x1, y1 = theirs.ltrb
            assert (x0 - 1, y0 - 1, x1, y1) == pytest.approx(np.round(mine.box), abs=1e-6)


def test_cvat_with_globox(results: Results, tmp_path: Path):
    write_formats(results, ["cvat"], Target(tmp_path))
    read = globox.AnnotationSet.from_cvat(tmp_path / "cvat.xml")
    assert set(read.image_ids) == set(hostile.NAMES)
    for one in results.images:
        assert read[one.name].image_size == one.size
        for mine, theirs in zip(one.objects, read[one.name].boxes, strict=True):
            assert theirs.label == mine.label and theirs.ltrb == pytest.approx(mine.box, abs=0.006)


def test_cvat_has_what_its_importer_asks_for(folder: Path, tmp_path: Path):
    """`<meta>`, `id` and `name` of an image, `label` and `occluded` of a shape, whole numbers of a mask."""
    found = hostile.localizations(folder, masks=True)
    write_formats(as_results(found, CLASSES, folder), ["cvat"], Target(tmp_path))
    root = ElementTree.parse(tmp_path / "cvat.xml").getroot()
    assert root.tag == "annotations" and root.findtext("version") == "1.1"
    labels = json.loads((tmp_path / "cvat-labels.json").read_text(encoding="utf-8"))
    assert [one.findtext("name") for one in root.find("meta").iter("label")] == [one["name"] for one in labels]
    declared = {attribute["name"] for attribute in labels[0]["attributes"]}
    assert [int(image.get("id")) for image in root.iter("image")] == list(range(len(found)))
    for image, one in zip(root.iter("image"), found):
        boxes, masks = image.findall("box"), image.findall("mask")
        assert len(boxes) == len(masks) == len(one.objects)
        for shape in (*boxes, *masks):
            assert shape.get("occluded") == "0" and shape.get("label") == one.objects[0].label
            assert {attribute.get("name") for attribute in shape} <= declared
            assert float(shape[0].text) == pytest.approx(one.objects[0].score, abs=1e-6)
        for mask in masks:
            left, top, width, height = (int(mask.get(name)) for name in ("left", "top", "width", "height"))
            runs = [int(run) for run in mask.get("rle").split(",")]
            assert sum(runs) == width * height
            pixels = np.zeros(one.size[::-1], bool)
            part = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
            pixels[top : top + height, left : left + width] = part
            np.testing.assert_array_equal(pixels, at_size(one.objects[0].mask, one.size))


def test_cvats_own_models_take_the_labels(results: Results, tmp_path: Path):
    write_formats(results, ["cvat"], Target(tmp_path))
    labels = json.loads((tmp_path / "cvat-labels.json").read_text(encoding="utf-8"))
    for label in labels:
        attributes = [cvat_models.AttributeRequest(**one) for one in label["attributes"]]
        made = cvat_models.PatchedLabelRequest(name=label["name"], attributes=attributes, type=label["type"])
        assert made.name in CLASSES and [one.name for one in made.attributes] == ["score", "agreement"]


@pytest.mark.parametrize("masks", [False, True])
def test_label_studio_with_its_own_validation(folder: Path, tmp_path: Path, masks: bool):
    found = hostile.localizations(folder, masks=masks)
    write_formats(as_results(found, CLASSES, folder), ["label-studio"], Target(tmp_path))
    interface = LabelInterface((tmp_path / "label-studio.xml").read_text(encoding="utf-8"))
    interface.validate()
    tasks = json.loads((tmp_path / "label-studio.json").read_text(encoding="utf-8"))
    for task, one in zip(tasks, found, strict=True):
        (prediction,) = task["predictions"]
        assert interface.validate_prediction(prediction, return_errors=True) == []
        assert prediction["model_version"] == "hclnet 1.0 runs/mine 01234567"
        (image,) = interface.objects
        assert task["data"][image.value_name].startswith("/data/local-files/")
        regions = [region for region in prediction["result"] if region["type"] == "rectanglelabels"]
        assert len(regions) == len(one.objects) and (len(prediction["result"]) > len(regions)) is (
            masks and bool(regions)
        )
        for region, mine in zip(regions, one.objects):
            width, height = region["original_width"], region["original_height"]
            value = region["value"]
            x0, y0 = value["x"] * width / 100, value["y"] * height / 100
            x1, y1 = x0 + value["width"] * width / 100, y0 + value["height"] * height / 100
            assert (width, height) == one.size and (x0, y0, x1, y1) == pytest.approx(mine.box)
            assert (region["score"], region["meta"]["agreement"]) == pytest.approx(
                (mine.score, mine.agreement), abs=1e-3
            )
            assert region["image_rotation"] == 0 and prediction["score"] == pytest.approx(mine.score)


def test_label_studio_is_told_where_the_images_are(results: Results, folder: Path, tmp_path: Path):
    """By its rule: a path below the document root, decoded as a query is, in a storage that is a folder in the root."""
    write_formats(results, ["label-studio"], Target(tmp_path))
    for task, one in zip(json.loads((tmp_path / "label-studio.json").read_text(encoding="utf-8")), results.images):
        address = urlsplit(task["data"]["image"])
        assert address.path == "/data/local-files/" and not address.fragment
        (path,) = parse_qs(address.query, strict_parsing=True)["d"]
        assert folder.parent / path == one.file and re.fullmatch(r"[\w.\-~/%]+", address.query.removeprefix("d="))


def test_what_label_studio_refuses_is_refused_here(results: Results, tmp_path: Path):
    """The validation looks: a class that the configuration does not have is found."""
    write_formats(results, ["label-studio"], Target(tmp_path))
    config = (tmp_path / "label-studio.xml").read_text(encoding="utf-8").replace('value="fox"', 'value="wolf"')
    tasks = json.loads((tmp_path / "label-studio.json").read_text(encoding="utf-8"))
    errors = [LabelInterface(config).validate_prediction(t["predictions"][0], return_errors=True) for t in tasks]
    assert any(errors)


def test_parquet_without_its_package(results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hclnet.formats.table.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'hclnet\[parquet\]'"):
        check_formats(["csv", "parquet"])
    check_formats(["csv"])
