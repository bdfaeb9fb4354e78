"""ILSVRC CLS-LOC in the forms that it comes in, and what is said of what contradicts itself or is missing."""

from __future__ import annotations

import builtins
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from hclnet.data import for_training, ilsvrc, read
from hclnet.data.check import examine

WNIDS = ("n00000001", "n00000002", "n00000003")
ORDER = ("n00000003", "n00000001", "n00000002")  # by ILSVRC's numbers 1, 2, 3
TRUTH = {1: "n00000002", 2: "n00000003", 3: "n00000001", 4: "n00000002"}  # by number of the image
BOXES = {1: [[1, 1, 5, 5], [2, 0, 8, 6]], 2: [[0, 0, 8, 6]], 3: [[3, 2, 4, 3]], 4: [[1, 2, 3, 4]]}


def name(number: int) -> str:
    return f"ILSVRC2012_val_{number:08d}"


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(path, "JPEG")


def box_file(path: Path, wnid: str, boxes: list[list[int]], size: tuple[int, int] = (8, 6)) -> None:
    objects = "".join(
        f"<object><name>{wnid}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        f"</bndbox></object>"
        for x0, y0, x1, y1 in boxes
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{objects}</annotation>"
    )


def train(home: Path, wnids: tuple[str, ...] = WNIDS) -> None:
    for wnid in wnids:
        for k in range(2):
            image(home / "train" / wnid / f"{wnid}_{k}.JPEG")


def flat(home: Path) -> None:
    for number in TRUTH:
        image(home / "val" / f"{name(number)}.JPEG")


def in_folders(home: Path) -> None:
    for number, wnid in TRUTH.items():
        image(home / "val" / wnid / f"{name(number)}.JPEG")


def box_files(folder: Path) -> None:
    for number, wnid in TRUTH.items():
        box_file(folder / f"{name(number)}.xml", wnid, BOXES[number])


def ground_truth(folder: Path, order: tuple[str, ...] = ORDER) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [str(order.index(wnid) + 1) for wnid in TRUTH.values()]
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text("\n".join(lines) + "\n")


def map_clsloc(folder: Path) -> None:
    lines = [f"{wnid} {k} big_bird" if k < 3 else f"{wnid} {k} kit_fox" for k, wnid in enumerate(ORDER, 1)]
    (folder / "map_clsloc.txt").write_text("\n".join(lines) + "\n")


def meta_mat(folder: Path) -> None:
    io, np = pytest.importorskip("scipy.io"), pytest.importorskip("numpy")
    rows = [(float(k), wnid, "words", "gloss") for k, wnid in enumerate((*ORDER, "n00000009"), 1)]
    kind = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object), ("gloss", object)]
    io.savemat(folder / "meta.mat", {"synsets": np.array(rows, dtype=kind).reshape(-1, 1)})


def solution(root: Path) -> None:
    words = {n: " ".join(f"{wnid} {' '.join(map(str, box))}" for box in BOXES[n]) for n, wnid in TRUTH.items()}
    rows = [f"{name(n)},{row} " for n, row in words.items()]
    (root / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *rows]) + "\n")


def kaggle(root: Path) -> None:
    home = root / "ILSVRC" / "Data" / "CLS-LOC"
    train(home), flat(home), solution(root)
    image(home / "test" / "ILSVRC2012_test_00000001.JPEG")
    (root / "LOC_synset_mapping.txt").write_text("n00000001 tench, Tinca\nn00000002 crane\nn00000003 crane\n")


def kaggle_with_box_files(root: Path) -> None:
    kaggle(root)
    (root / "LOC_val_solution.csv").unlink()
    box_files(root / "ILSVRC" / "Annotations" / "CLS-LOC" / "val")


def devkit(root: Path) -> None:
    data = root / "ILSVRC2012_devkit_t12" / "data"
    train(root), flat(root), ground_truth(data), meta_mat(data), box_files(root / "bbox_val")


def newer_devkit(root: Path) -> None:
    train(root), flat(root), ground_truth(root / "devkit" / "data"), map_clsloc(root / "devkit" / "data")
    box_files(root / "ILSVRC2012_bbox_val_v3" / "val")


def labels_by_wordnet_id(root: Path) -> None:
    train(root), flat(root), box_files(root / "Annotation" / "val")
    (root / "imagenet_2012_validation_synset_labels.txt").write_text("\n".join(TRUTH.values()))


def folders(root: Path) -> None:
    train(root), in_folders(root), box_files(root / "bbox" / "val")


def validation_alone(root: Path) -> None:
    flat(root), solution(root)


LAYOUTS = (
    *(kaggle, kaggle_with_box_files, devkit, newer_devkit, labels_by_wordnet_id, folders),
    validation_alone,
)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_every_form_says_the_same(tmp_path: Path, layout: Callable[[Path], None]):
    layout(tmp_path)
    dataset = read(tmp_path)
    assert dataset.kind == "ILSVRC CLS-LOC layout"
    val = dataset.split("val")
    assert [s.id for s in val if layout is not folders] in ([], [f"val/{name(n)}.JPEG" for n in TRUTH])
    assert {s.id: WNIDS[s.label] for s in val} == {f"val/{name(n)}.JPEG": wnid for n, wnid in TRUTH.items()}
    assert {k: v.tolist() for k, v in dataset.ground_truth.boxes.items()} == {
        f"val/{name(n)}.JPEG": boxes for n, boxes in BOXES.items()
    }
    assert all(s.path.is_file() for s in dataset.samples)
    if layout is validation_alone:
        assert dataset.counts() == {"val": 4} and "3 classes, those of val/" in dataset.notes[0]
    else:
        assert [s.id for s in dataset.split("train")][:3] == [
            f"train/{n}"
            for n in ("n00000001/n00000001_0.JPEG", "n00000001/n00000001_1.JPEG", "n00000002/n00000002_0.JPEG")
        ]
        assert not dataset.notes
    findings = examine(dataset)
    assert not (findings.broken or findings.boxes)


@pytest.mark.parametrize(
    ("layout", "classes"),
    [
        (kaggle, ("tench", "crane (n00000002)", "crane (n00000003)")),
        (newer_devkit, ("big bird (n00000001)", "kit fox", "big bird (n00000003)")),
        (devkit, WNIDS),
    ],
)
def test_names_of_classes(tmp_path: Path, layout: Callable[[Path], None], classes: tuple[str, ...]):
    layout(tmp_path)
    assert read(tmp_path).classes == classes


def test_boxes_are_scaled_from_the_picture_they_were_drawn_in(tmp_path: Path):
    folders(tmp_path)
    box_file(tmp_path / "bbox/val" / f"{name(2)}.xml", TRUTH[2], [[2, 2, 16, 12]], size=(16, 12))
    ground_truth = read(tmp_path).ground_truth
    assert ground_truth.boxes_in(f"val/{name(2)}.JPEG", (8, 6)).tolist() == [[1, 1, 8, 6]]


def test_other_objects_in_a_box_file_are_not_of_the_image(tmp_path: Path):
    folders(tmp_path)
    file = tmp_path / "bbox/val" / f"{name(2)}.xml"
    file.write_text(
        file.read_text().replace("</annotation>", "")
        + (
            "<object><name>n00000001</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>1</xmax><ymax>1</ymax></bndbox></object>"
            "</annotation>"
        )
    )
    assert read(tmp_path).ground_truth.boxes[f"val/{name(2)}.JPEG"].tolist() == BOXES[2]


def test_fewer_classes_to_train_on(tmp_path: Path):
    train(tmp_path, WNIDS[:2]), flat(tmp_path), solution(tmp_path)
    dataset = read(tmp_path)
    assert dataset.classes == WNIDS[:3] and dataset.counts() == {"train": 4, "val": 4} and not dataset.notes
    dataset = for_training(dataset)
    assert dataset.classes == WNIDS[:2] and dataset.counts() == {"train": 4, "val": 3}
    assert dataset.notes == ("1 images in val/ are left out, because train/ has no image of their classes",)


def test_without_boxes(tmp_path: Path):
    train(tmp_path), in_folders(tmp_path)
    dataset = read(tmp_path)
    assert not dataset.ground_truth and "no boxes: none in Annotations/CLS-LOC/val/" in dataset.notes[0]


def test_one_class_of_it_in_a_folder(tmp_path: Path):
    in_folders(tmp_path), box_files(tmp_path / "bbox_val")
    for wnid in set(TRUTH.values()) - {TRUTH[1]}:
        shutil.rmtree(tmp_path / "val" / wnid)
    dataset = read(tmp_path)
    assert dataset.kind == ilsvrc.KIND and dataset.classes == (TRUTH[1],)
    assert set(dataset.ground_truth.boxes) == {s.id for s in dataset.samples}


def test_an_order_of_classes_that_the_boxes_contradict(tmp_path: Path):
    (
        train(tmp_path),
        flat(tmp_path),
        ground_truth(tmp_path, WNIDS),
        map_clsloc(tmp_path),
        box_files(tmp_path / "bbox_val"),
    )
    with pytest.raises(ValueError, match=r"4 of 4 validation images have no box of their class.* from one devkit"):
        read(tmp_path)


def test_numbers_without_their_meaning(tmp_path: Path):
    train(tmp_path), flat(tmp_path), ground_truth(tmp_path)
    with pytest.raises(ValueError, match=r"without classes.* there is neither map_clsloc\.txt nor meta\.mat\. Add one"):
        read(tmp_path)
    box_files(tmp_path / "bbox_val")  # they say it as well
    assert len(read(tmp_path).split("val")) == 4


def test_meta_mat_without_scipy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    devkit(tmp_path)
    (tmp_path / "bbox_val").rename(tmp_path / "away")
    whole = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name.partition(".")[0] == "scipy":
            raise ImportError(name)
        return whole(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        ValueError, match=r"meta\.mat exists and needs one more package:  pip install 'hclnet\[ilsvrc\]'"
    ):
        read(tmp_path)


def test_nothing_says_the_classes(tmp_path: Path):
    train(tmp_path), flat(tmp_path)
    with pytest.raises(ValueError, match=r"val/ has 4 images without classes\. Add one of: LOC_val"):
        read(tmp_path)


def test_one_image_in_two_folders(tmp_path: Path):
    folders(tmp_path)
    image(tmp_path / "val" / "n00000001" / f"{name(1)}.JPEG")
    with pytest.raises(ValueError, match=r"00000001\.JPEG is in .*n00000001 and in .*n00000002\. Remove one"):
        read(tmp_path)


def test_another_data_set_by_wordnet_ids_is_left_to_others(tmp_path: Path):
    train(tmp_path)
    image(tmp_path / "val" / "images" / "val_0.JPEG")  # as Tiny ImageNet has it
    with pytest.raises(ValueError, match=r"val has images/: that looks like parts of data, not classes"):
        read(tmp_path)


def spoil(where: str, text: str | bytes) -> Callable[[Path], object]:
    return lambda root: (root / where).write_bytes(text if isinstance(text, bytes) else text.encode())


DATA = "devkit/data"


@pytest.mark.parametrize(
    ("layout", "change", "message"),
    [
        (kaggle, spoil("LOC_val_solution.csv", f"{name(1)},\n"), r"row 1: expected an image and for each box"),
        (kaggle, spoil("LOC_val_solution.csv", f"ImageId,x\n{name(1)},n00000001 1 2 3\n"), r"solution\.csv, row 2: "),
        (kaggle, spoil("LOC_val_solution.csv", f"{name(1)},bird 1 2 3 4\n"), "row 1: .*'ILSVRC2012_val_00000001,bird"),
        (
            kaggle,
            spoil("LOC_val_solution.csv", f"{name(1)},n00000002 1 2 3 4\n"),
            r"has no entry for .*2\.JPEG \(3 of 4",
        ),
        (
            newer_devkit,
            spoil(f"{DATA}/map_clsloc.txt", "1 n00000001 bird\n"),
            r"map_clsloc\.txt, line 1: expected `n02",
        ),
        (
            newer_devkit,
            spoil(f"{DATA}/ILSVRC2012_validation_ground_truth.txt", "1\n4\n"),
            "line 2: .* 1 to 3, found '4'",
        ),
        (newer_devkit, spoil(f"{DATA}/ILSVRC2012_validation_ground_truth.txt", "3\n"), r"has no entry for .*2\.JPEG"),
        (devkit, spoil("ILSVRC2012_devkit_t12/data/meta.mat", b"MATLAB 5"), r"meta\.mat is not the devkit's meta\.mat"),
        (folders, spoil(f"bbox/val/{name(1)}.xml", "<annotation>"), r"00000001\.xml is not a box file: .*Unpack it"),
        (
            folders,
            spoil(f"bbox/val/{name(1)}.xml", "<a><object><name>n00000002</name></object></a>"),
            r"00000001\.xml is not a box file: could not convert",
        ),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, layout: Callable[[Path], None], change: Callable[[Path], object], message: str
):
    layout(tmp_path)
    change(tmp_path)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)
