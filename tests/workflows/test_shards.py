"""Any number of images into shards: every image has a row once, whatever stops the work."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyarrow import csv, parquet, table

import hclnet
from hclnet.formats.journal import OtherResults
from hclnet.formats.shards import HEADER, shard_file
from hclnet.review.folder import open_folder
from hclnet.workflows.asked import Asked, Attempt
from hclnet.workflows.shards import Shards, locate_shards


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Seven images and a broken one, in a folder with another one in it."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for k in range(7):
        pixels = np.random.default_rng(k).integers(0, 256, (30 + k, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / ("more" if k % 2 else ".") / f"{k}.png")
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


@pytest.fixture
def located(photos: Path, trained: Path, tmp_path: Path) -> Callable[..., Shards]:
    def run(images: object = photos, out: str = "out", **settings: Any) -> Shards:
        return locate_shards(images, trained, tmp_path / out, **{"shard_size": 3, "device": "cpu", **settings})

    return run


def stopped_at(number: int, stop: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> list[Attempt]:
    """From now on the images that are asked for; at one of them the work stops once."""
    asked, locate = [], Asked._locate

    def stops(self: Asked, some: Sequence[Attempt]):
        asked.extend(some)
        if len(asked) == number:
            raise stop
        locate(self, some)

    monkeypatch.setattr(Asked, "_locate", stops)
    return asked


def rows_of(found: Shards) -> list[dict[str, Any]]:
    return [row for file in found.files for row in parquet.read_table(file).to_pylist()]


def test_every_image_has_a_row_with_what_locate_files_finds(located, photos: Path, trained: Path, tmp_path: Path):
    found = located()
    assert (found.images, found.left_out, found.already) == (8, 1, 0)
    shard_file(found.folder, 7).with_name(".000007.1-2.part.parquet").touch()  # as a killed process leaves it
    assert [parquet.read_metadata(file).num_rows for file in found.files] == [3, 3, 2]
    rows = rows_of(found)
    assert [row["id"] for row in rows] == list(range(8))
    (broken,) = (row for row in rows if row["error"] is not None)
    assert broken["path"].endswith("broken.jpg") and broken["width"] is broken["objects"] is None
    plain = hclnet.locate_files(photos, trained, tmp_path / "plain", device="cpu", save=[])
    by_path = {row["path"]: row for row in rows}
    assert {one.path for one in plain.localizations} | {broken["path"]} == by_path.keys()
    for one in plain.localizations:
        row = by_path[one.path]
        assert (row["width"], row["height"]) == one.size and Path(row["file"]).samefile(one.path)
        assert [(o["label"], o["score"], (o["x0"], o["y0"], o["x1"], o["y1"])) for o in row["objects"]] == [
            (o.label, o.score, o.box) for o in one.objects
        ]
        assert [(p["label"], p["score"]) for p in row["predictions"]] == list(one.predictions)
    header = json.loads(parquet.read_schema(found.files[0]).metadata[b"hclnet"])
    assert header["classes"] == list(hclnet.load(trained).classes) and header["images"] == {"arguments": [str(photos)]}
    assert not (tmp_path / "out" / "located.jsonl").exists()


def test_the_same_call_skips_what_is_finished(located, monkeypatch: pytest.MonkeyPatch):
    first = located()
    before = [file.read_bytes() for file in first.files]
    shard_file(first.folder, 1).unlink()
    asked = []
    read = Asked._read
    monkeypatch.setattr(Asked, "_read", lambda self, one: (asked.append(one.path), read(self, one))[1])
    again = located()
    assert len(asked) == 3 and again.images == 8
    assert again.already + len([path for path in asked if path.suffix == ".png"]) == 7
    assert [file.read_bytes() for file in again.files] == before


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError, OSError])
def test_what_stops_it_loses_nothing(located, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]):
    whole = located(out="whole")
    asked, said = stopped_at(6, stop, monkeypatch), []
    with pytest.raises(stop):
        located(log=said.append)
    assert said[-1] == "Stopped with 1 of 3 shards finished. The same command goes on."
    found = located()
    assert len(asked) in (9, 10)  # the sixth once more, and the broken one if it was in the journal
    assert [file.read_bytes() for file in found.files] == [file.read_bytes() for file in whole.files]


def test_a_journal_that_a_finished_shard_has_left_is_dropped(located, monkeypatch: pytest.MonkeyPatch):
    whole = located(out="whole")
    unlink = Path.unlink

    def killed(self: Path, missing_ok: bool = False):
        if self.name == "located.jsonl" and (self.parent / "shards" / "000000.parquet").exists():
            raise KeyboardInterrupt
        unlink(self, missing_ok)

    with monkeypatch.context() as at_the_end:
        at_the_end.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            located()
    assert json.loads((whole.folder.parent / "out" / "located.jsonl").read_text().splitlines()[0])["shard"] == 0
    assert [file.read_bytes() for file in located().files] == [file.read_bytes() for file in whole.files]


def test_results_are_never_mixed(located, photos: Path, trained: Path, tmp_path: Path):
    before = located()
    with pytest.raises(OtherResults, match="has results of box auto, not otsu3"):
        located(box="otsu3")
    with pytest.raises(OtherResults, match="has results of shard_size 3, not 4"):
        located(shard_size=4)
    with pytest.raises(OtherResults, match="has results of other images"):
        located(photos / "more")
    with pytest.raises(OtherResults, match="has shards of results"):
        hclnet.locate_files(photos, trained, tmp_path / "out", device="cpu")
    assert len(before.files) == 3
    after = located(photos / "more", overwrite=True)
    assert after.images == 3 and len(after.files) == 1
    hclnet.locate_files(photos, trained, tmp_path / "plain", device="cpu", save=[])
    with pytest.raises(OtherResults, match="located without --shard-size"):
        located(out="plain")
    mine = tmp_path / "mine" / "shards" / "2024.parquet"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    for overwrite in (False, True):
        with pytest.raises(OtherResults, match=f"has files and no {HEADER}"):
            located(out="mine", overwrite=overwrite)
    assert mine.read_bytes() == b"mine"


def test_shards_become_other_formats(located, tmp_path: Path):
    found = located()
    made = hclnet.convert(found.folder, ["coco", "csv"])
    assert (made.images, made.missing) == (7, 0)
    coco = json.loads((found.folder / "coco.json").read_text())
    names = {image["file_name"] for image in coco["images"]}
    assert names == {"0.png", "2.png", "4.png", "6.png", "more/1.png", "more/3.png", "more/5.png"}
    boxes = {row["path"]: row["objects"] for row in rows_of(found) if row["error"] is None}
    assert len(coco["annotations"]) == made.boxes == sum(map(len, boxes.values()))


@pytest.mark.parametrize("kind", ["parquet", "csv", "semicolons", "excel", "txt"])
def test_a_manifest_names_the_images(located, photos: Path, kind: str):
    names = ["photos/more/3.png", str(photos / "0.png"), "photos/gone.png", "photos/more/1.png"]
    file = photos.parent / ("list.csv" if kind in ("semicolons", "excel") else f"list.{kind}")
    if kind == "parquet":
        parquet.write_table(table({"label": ["a"] * 4, " Filename": names}), file)
    elif kind == "csv":
        csv.write_csv(table({"label": ["a"] * 4, "path": names}), file)
    elif kind == "semicolons":
        file.write_text("\ufeffimage;label\r\n" + "".join(f"{name};a\r\n" for name in names), encoding="utf-8")
    elif kind == "excel":
        rows = "".join(f"{name};a\r\n" for name in names)
        file.write_text(f"sep=;\r\npath;label\r\n{rows}", encoding="utf-16")
    else:
        file.write_text("\n".join(names))
    found = located((), manifest=file)
    rows = rows_of(found)
    assert [row["path"] for row in rows] == names  # in its order, and as they are there
    assert [row["error"] is None for row in rows] == [True, True, False, True]
    assert rows[0]["file"] == str(photos / "more" / "3.png")
    file.write_bytes(file.read_bytes() + b"\n\n")
    with pytest.raises((OtherResults, ValueError), match=r"has results of other images|can't be read as Parquet"):
        located((), manifest=file)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{}", "is no manifest. Name a file that ends in .parquet"),
        ("a.csv", "x,label\n1,2\n", "has no column path; it has x, label"),
        ("a.csv", "image,img\n1,2\n", "which column is the path, image or img"),
        ("a.csv", "path,path\n1,2\n", "has the column path twice"),
        ("a.csv", "path,label\n,2\n", "row 2: there is no name of an image"),
        ("a.parquet", "no table", "can't be read as Parquet"),
        ("gone.csv", None, "can't be read: No such file"),
        ("a.txt", "", "a.txt names no image. Add a row for each"),
        ("a.csv", "path,label\n", "a.csv names no image"),
    ],
)
def test_what_is_no_manifest(located, tmp_path: Path, name: str, content: str | None, message: str):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        located((), manifest=tmp_path / name)
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_a_call_names_images_in_one_way(located, photos: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="No image is named"):
        located(())
    with pytest.raises(ValueError, match="exclude each other"):
        located(photos, manifest=tmp_path / "a.csv")
    with pytest.raises(ValueError, match="has no image, or is not there"):
        located(tmp_path / "nowhere")


def test_on_the_command_line(photos: Path, trained: Path, tmp_path: Path):
    (photos.parent / "list.txt").write_text("photos/0.png\nphotos/broken.jpg\n")
    call = [sys.executable, "-m", "hclnet", "locate", "--model", trained, "--device", "cpu", "--out", tmp_path / "out"]
    done = subprocess.run([*call, "--manifest", "list.txt"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "1 of 2 images are located" in done.stdout and "Left out: 1 images" in done.stderr
    done = subprocess.run([*call, photos, "--shard-size", "9", "--save", "masks"], capture_output=True, text=True)
    assert done.returncode == 2 and "--save can't be with --manifest, --shard-size or --engine ray" in done.stderr


LISTS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from memory import peak
from hclnet.data.listing import Entry, Listing, write_listing
from hclnet.formats.shards import counts, shard_file, write_shard
out, count = Path(sys.argv[1]), int(sys.argv[2])
begun = peak()
names = (f"{k % 997:03}/a rather long name of an image {k:07}.jpg" for k in range(count))
write_listing(out / "list.parquet", (Entry(name, Path("/data") / name) for name in names), 10_000)
listing = Listing(out / "list.parquet")
assert listing.count == count
for number in range(listing.groups):
    some = listing.group(number)
    rows = [{"path": one.path, "left_out": f"{one.path} is missing"} for one in some]
    write_shard(shard_file(out, number), number * 10_000, some, rows, {})
assert sum(counts(shard_file(out, number))[0] for number in range(listing.groups)) == count
print(peak() - begun)
"""


@pytest.mark.slow
def test_a_million_names_take_no_more_memory_than_some_thousands(tmp_path: Path):
    taken = []
    for count in (30_000, 1_000_000):
        out = tmp_path / str(count)
        out.mkdir()
        call = [sys.executable, "-c", LISTS, out, count, Path(__file__).parents[1]]
        done = subprocess.run(list(map(str, call)), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        taken.append(int(done.stdout) / 2**20)
        shutil.rmtree(out)
    print(f"{taken[0]:.0f} and {taken[1]:.0f} MiB")
    assert taken[1] < taken[0] + 40


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Photographs with somebody's own files beside them, and an empty folder two folders below."""
    for k in range(3):
        image = tmp_path / "project" / "photos" / f"{k}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(k).integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(image)
        image.with_suffix(".xml").write_text("mine")
        image.with_suffix(".txt").write_text("mine")
    (tmp_path / "project" / "lists" / "deep").mkdir(parents=True)
    return tmp_path / "project"


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("out", ["project", "project/lists/deep"])
def test_files_for_other_tools_never_leave_their_folder(located, project: Path, absolute: bool, out: str):
    images = sorted((project / "photos").glob("*.png"))
    before = {file: file.read_bytes() for file in (project / "photos").iterdir()}
    names = [str(one) if absolute else f"../../photos/{one.name}" for one in images]
    (project / "lists" / "deep" / "all.txt").write_text("\n".join(names))
    found = located((), out=out, manifest=project / "lists" / "deep" / "all.txt")
    for _ in range(2):
        assert hclnet.convert(found.folder, ["voc", "yolo", "coco"]).missing == 0
    assert {file: file.read_bytes() for file in (project / "photos").iterdir()} == before
    assert not any(file.is_symlink() for file in (project / "photos").iterdir())
    assert len([p for p in (found.folder / "yolo").rglob("*.png") if p.is_symlink()]) == 3
    coco = json.loads((found.folder / "coco.json").read_text())
    assert not any(".." in image["file_name"] for image in coco["images"])


def test_a_glob_has_the_names_that_it_has_without_shards(located, photos: Path, trained: Path, tmp_path: Path):
    found = located(str(photos / "*" / "*.png"))
    hclnet.convert(found.folder, ["coco"])
    hclnet.locate_files(str(photos / "*" / "*.png"), trained, tmp_path / "plain", device="cpu", save=[])
    names = [
        sorted(one["file_name"] for one in json.loads((folder / "coco.json").read_text())["images"])
        for folder in (found.folder, tmp_path / "plain")
    ]
    assert [Path(name).name for name in names[0]] == [Path(name).name for name in names[1]]
    assert not any(".." in name or "*" in name for name in names[0])


def test_results_between_the_images_are_passed_over(located, photos: Path, trained: Path):
    hclnet.locate_files(photos / "0.png", trained, photos / "res", device="cpu")
    assert list((photos / "res" / "overlays").iterdir())
    assert located(str(photos / "**" / "*.*"), out="glob").images == located(photos, out="folder").images == 8


@pytest.mark.parametrize("out", [".", "photos"])
def test_results_may_go_where_the_images_are(
    located, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
):
    monkeypatch.chdir(tmp_path)
    assert located("photos", out=out).images == 8


def test_overwrite_keeps_what_is_there_until_there_is_something_new(located, photos: Path, tmp_path: Path):
    before = {file: file.read_bytes() for file in located().files}
    with pytest.raises(ValueError, match="has no image, or is not there"):
        located(tmp_path / "fotos", overwrite=True)
    (tmp_path / "list.csv").write_text("path,label\nphotos/0.png,a\n,a\n")
    with pytest.raises(ValueError, match="row 3: there is no name of an image"):
        located((), manifest=tmp_path / "list.csv", overwrite=True)
    assert {file: file.read_bytes() for file in located().files} == before


def test_a_manifest_is_not_replaced_by_the_list(located, photos: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    parquet.write_table(table({"path": ["../photos/0.png"]}), tmp_path / "out" / "located-list.parquet")
    with pytest.raises(ValueError, match="has the name of a file of the results"):
        located((), manifest=tmp_path / "out" / "located-list.parquet")


def test_what_was_left_out_is_tried_again_where_that_is_asked(located, photos: Path):
    whole = located(out="whole")
    for file in located().files:
        file.unlink()
    photos.rename(photos.with_name("away"))
    said: list[str] = []
    assert located(log=said.append).left_out == 8
    assert "3 images, 3 left out, the first of them: " in said[0]
    photos.with_name("away").rename(photos)
    assert located().left_out == 8  # finished
    found = located(retry=True)
    assert found.left_out == 1 and [f.read_bytes() for f in found.files] == [f.read_bytes() for f in whole.files]
    assert located(retry=True).left_out == 1


def test_a_second_try_that_is_stopped_loses_nothing(
    located, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    names = ["broken.jpg", *(f"{'more/' if k % 2 else ''}{k}.png" for k in range(7))]  # left out again, and first
    (tmp_path / "list.txt").write_text("".join(f"photos/{name}\n" for name in names))
    how = {"images": (), "manifest": tmp_path / "list.txt"}
    whole = located(out="whole", **how)
    photos.rename(photos.with_name("away"))
    assert located(**how).left_out == 8
    photos.with_name("away").rename(photos)
    asked = stopped_at(5, KeyboardInterrupt, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        located(retry=True, **how)
    found = located(retry=True, **how)
    times = Counter(one.path.name for one in asked)
    assert times == {**{f"{k}.png": 1 for k in range(7)}, "3.png": 2, "broken.jpg": 2}  # it stopped at 3.png
    assert found.left_out == 1
    assert [file.read_bytes() for file in found.files] == [file.read_bytes() for file in whole.files]


def test_a_journal_of_the_last_shard_is_dropped_too(located):
    found = located()
    (found.folder / "located.jsonl").write_text(json.dumps({"hclnet": "0", "format": 1, "shard": 2}) + "\n")
    located()
    assert not (found.folder / "located.jsonl").exists()


def test_a_review_of_shards_says_what_to_do(located):
    with pytest.raises(ValueError, match="has shards, which have no pictures"):
        open_folder(located().folder)


def test_a_shard_has_a_largest_size(located):
    with pytest.raises(ValueError, match="a shard has at most 1,000,000 images"):
        located(shard_size=10**20)
