"""Photographs as people have them, located and written in every format: turned ones, odd names, names alike."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import hclnet
import hostile
from hclnet.data import read
from hclnet.formats import WRITERS

pytestmark = pytest.mark.precision

TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How the pixels of an upright picture lie in a file with this EXIF orientation."""


@pytest.fixture(scope="module")
def located(birds: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the photographs, and in it `located`."""
    folder = tmp_path_factory.mktemp("photographs")
    with Image.open(next((birds / "images").rglob("*.jpg"))) as picture:
        upright = picture.convert("RGB").crop((0, 0, picture.width, picture.height * 3 // 4))
    for orientation, turn in TURNS.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        lying = upright if turn is None else upright.transpose(turn)
        lying.save(folder / f"turned {orientation}.png", exif=exif)
    for name in hostile.NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        upright.save(folder / name)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no image")
    found = hclnet.locate_files(
        folder, trained, folder / "located", device="cpu", formats=list(WRITERS), save=["masks"]
    )
    assert len(found.localizations) == 8 + len(hostile.NAMES) and len(found.left_out) == 1
    return folder


def sizes(folder: Path) -> Iterator[dict[str, tuple[int, int]]]:
    """By name, the sizes that each format says."""
    out = folder / "located"
    yield {one["name"]: tuple(one["size"]) for one in json.loads((out / "boxes.json").read_text())}
    coco = json.loads((out / "coco.json").read_text())
    yield {one["file_name"]: (one["width"], one["height"]) for one in coco["images"]}
    cvat = ElementTree.parse(out / "cvat.xml")
    yield {one.get("name"): (int(one.get("width")), int(one.get("height"))) for one in cvat.iter("image")}
    for path in (out / "voc" / "Annotations").glob("turned*.xml"):
        size = ElementTree.parse(path).find("size")
        yield {f"{path.stem}.png": (int(size.findtext("width")), int(size.findtext("height")))}
    for task in json.loads((out / "label-studio.json").read_text()):
        for region in task["predictions"][0]["result"]:
            yield {task["data"]["name"]: (region["original_width"], region["original_height"])}


def test_turned_photographs_have_the_boxes_of_the_upright_one(located: Path):
    with Image.open(located / "turned 1.png") as picture:
        upright = picture.size
    seen = [(name, size) for one in sizes(located) for name, size in one.items() if name.startswith("turned")]
    assert len(seen) > 30 and {size for _, size in seen} == {upright}
    entries = json.loads((located / "located" / "boxes.json").read_text())
    boxes = [one["objects"] for one in entries if one["name"].startswith("turned")]
    assert len(boxes) == 8 and all(objects == boxes[0] for objects in boxes)


@pytest.mark.parametrize(
    "file", ["boxes.json", "coco.json", "yolo", "voc", "cvat.xml", "label-studio.json", "boxes.csv", "boxes.parquet"]
)
def test_every_file_is_data_again(located: Path, file: str):
    """From where it lies; boxes of one image are the same in all formats."""
    dataset = read(located / "located" / file)
    entries = {one["name"]: one for one in json.loads((located / "located" / "boxes.json").read_text())}
    with_box = {name for name, one in entries.items() if one["objects"]}
    assert with_box and len(dataset.ground_truth.boxes) == len(with_box)
    for sample in dataset.samples:
        one = entries[sample.path.resolve().relative_to(located).as_posix()]
        if one["objects"]:
            boxes = dataset.ground_truth.boxes_in(sample.id, tuple(one["size"]))
            expected = [found["box"] for found in one["objects"]]
            np.testing.assert_allclose(boxes, expected, atol=0.51 if file == "voc" else 0.02)


def test_in_the_pixels_of_the_upright_image_there_is_nothing_to_mend(hclnet_check, located: Path):
    for file in ("coco.json", "voc", "yolo", "cvat.xml"):
        assert "another shape" not in hclnet_check(located / "located" / file)


@pytest.fixture
def hclnet_check():
    from typer.testing import CliRunner

    from hclnet.cli.app import app

    return lambda data: CliRunner().invoke(app, ["data", "check", str(data)]).stdout


def test_boxes_that_were_drawn_before_the_image_was_turned(located: Path, trained: Path, tmp_path: Path):
    """As by a tool that ignores EXIF: width and height are exchanged."""
    data = json.loads((located / "located" / "coco.json").read_text())
    for image in data["images"]:
        image["width"], image["height"] = image["height"], image["width"]
    shutil.copytree(located, tmp_path / "photos", ignore=shutil.ignore_patterns("located"))
    (tmp_path / "photos" / "coco.json").write_text(json.dumps(data))
    said: list[str] = []
    dataset = hclnet.read(tmp_path / "photos" / "coco.json")
    hclnet.evaluate(trained, dataset, "all", device="cpu", report=False, out=tmp_path / "out", log=said.append)
    assert any("had width and height exchanged when they were drawn" in line for line in said)
