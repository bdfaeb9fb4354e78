"""Tables that other programs write: how they are divided and encoded, and what they call their columns."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from hclnet.data import describe, read

BOX = [10.5, 20.0, 40.0, 60.25]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("fox/1", "fox/2", "hare/3", "hare/é"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (100, 80)).save(tmp_path / f"{name}.png")
    return tmp_path


def table(root: Path, text: str | bytes, name: str = "photos.csv") -> Path:
    (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root / name


def rows(columns: str, box: str = "10.5,20,40,60.25", divider: str = ",") -> str:
    text = f"{columns}\nfox/1.png,fox,train,,,,\nfox/2.png,fox,test,{box}\nhare/3.png,hare,train,,,,\n"
    return text.replace(",", divider)


OWN = "path,label,split,x0,y0,x1,y1"


def is_all_there(path: Path) -> None:
    dataset = read(path)
    assert dataset.classes == ("fox", "hare") and dataset.counts() == {"train": 2, "test": 1}
    assert dataset.ground_truth.boxes["fox/2.png"].tolist() == [BOX]


@pytest.mark.parametrize(
    "text",
    [
        "sep=,\n" + rows(OWN),
        "sep=;\r\n" + rows(OWN, divider=";").replace("\n", "\r\n"),
        '"sep=;"\n' + rows(OWN, divider=";"),
        "sep=\t\n" + rows(OWN, divider="\t"),
        "sep=|\n" + rows(OWN, divider="|"),
        "SEP=;;;;;;;\n" + rows(OWN, divider=";"),  # as Excel saves it again
        rows('"Path","Label","SPLIT","X0","Y0","X1","Y1"'),
        rows(" Path , Label ,Split,X0,Y0,X1,Y1"),
        rows(OWN).replace("\n", ",,\n"),  # empty columns at the end
        rows(OWN).replace("60.25\n", "60.25,,,\n").replace("y1\n", "y1,\n"),
        rows(OWN, divider=";").replace("10.5", "10,5").replace("60.25", "60,25"),
        rows(OWN).replace("fox/", "fox\\").replace("hare/", ".\\hare\\"),
        rows(OWN) + "\n,,,,,,\n\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_however_it_is_written(root: Path, text: str, encoding: str):
    is_all_there(table(root, text.encode(encoding)))


@pytest.mark.parametrize(
    "columns",
    [
        "filename,class,split,xmin,ymin,xmax,ymax",
        "Image,Category,Subset,x_min,y_min,x_max,y_max",
        "file_name,class_name,partition,left,top,right,bottom",
        "img_path,label,set,bbox_x1,bbox_y1,bbox_x2,bbox_y2",
        "file,label,split,X Min,Y Min,X Max,Y Max",
        "image_path,label,split,x1,y1,x2,y2",
    ],
)
def test_columns_by_the_names_of_others(root: Path, columns: str):
    path = table(root, rows(columns))
    is_all_there(path)
    told = read(path).notes[0]
    first, *_, last = (name.lower() for name in columns.split(","))
    assert told.startswith(f"understood: {first} for path") and f"{last} for the box, in pixels from 0" in told
    assert told in describe(read(path))


@pytest.mark.parametrize(
    "columns", ["left,top,width,height", "xmin,ymin,width,height", "bbox_left,bbox_top,width,height"]
)
def test_width_and_height(root: Path, columns: str):
    is_all_there(table(root, rows(f"path,label,split,{columns}", "10.5,20,29.5,40.25")))
    with pytest.raises(ValueError, match=r"row 3: a box needs x0 < x1.* as left, top, width, height"):
        read(table(root, rows(f"path,label,split,{columns}", "10.5,20,-29.5,40.25")))


def test_width_and_height_beside_corners_are_the_images(root: Path):
    text = (
        rows("filename,class,split,xmin,ymin,xmax,ymax")
        .replace("\n", ",100,80\n")
        .replace("ymax,100,80", "ymax,width,height")
    )
    is_all_there(table(root, text))
    assert "unused columns: width, height" in read(root / "photos.csv").notes


def test_our_own_names_go_before_others(root: Path):
    text = "image,path,label,class,xmin\n7,fox/1.png,fox,x,1\n8,hare/3.png,hare,y,2\n"
    with pytest.raises(ValueError, match="has only xmin; a box needs all of xmin, ymin, xmax, ymax"):
        read(table(root, text))
    dataset = read(table(root, text.replace("xmin", "n")))
    assert dataset.classes == ("fox", "hare") and "unused columns: image, class, n" in dataset.notes


def test_a_subset_that_is_no_split_is_not_used(root: Path):
    dataset = read(table(root, "path,label,subset\nfox/1.png,fox,a\nhare/3.png,hare,b\n"))
    assert "unused columns: subset" in dataset.notes and "no column split in it" in " ".join(dataset.notes)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("file,label,image", r"which column is the path, file or image\? Name it path"),
        ("path,label,split,x,y,w,h", r"has boxes as x, y, w, h, where x and y may be a corner or the center"),
        ("path,label,split,x_center,y_center,width,height", "where x and y may be a corner or the center"),
        ("path,label,split,xmin,ymin", "has only xmin, ymin"),
        ("path,label,xmin,ymin,xmax,ymax,x1,y1,x2,y2", "has boxes as xmin, ymin, xmax, ymax and as x1, y1, x2, y2"),
        ("filename,label,Filename", "has the column filename twice"),
        ("path,label,mask,mask", "has the column mask twice"),
    ],
)
def test_what_is_not_clear_is_refused(root: Path, columns: str, message: str):
    with pytest.raises(ValueError, match=message):
        read(table(root, f"{columns}\n"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            rows(OWN).replace("fox/1", "hare/é").encode("latin-1"),
            r"photos\.csv is not text in UTF-8 \(invalid .* at byte 34",
        ),
        (rows(OWN).encode("utf-16-le"), r"photos\.csv is not text in UTF-8: it contains bytes of 0\. Save it as"),
        (rows(OWN).encode("utf-32"), "not text in UTF-8: it contains bytes of 0|not text in UTF-16"),
        (rows(OWN).encode("utf-16") + b"x", r"photos\.csv is not text in UTF-16"),
    ],
)
def test_other_encodings_are_refused(root: Path, data: bytes, message: str):
    with pytest.raises(ValueError, match=message):
        read(table(root, data))


def test_a_decimal_comma_where_commas_divide_is_no_number(root: Path):
    with pytest.raises(ValueError, match=r"row 3: a box needs four numbers.*x0 10,5"):
        read(table(root, rows(OWN).replace("10.5", '"10,5"')))


def test_whole_numbers_in_parquet_stay_whole(root: Path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"filename": ["fox/1.png", "hare\\3.png"], "class": [9.0, 10.0], "xmin": [None, 1.0], "ymin": [None, 2.0]}
    parquet.write_table(pyarrow.table({**columns, "xmax": [None, 30.0], "ymax": [None, 40.5]}), root / "p.parquet")
    dataset = read(root / "p.parquet")
    assert dataset.classes == ("9", "10") and dataset.ground_truth.boxes["hare/3.png"].tolist() == [[1, 2, 30, 40.5]]
