"""Manifests: every column, CSV and Parquet alike, and every row that is wrong named."""

from __future__ import annotations

import builtins
from pathlib import Path

import pytest
from PIL import Image

from hclnet.data import describe, read
from hclnet.types import MaskFiles

pyarrow = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402, only where it is installed

FULL = """path,label,split,x0,y0,x1,y1,mask,ignore,photographer
a/1.png,fox,train,,,,,,,me
a/2.png,fox,test,1,2,5.5,6,m/2a.png,m/2i.png,me
a/2.png,fox,test,0,0,3,3,m/2b.png,,you
"b, c/3.png",hare,Training,,,,,,,
b/4.png,hare,validation,0,0,8,6,,,
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a/1", "a/2", "b, c/3", "b/4", "m/2a", "m/2b", "m/2i"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6)).save(tmp_path / f"{name}.png")
    return tmp_path


def manifest(root: Path, text: str, name: str = "photos.csv") -> Path:
    (root / name).write_bytes(text.encode())
    return root / name


@pytest.mark.parametrize("divider", [",", ";", "\t"])
def test_everything_that_a_manifest_can_say(root: Path, divider: str):
    text = FULL if divider == "," else FULL.replace('"b, c/3.png"', "b\0 c/3.png").replace(",", divider)
    file = manifest(root, "\ufeff" + text.replace("\0", ",").replace("\n", "\r\n"))
    dataset = read(file)
    assert dataset.kind == "manifest" and dataset.root == file and dataset.classes == ("fox", "hare")
    assert [(s.id, s.label, s.split) for s in dataset.samples] == [
        ("a/1.png", 0, "train"),
        ("a/2.png", 0, "test"),
        ("b, c/3.png", 1, "train"),
        ("b/4.png", 1, "val"),
    ]
    assert all(s.path == root / s.id for s in dataset.samples)
    boxes = {key: box.tolist() for key, box in dataset.ground_truth.boxes.items()}
    assert boxes == {"a/2.png": [[1, 2, 5.5, 6], [0, 0, 3, 3]], "b/4.png": [[0, 0, 8, 6]]}
    assert dataset.ground_truth.masks == {
        "a/2.png": MaskFiles((root / "m/2a.png", root / "m/2b.png"), root / "m/2i.png")
    }
    assert dataset.notes == ("unused columns: photographer",)
    assert "2 train, 1 val, 1 test, 2 with boxes, 1 with masks (for scoring only)" in describe(dataset)


def test_parquet_says_the_same(root: Path):
    csv = read(manifest(root, FULL))
    table = pyarrow.table(
        {
            "path": ["a/1.png", "a/2.png", "a/2.png", "b, c/3.png", "b/4.png"],
            "label": pyarrow.array(["fox", "fox", "fox", "hare", "hare"]).dictionary_encode(),
            "split": ["train", "test", "test", "train", "val"],
            "x0": [None, 1, 0, None, 0],
            "y0": [float("nan"), 2.0, 0.0, None, 0.0],
            "x1": [None, 5.5, 3, None, 8],
            "y1": [None, 6, 3, None, 6],
            "mask": [None, "m/2a.png", "m/2b.png", None, None],
            "ignore": [None, "m/2i.png", None, None, None],
            "embedding": [[1.0, 2.0]] * 5,
        }
    )
    parquet.write_table(table, root / "photos.parquet")
    dataset = read(root / "photos.parquet")
    assert (dataset.samples, dataset.classes, dataset.ground_truth.masks) == (
        csv.samples,
        csv.classes,
        csv.ground_truth.masks,
    )
    boxes = [{key: box.tolist() for key, box in one.ground_truth.boxes.items()} for one in (dataset, csv)]
    assert boxes[0] == boxes[1]


def test_in_a_folder_it_goes_before_the_folders(root: Path):
    manifest(root, FULL, "manifest.csv")
    assert read(root).kind == "manifest" and len(read(root).samples) == 4
    parquet.write_table(pyarrow.table({"path": ["a/1.png"]}), root / "manifest.parquet")
    with pytest.raises(ValueError, match=r"has manifest\.csv and manifest\.parquet\. Keep one"):
        read(root)


def test_a_split_is_made_by_class(root: Path):
    rows = [f"{name}/{k}.png,{name}" for name in ("7", "10") for k in range(10)]
    for row in rows:
        path = root / row.partition(",")[0]
        path.parent.mkdir(exist_ok=True)
        path.touch()
    file = manifest(root, "\n".join(["path,label", *rows]))
    dataset = read(file, seed=4)
    assert dataset.classes == ("7", "10")  # numbers by their value
    for label in (0, 1):
        assert [s.split for s in dataset.samples if s.label == label].count("test") == 2
    assert dataset.samples == read(file, seed=4).samples != read(file, seed=5).samples
    assert "no column split in it: split at random, 80% to 20%, seed 4" in dataset.notes
    # As class folders do it, so that a manifest of a folder has the folder's split.
    (file.parent / "m").rename(root.with_name("masks"))
    for name in ("a", "b", "b, c"):
        (root / name).rename(root.with_name(f"away {name}"))
    folder = read(root, seed=4)
    assert {s.id: s.split for s in folder.samples} == {s.id: s.split for s in dataset.samples}


def test_one_path_in_several_spellings(root: Path):
    file = manifest(root, f"path,label,split\na/1.png,fox,train\n./a/../a/1.png,fox,train\n{root}/a/1.png,fox,train\n")
    assert [s.id for s in read(file).samples] == ["a/1.png"]
    elsewhere = root / "deep"
    elsewhere.mkdir()
    (sample,) = read(manifest(elsewhere, f"path,label,split\n{root}/a/1.png,fox,train\n")).samples
    assert sample.path == root / "a/1.png" and sample.id == str(root / "a/1.png").lstrip("/")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"photos\.csv has no column path and no column label; it has none"),
        ("name,kind\na,b\n", "has no column path and no column label; it has name, kind. Rename the columns"),
        ("path\na/1.png\n", "has no column label; it has path"),
        ("path,label\n", "has no row below its header"),
        ("path,label,Path\na,b,c\n", "has the column path twice"),
        ("path,label,x0,y0\na,b,1,2\n", "has only x0, y0; a box needs all of x0, y0, x1, y1"),
        ("path,label,ignore\na,b,c\n", "a column ignore and no column mask"),
        ("path,label\na/1.png,fox\n\na/9.png,fox\n", r"photos\.csv, row 4: there is no image .*a/9\.png"),
        ("path,label\na/1.png,\n", "row 2: label is empty"),
        ("path,label\n,fox\n", "row 2: path is empty"),
        ("path,label\nb, c/3.png,fox\n", "row 2: 3 values for 2 columns. Put a value with the separator"),
        (
            "path,label,split\na/1.png,fox,holdout\n",
            "row 2: split is 'holdout'; it must be one of train, val",
        ),
        ("path,label,split\na/1.png,fox,\n", "row 2: split is ''"),
        ("path,label\na/1.png,fox\na/1.png,hare\n", r"row 3: a/1\.png has label 'hare' here and 'fox' in row 2"),
        ("path,label,split\na/1.png,fox,train\na/1.png,fox,test\n", "row 3: .* split 'test' here and 'train' in row 2"),
        ("path,label,x0,y0,x1,y1\na/1.png,fox,1,2,3,\n", "row 2: a box needs four numbers.* y1 empty"),
        ("path,label,x0,y0,x1,y1\na/1.png,fox,1,2,one,4\n", "row 2: a box needs four numbers.* x1 one"),
        ("path,label,x0,y0,x1,y1\na/1.png,fox,5,2,5,4\n", "row 2: a box needs x0 < x1"),
        ("path,label,x0,y0,x1,y1\na/1.png,fox,nan,2,5,4\n", "row 2: a box needs x0 < x1"),
        ("path,label,mask\na/1.png,fox,m/9.png\n", r"row 2: there is no mask .*m/9\.png\. Paths are relative"),
        ("path,label,mask,ignore\na/1.png,fox,,m/2i.png\n", "has an ignore mask, and no mask"),
        (
            "path,label,mask,ignore\na/1.png,fox,m/2a.png,m/2i.png\na/1.png,fox,m/2b.png,m/2a.png\n",
            "row 3: .* and another one in a row above",
        ),
        ('path,label\n"a/1.png,fox\n' + "x" * 140_000, r"row 2: field larger than field limit.* Save it as CSV again"),
    ],
)
def test_what_is_wrong_is_named(root: Path, text: str, message: str):
    with pytest.raises(ValueError, match=message):
        read(manifest(root, text))


def test_no_text(root: Path):
    (root / "photos.csv").write_bytes(b"path,label\ncaf\xe9.png,fox\n")
    with pytest.raises(ValueError, match=r"photos\.csv is not text in UTF-8"):
        read(root / "photos.csv")


def test_damaged_parquet(root: Path):
    with pytest.raises(ValueError, match=r"photos\.parquet can't be read as Parquet: .*\. Save it again"):
        read(manifest(root, "PAR1, or so it says", "photos.parquet"))


def test_parquet_without_pyarrow(root: Path, monkeypatch: pytest.MonkeyPatch):
    whole = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)
        return whole(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=r"pip install 'hclnet\[parquet\]'"):
        read(manifest(root, "PAR1", "photos.parquet"))
