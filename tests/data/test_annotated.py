"""What is written for a tool is read again as ground truth, as is what the tools write themselves."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import hostile
from as_results import HEADER, as_results
from hclnet.data import describe, read
from hclnet.formats import ImageResult, ObjectResult, Results, Target, write_formats
from hclnet.types import DataSet
from hclnet_runtime.data.images import image_size

with warnings.catch_warnings():  # of their own making, at import
    warnings.simplefilter("ignore")
    import globox
    import supervision
    from label_studio_sdk.label_interface import LabelInterface

FILES = {
    "json": "boxes.json",
    "coco": "coco.json",
    "yolo": "yolo",
    "voc": "voc",
    "cvat": "cvat.xml",
    "label-studio": "label-studio.json",
    "csv": "boxes.csv",
    "parquet": "boxes.parquet",
}
"""What is read of each format."""

EXACT = {"voc": 0.5}
"""Pixels by which boxes may differ after reading; 0.01 by default."""


def found_in(dataset: DataSet) -> dict[str, tuple[str, list[list[float]]]]:
    """By the real path of each image its class and boxes in pixels."""
    return {
        str(s.path.resolve()): (
            dataset.classes[s.label],
            dataset.ground_truth.boxes_in(s.id, image_size(s.path)).tolist(),
        )
        for s in dataset.samples
    }


def journal(out: Path, root: Path) -> None:
    """What says where the images of results are."""
    out.mkdir(exist_ok=True)
    (out / "located.jsonl").write_text(json.dumps(HEADER | {"classes": [], "image_root": str(root)}) + "\n")


@pytest.mark.parametrize("kind", FILES)
def test_what_is_written_is_read(kind: str, tmp_path: Path):
    folder, out = tmp_path / "my photos", tmp_path / "out"
    localizations = hostile.localizations(folder)
    write_formats(as_results(localizations, ("badger, big", "fox"), folder), [kind], Target(out))
    journal(out, folder)
    dataset = read(out / FILES[kind])
    assert dataset.classes == ("badger, big", "fox") and dataset.counts().keys() == {"train", "test"}
    found = found_in(dataset)
    with_box = {one.path: one.objects[0] for one in localizations if one.objects}
    bare = len(localizations) - len(with_box)
    assert with_box.keys() <= found.keys() and len(found) == len(with_box) + bare * (kind in ("csv", "parquet"))
    for path, mine in with_box.items():
        label, boxes = found[path]
        assert label == mine.label and boxes == [pytest.approx(mine.box, abs=EXACT.get(kind, 0.01))]
    if kind not in ("csv", "parquet"):
        assert f"{bare} images without a box left out" in dataset.notes


sides = st.integers(10, 5000)
fractions = st.tuples(st.floats(0, 0.8), st.floats(0.01, 0.2))


@st.composite
def objects(draw: Callable, size: tuple[int, int], label: str) -> ObjectResult:
    (x, width), (y, height) = draw(fractions), draw(fractions)
    box = (x * size[0], y * size[1], min((x + width) * size[0], size[0]), min((y + height) * size[1], size[1]))
    return ObjectResult(label, box, draw(st.none() | st.floats(0, 1)), draw(st.none() | st.floats(0, 1)))


@st.composite
def reviewed_images(draw: Callable) -> list[tuple[tuple[int, int], str, list[ObjectResult]]]:
    made = []
    for _ in range(draw(st.integers(1, 4))):
        size, label = draw(st.tuples(sides, sides)), draw(st.sampled_from(["fox", "7", "Dachs ü, groß <&>", "no: 1"]))
        made.append((size, label, draw(st.lists(objects(size, label), min_size=1, max_size=3))))
    return made


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=15, deadline=None)
@given(images=reviewed_images())
def test_any_boxes_come_back(kind: str, images: list[tuple[tuple[int, int], str, list[ObjectResult]]]):
    """Readers open no image, so that there need be none; boxes are compared in the pixels that were written."""
    with tempfile.TemporaryDirectory() as home:
        folder, rows = Path(home, "photos"), []
        for k, (size, label, found) in enumerate(images):
            path = folder / f"sub {k % 2}" / f"{k}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            name = path.relative_to(folder).as_posix()
            rows.append(ImageResult(str(path), path, name, size, label, None, tuple(found), reviewed=True))
        results = Results(tuple(rows), ("fox",), root=folder)
        write_formats(results, [kind], Target(Path(home), "reviewed"))
        journal(Path(home), folder)
        file = Target(Path(home), "reviewed").path(FILES[kind])
        dataset = read(file)
        assert len(dataset.samples) == len(images)
        labels = {str(s.path.resolve()): (dataset.classes[s.label], s.id) for s in dataset.samples}
        for one in rows:
            label, key = labels[str(one.file.resolve())]
            boxes = dataset.ground_truth.boxes_in(key, one.size)
            assert label == one.label and len(boxes) == len(one.objects)
            for box, mine in zip(boxes.tolist(), one.objects, strict=True):
                least = EXACT.get(kind, 0.01)
                if kind == "voc":  # at least one whole pixel
                    least = max(least, 1 - min(mine.box[2] - mine.box[0], mine.box[3] - mine.box[1]) + 0.5)
                assert box == pytest.approx(mine.box, abs=least + 1e-6)


@pytest.fixture
def theirs(tmp_path: Path) -> globox.AnnotationSet:
    """Six images of two classes, each with two boxes, as globox holds them."""
    annotations = globox.AnnotationSet()
    for k in range(6):
        path = tmp_path / "photos" / f"{k} ü.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (50 + k, 40), (9 * k, 9, 9)).save(path)
        boxes = [
            globox.BoundingBox.create(label=("fox", "badger")[k % 2], coords=(x, 2 + k, x + 8, 30))
            for x in (1.0, 20.0 + k)
        ]
        annotations.add(globox.Annotation(path.name, (50 + k, 40), boxes))
    return annotations


def assert_theirs(dataset: DataSet, shift: float = 0) -> None:
    """`shift`: by how much what globox wrote counts from another number than the format."""
    assert dataset.classes == ("badger", "fox") and len(dataset.samples) == 6
    for sample in dataset.samples:
        k = int(sample.path.name[0])
        assert dataset.classes[sample.label] == ("fox", "badger")[k % 2]
        boxes = dataset.ground_truth.boxes_in(sample.id, (50 + k, 40))
        expected = [[x - shift, 2 + k - shift, x + 8, 30] for x in (1, 20 + k)]
        assert boxes == pytest.approx(np.array(expected), abs=0.01)


def test_coco_by_globox(theirs: globox.AnnotationSet, tmp_path: Path):
    theirs.save_coco(tmp_path / "photos" / "their coco.json", auto_ids=True)
    assert_theirs(read(tmp_path / "photos" / "their coco.json"))


def test_cvat_by_globox(theirs: globox.AnnotationSet, tmp_path: Path):
    theirs.save_cvat(tmp_path / "photos" / "annotations.xml")
    assert_theirs(read(tmp_path / "photos" / "annotations.xml"))
    assert_theirs(read(tmp_path / "photos"))


def test_voc_by_globox(theirs: globox.AnnotationSet, tmp_path: Path):
    """Which counts from 0, unlike the format."""
    (tmp_path / "Annotations").mkdir()
    theirs.save_pascal_voc(tmp_path / "Annotations")
    (tmp_path / "photos").rename(tmp_path / "JPEGImages")
    assert_theirs(read(tmp_path), shift=1)


def test_yolo_by_globox(theirs: globox.AnnotationSet, tmp_path: Path):
    home = tmp_path / "set" / "images"
    home.parent.mkdir()
    (tmp_path / "photos").rename(home)
    theirs.save_yolo_v5(tmp_path / "set" / "labels", label_to_id={"fox": 0, "badger": 1})
    (tmp_path / "set" / "data.yaml").write_text("train: images\nval: images\nnames: [fox, badger]\n")
    assert_theirs(read(tmp_path / "set"))


@pytest.mark.parametrize("kind", ["coco", "yolo", "voc"])
def test_what_supervision_writes(kind: str, tmp_path: Path):
    classes = ["fox", "badger"]
    paths, annotations = [], {}
    for k in range(6):
        path = str(tmp_path / "photos" / f"{k} ü.png")
        Path(path).parent.mkdir(exist_ok=True)
        Image.new("RGB", (50 + k, 40), (9 * k, 9, 9)).save(path)
        xyxy = np.array([[x, 2 + k, x + 8, 30] for x in (1, 20 + k)], dtype=np.float32)
        annotations[path] = supervision.Detections(xyxy=xyxy, class_id=np.array([k % 2] * 2))
        paths.append(path)
    data = supervision.DetectionDataset(classes, paths, annotations)
    out = tmp_path / "set"
    if kind == "coco":
        data.as_coco(str(out / "images"), str(out / "annotations" / "instances_default.json"))
    elif kind == "yolo":
        data.as_yolo(str(out / "images"), str(out / "labels"), str(out / "data.yaml"))
        with (out / "data.yaml").open("a") as file:
            file.write("\ntrain: images\nval: images\n")
    else:
        data.as_pascal_voc(str(out / "JPEGImages"), str(out / "Annotations"))
    assert_theirs(read(out))


def test_label_studio_by_its_own_library(tmp_path: Path):
    """Tasks as the export has them: a prediction, and the correction of it, which counts."""
    config = """<View><Image name="img" value="$photo"/><RectangleLabels name="tag" toName="img">
    <Label value="fox"/><Label value="badger"/><Label value="wrong"/></RectangleLabels></View>"""
    interface = LabelInterface(config)
    control = interface.get_control("tag")
    (tmp_path / "photos").mkdir()
    tasks = []
    for k in range(6):
        Image.new("RGB", (50 + k, 40)).save(tmp_path / "photos" / f"{k} ü.png")
        about = {"original_width": 50 + k, "original_height": 40, "image_rotation": 0}
        results = []
        for label, xs in (("wrong", (3,)), (("fox", "badger")[k % 2], (1, 20 + k))):
            percent = [(100 * x / (50 + k), 100 * (2 + k) / 40, 800 / (50 + k), 100 * (28 - k) / 40) for x in xs]
            values = [dict(zip(("x", "y", "width", "height"), one)) for one in percent]
            regions = [region(control, label, value) for value in values]
            results.append([one | about for one in regions])
        assert interface.validate_annotation({"result": results[1]})
        before, after = ({"id": n, "was_cancelled": False, "result": one} for n, one in enumerate(results))
        skipped = {"id": 9, "was_cancelled": True, "result": []}
        address = (
            f"/data/upload/1/0123abcd-{k}%20%C3%BC.png" if k % 2 else f"/data/local-files/?d=photos/{k}%20%C3%BC.png"
        )
        tasks.append({"id": k, "annotations": [after, before, skipped], "predictions": [], "data": {"photo": address}})
    tasks.append({"id": 7, "annotations": [], "predictions": [before], "data": {"photo": "/data/upload/1/x.png"}})
    (tmp_path / "photos" / "project-1.json").write_text(json.dumps(tasks))
    dataset = read(tmp_path / "photos" / "project-1.json")
    assert_theirs(dataset)
    assert "1 task without an annotation left out" in dataset.notes


def region(control, label: str, value: dict[str, float]) -> dict:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pydantic's, of its methods' old names
        return control.label([label], **value)._dict()


def coco_file(folder: Path, **changes: object) -> Path:
    """Two classes, of which one image has both and one none, and a crowd."""
    for name in ("a.jpg", "sub/b.jpg", "both.jpg", "none.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30)).save(folder / name)
    names = ("a.jpg", "sub\\b.jpg", "both.jpg", "none.jpg")
    images = [{"id": k, "file_name": name, "width": 40, "height": 30} for k, name in enumerate(names)]
    made = [(0, 3, 0), (1, 7, 0), (2, 3, 0), (2, 7, 0), (3, 3, 1)]
    boxes = [
        {"id": k, "image_id": image, "category_id": category, "iscrowd": crowd, "bbox": [1, 2, 30, 20]}
        for k, (image, category, crowd) in enumerate(made)
    ]
    content = {
        "images": images,
        "annotations": boxes,
        "categories": [{"id": 3, "name": "fox"}, {"id": 7, "name": "owl"}],
    }
    (folder / "boxes of us.json").write_text(json.dumps(content | changes), encoding="utf-8")
    return folder / "boxes of us.json"


def test_what_is_left_out_is_said(tmp_path: Path):
    dataset = read(coco_file(tmp_path))
    assert {s.id: dataset.classes[s.label] for s in dataset.samples} == {"a.jpg": "fox", "sub/b.jpg": "owl"}
    assert dataset.ground_truth.boxes["a.jpg"].tolist() == [[1, 2, 31, 22]] and dataset.ground_truth.sizes["a.jpg"] == (
        40,
        30,
    )
    said = describe(dataset)
    for note in (
        "1 image with boxes of several classes left out",
        "1 image without a box left out",
        "1 box of crowds left out",
        "no splits in it: split at random",
    ):
        assert note in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": []}, "has no image"),
        ({"annotations": []}, "has no image of one class: 4 images without a box left out"),
        ({"annotations": [{"id": 5, "image_id": 0, "category_id": 4, "bbox": [1, 2, 3, 4]}]}, "there is no category 4"),
        ({"annotations": [{"id": 5, "image_id": 0, "category_id": 3, "bbox": [1, 2, 3]}]}, "not enough values"),
        ({"annotations": [{"image_id": 0, "category_id": 3, "bbox": [1, 2, float("nan"), 4]}]}, "is not finite"),
        ({"annotations": [{"id": 5, "category_id": 3, "bbox": [1, 2, 3, 4]}]}, "'image_id' is missing"),
        ({"categories": None}, "can't be read as COCO detection data"),
        ({"images": [{"id": 0, "file_name": "gone.jpg"}]}, r"1 of the 1 images of .* are not there, such as gone\.jpg"),
    ],
)
def test_coco_that_is_not_as_it_has_to_be(changes: dict, said: str, tmp_path: Path):
    with pytest.raises(ValueError, match=said):
        read(coco_file(tmp_path, **changes))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.json", "{", "can't be read as JSON"),
        ("x.json", '{"info": 1}', "it has info and not images"),
        ("x.json", '[{"image_id": 1, "score": 1}]', "is a file and not a manifest"),
        ("x.json", '[{"id": 1, "annotations": 3}]', "can't be read as an export of Label Studio"),
        ("x.json", '[{"path": "a.jpg"}]', "can't be read as boxes of hclnet: 'objects' is missing"),
        ("x.xml", "<annotations><image>", "can't be read as CVAT for images"),
        ("x.xml", "<annotations><track/></annotations>", "tracks of a video; export it as CVAT for images 1.1"),
        ("x.xml", "<annotations></annotations>", "has no image"),
        ("x.xml", '<annotations><image name="a" width="inf" height="1"/></annotations>', "can't be read as CVAT"),
        (
            "x.xml",
            '<!DOCTYPE z [<!ENTITY a "'
            + "A" * 99
            + '">'
            + "".join(f'<!ENTITY {b} "{f"&{a};" * 99}">' for a, b in zip("abcde", "bcdef"))
            + "]><annotations>&f;</annotations>",
            "can't be read as CVAT",
        ),
        (
            "x.json",
            '{"images": [{"id": [1], "file_name": "a"}], "annotations": [], "categories": []}',
            "COCO detection",
        ),
        ("x.xml", "<html></html>", "is a file and not a manifest"),
        ("data.yaml", "names: [a", "can't be read as YAML"),
        ("data.yaml", "path: x", "it needs names, and train, val or test"),
        ("data.yaml", "names: 3\ntrain: x", "names is neither a list nor numbers with names"),
        ("data.yaml", "names: [a]\ntrain: gone", r"there is no .*gone, which train names"),
    ],
)
def test_files_that_are_not_as_they_have_to_be(name: str, content: str, said: str, tmp_path: Path):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=said):
        read(tmp_path / name)


@pytest.mark.parametrize(
    "line", ["0 0.5 0.5", "7 0.5 0.5 0.1 0.1", "0 a b c d", "0 nan 0.5 0.1 0.1", "0 1 2 3 4 5 6 7"]
)
def test_labels_of_yolo_that_are_none(line: str, tmp_path: Path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    (tmp_path / "images" / "a.jpg").touch()
    (tmp_path / "labels" / "a.txt").write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    (tmp_path / "data.yaml").write_text("train: images\nnames: [fox]\n")
    with pytest.raises(ValueError, match=r"a\.txt, line 2: .* is no box of a known class"):
        read(tmp_path)


def test_yolo_in_other_forms(tmp_path: Path):
    """Roboflow's paths, polygons, confidences, a list of files, names by numbers, a class without images."""
    for k, split in enumerate(("train", "train", "valid")):
        for folder, suffix, text in (
            ("images", "jpg", ""),
            ("labels", "txt", f"{k % 2 + 1} 0.1 0.2 0.5 0.2 0.5 0.6\n"),
        ):
            (tmp_path / split / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / split / folder / f"{k}.{suffix}").write_text(text)
    (tmp_path / "valid" / "labels" / "2.txt").write_text("1 0.3 0.4 0.4 0.4 0.99\n")
    (tmp_path / "val.txt").write_text("./valid/images/2.jpg\n")
    (tmp_path / "data.yaml").write_text("train: ../train/images\nval: val.txt\nnames: {0: cat, 1: fox, 2: owl}\n")
    dataset = read(tmp_path)
    assert dataset.classes == ("fox", "owl") and dataset.counts() == {"train": 2, "val": 1}
    for sample in dataset.samples:
        boxes = dataset.ground_truth.boxes_in(sample.id, (100, 200))
        assert boxes.tolist() == [pytest.approx([10, 40, 50, 120])]


def test_voc_beside_images_in_folders_of_splits(tmp_path: Path):
    text = "<annotation><filename>other.jpg</filename><object><name>{}</name><bndbox>{}</bndbox></object></annotation>"
    corners = "<xmin>1</xmin><ymin>3.0</ymin><xmax>10</xmax><ymax>20</ymax>"
    for split, label in (("train", "fox"), ("valid", "owl")):
        (tmp_path / split).mkdir()
        (tmp_path / split / "1.png").touch()
        (tmp_path / split / "1.xml").write_text(text.format(label, corners))
    dataset = read(tmp_path)
    assert dataset.kind == "Pascal VOC" and dataset.counts() == {"train": 1, "val": 1}
    assert all(box.tolist() == [[0, 2, 10, 20]] for box in dataset.ground_truth.boxes.values())
    (tmp_path / "train" / "1.xml").write_text(text.format("fox", "<xmin>1</xmin>"))
    with pytest.raises(ValueError, match=r"train/1\.xml can't be read as Pascal VOC: an object has no box"):
        read(tmp_path)


def test_turned_boxes_and_outlines_by_their_extent(tmp_path: Path):
    (tmp_path / "a.jpg").touch()
    about = {"from_name": "x", "to_name": "y", "original_width": 200, "original_height": 100}
    turned = {"x": 50, "y": 20, "width": 10, "height": 30, "rotation": 90, "rectanglelabels": ["fox"]}
    outline = {"points": [[10, 10], [30, 10], [20, 50]], "polygonlabels": ["fox"]}
    for value, box in ((turned, [70, 20, 100, 40]), (outline, [20, 10, 60, 50])):
        kind = next(key for key in value if key.endswith("labels"))
        task = {"id": 1, "annotations": [{"id": 1, "result": [{**about, "type": kind, "value": value}]}]}
        (tmp_path / "x.json").write_text(json.dumps([task | {"data": {"image": "http://x.org/deep/a.jpg"}}]))
        (found,) = read(tmp_path / "x.json").ground_truth.boxes.values()
        assert found.tolist() == [pytest.approx(box)]
    (tmp_path / "x.xml").write_text(
        '<annotations><image id="0" name="a.jpg"><polygon label="fox" points="1,2;9.5,3;4,8"/></image></annotations>'
    )
    assert next(iter(read(tmp_path / "x.xml").ground_truth.boxes.values())).tolist() == [[1, 2, 9.5, 8]]


def test_only_what_a_person_has_looked_at(tmp_path: Path):
    folder = tmp_path / "photos"
    rows = as_results(hostile.localizations(folder), ("badger, big", "fox"), folder).images
    looked = [replace(one, reviewed=k < 3) for k, one in enumerate(rows)]
    write_formats(Results(tuple(looked), (), root=folder), ["json", "label-studio"], Target(tmp_path, "reviewed"))
    journal(tmp_path, folder)
    for name in ("reviewed.json", "reviewed.label-studio.json"):
        dataset = read(tmp_path / name)
        assert len(dataset.samples) == 3 and not any("predictions" in note for note in dataset.notes)


def test_tags_are_classes_only_where_there_are_no_boxes(tmp_path: Path):
    for name in "abc":
        (tmp_path / f"{name}.jpg").touch()
    box = '<box label="fox" occluded="0" xtl="1" ytl="2" xbr="9" ybr="8"></box>'
    images = [
        f'<image id="{k}" name="{name}.jpg"><tag label="{t}"/>{{}}</image>' for k, (name, t) in enumerate(("ax", "by"))
    ]
    (tmp_path / "x.xml").write_text(f"<annotations>{''.join(images).format('', '')}</annotations>")
    assert read(tmp_path / "x.xml").classes == ("x", "y")
    (tmp_path / "x.xml").write_text(f"<annotations>{''.join(images).format(box, '')}</annotations>")
    dataset = read(tmp_path / "x.xml")
    assert dataset.classes == ("fox",) and "1 image without a box left out" in dataset.notes
    choice = {"type": "choices", "value": {"choices": ["x"]}}
    task = {"annotations": [{"result": [choice]}], "data": {"image": "/data/upload/1/a.jpg"}}
    (tmp_path / "x.json").write_text(json.dumps([{"id": 1, **task}]))
    assert read(tmp_path / "x.json").classes == ("x",)


def test_images_that_no_list_of_splits_names(tmp_path: Path):
    text = "<annotation><object><name>fox</name><bndbox>{}</bndbox></object></annotation>"
    corners = "<xmin>1</xmin><ymin>3</ymin><xmax>10</xmax><ymax>20</ymax>"
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (tmp_path / name).mkdir(parents=True)
    for k in range(3):
        (tmp_path / "Annotations" / f"{k}.xml").write_text(text.format(corners))
        (tmp_path / "JPEGImages" / f"{k}.jpg").touch()
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text("0\n2\n")
    dataset = read(tmp_path)
    assert dataset.counts() == {"val": 2} and dataset.notes == ("1 image in no split left out",)


@pytest.mark.parametrize(
    ("name", "text"),
    [("annotations/notes.json", '{"who": "me"}'), ("data.yaml", "outs: [a]\nnames: x\n"), ("x.xml", "<a/>")],
)
def test_class_folders_beside_files_of_another_kind(name: str, text: str, tmp_path: Path):
    for path in ("fox/1.png", "owl/1.png"):
        (tmp_path / path).parent.mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert read(tmp_path).classes == ("fox", "owl")


def test_a_folder_of_results_is_no_data_and_its_files_are(tmp_path: Path):
    results = as_results(hostile.localizations(tmp_path / "photos"), (), tmp_path / "photos")
    write_formats(results, ["json"], Target(tmp_path / "out"))
    journal(tmp_path / "out", tmp_path / "photos")
    with pytest.raises(ValueError, match=r"give one of its files as DATA, such as .*out/boxes\.json\."):
        read(tmp_path / "out")


def test_a_name_is_not_taken_for_that_of_another_folder(tmp_path: Path):
    """Names have a folder more than the disk, all the same one: `trip/b.jpg`, which is gone, is not `b.jpg`."""
    box = '<box label="fox" occluded="0" xtl="1" ytl="2" xbr="9" ybr="8"></box>'
    names = ("photos/a.jpg", "photos/trip/b.jpg")
    images = [f'<image id="{k}" name="{name}">{box}</image>' for k, name in enumerate(names)]
    (tmp_path / "x.xml").write_text(f"<annotations>{''.join(images)}</annotations>")
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r"1 of the 2 images of .* are not there, such as photos/trip/b\.jpg"):
        read(tmp_path / "x.xml")
    (tmp_path / "trip").mkdir()
    (tmp_path / "b.jpg").rename(tmp_path / "trip" / "b.jpg")
    assert {s.id for s in read(tmp_path / "x.xml").samples} == {"a.jpg", "trip/b.jpg"}


@pytest.mark.parametrize("file", ["reviewed.csv", "reviewed.parquet", "reviewed.json", "reviewed.label-studio.json"])
def test_an_image_in_which_a_person_saw_nothing_spoils_no_file(file: str, tmp_path: Path):
    folder = tmp_path / "photos"
    rows = as_results(hostile.localizations(folder), ("badger, big", "fox"), folder).images
    empty = replace(rows[0], objects=(), label=None, score=None)
    looked = tuple(replace(one, reviewed=True) for one in (empty, *rows[1:3]))
    journal(tmp_path, folder)
    write_formats(Results(looked, (), root=folder), FILES, Target(tmp_path, "reviewed"))
    assert len(read(tmp_path / file).samples) == 2
    write_formats(Results(looked[:1], (), root=folder), FILES, Target(tmp_path, "reviewed"))
    with pytest.raises(ValueError, match=r"has no row below its header|has no image of one class"):
        read(tmp_path / file)
