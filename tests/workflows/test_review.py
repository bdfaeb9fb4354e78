"""`hclnet review` around its page: what it says, what it refuses, what it writes at the end."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import uvicorn

import hclnet
from hclnet.formats import WRITERS
from hclnet.review.decisions import Decision, Decisions, Marked
from hclnet.storage import Busy, locked
from hclnet.workflows.review import review
from review import folders


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """The page is closed as soon as it is served; where it was."""
    served = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: served.append(sockets[0].getsockname()))
    return served


def decide(folder: Path, *verdicts: str) -> None:
    """The first images of a folder; where it is accepted, as it was found."""
    journal = Decisions(folder)
    rows = [json.loads(line) for line in (folder / "located.jsonl").read_text().splitlines()[1:]]
    for row, verdict in zip(rows, verdicts):
        found = tuple(Marked(o["label"], tuple(o["box"]), k) for k, o in enumerate(row["objects"]))
        journal.add(row["path"], Decision(verdict, found if verdict == "accepted" else ()), "w")
    journal.close()


def test_what_was_decided_is_written_in_every_format(tmp_path: Path, ended: list[tuple]):
    folder = folders.made(tmp_path, 6)
    decide(folder, "accepted", "empty", "rejected", "accepted")
    said: list[str] = []
    found = review(folder, formats=tuple(WRITERS), log=said.append)
    assert (found.images, found.decided, found.rejected) == (6, 4, 1)
    names = {path.name for path in found.written}
    files = ("json", "coco.json", "label-studio.json", "cvat.xml", "csv", "yolo", "voc", "parquet")
    assert {f"reviewed.{name}" for name in files} <= names and all(p.exists() for p in found.written)
    rows = json.loads((folder / "reviewed.json").read_text())
    assert [row["name"] for row in rows] == ["badger/0000.jpg", "badger/0003.jpg", "fox/0001.jpg"]
    assert {o["source"] for row in rows for o in row["objects"]} == {"model"}
    assert all(Path(row["file"]).is_file() and row["model"] == "f" * 64 for row in rows)
    coco = json.loads((folder / "reviewed.coco.json").read_text())
    assert len(coco["images"]) == 3 and len(coco["annotations"]) == 2
    assert said[0] == f"6 images of {tmp_path / 'photos'}, 4 of them decided before."
    assert re.search(r"http://127\.0\.0\.1:\d+/[\w-]{20,}/$", said[1])
    ((host, port),) = ended
    assert host == "127.0.0.1" and f":{port}/" in said[1]


def test_each_time_it_has_another_token(tmp_path: Path, ended: list[tuple]):
    folder, said = folders.made(tmp_path, 1), []
    for _ in range(2):
        review(folder, log=said.append)
    tokens = {line.rstrip("/").rpartition("/")[2] for line in said if "http:" in line}
    assert len(tokens) == 2


def test_images_that_have_moved_are_found_and_named_as_before(tmp_path: Path, ended: list[tuple]):
    folder = folders.made(tmp_path, 3)
    (tmp_path / "photos").rename(tmp_path / "moved")
    decide(folder, "accepted")
    review(folder, tmp_path / "moved")
    (row,) = json.loads((folder / "reviewed.json").read_text())
    assert row["name"] == "badger/0000.jpg" and row["file"] == str(tmp_path / "moved" / "badger" / "0000.jpg")
    review(folder, tmp_path / "moved", image_root=tmp_path, formats=["json", "label-studio"])
    (row,) = json.loads((folder / "reviewed.json").read_text())
    assert row["name"] == "moved/badger/0000.jpg"
    assert f"?d={tmp_path.name}/moved/badger/0000.jpg" in (folder / "reviewed.label-studio.json").read_text()


def test_what_can_not_be_is_refused_before_anything_is_served(tmp_path: Path, ended: list[tuple]):
    folder = folders.made(tmp_path, 1)
    with pytest.raises(ValueError, match="format"):
        review(folder, formats=["word"])
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match=rf"Port {port} can't be had: .*--port 0 takes a free one"):
            review(folder, port=port)
    program = (
        "import sys\nfrom hclnet.storage import locked\nwith locked(sys.argv[1], 'review'):\n    print()\n    input()"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdout.readline()
    with pytest.raises(Busy, match=r"is in use by process .* Wait until it has finished\.$"):
        review(folder)
    holder.communicate(b"\n")
    with locked(folder, "review"):
        pass
    assert not ended


def test_without_the_packages_of_the_page_it_says_which_extra_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: list[tuple]
):
    folder = folders.made(tmp_path, 1)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ValueError, match=r"pip install 'hclnet\[review\]'"):
        review(folder)
    assert not ended


def test_it_needs_no_torch():
    code = "import sys, hclnet.workflows.review, hclnet.review.server; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


FILES = ("json", "coco.json", "csv", "parquet", "cvat.xml", "label-studio.json")


@pytest.mark.parametrize("file", FILES)
def test_images_that_have_moved_are_found_from_the_files(file: str, tmp_path: Path, ended: list[tuple]):
    """From those with paths at once; from those with names in the folder of the images."""
    folder = folders.made(tmp_path, 3)
    decide(folder, "accepted", "accepted", "accepted")
    moved = (tmp_path / "photos").rename(tmp_path / "elsewhere")
    review(folder, moved, formats=tuple(WRITERS))
    written = folder / f"reviewed.{file}"
    if file not in ("json", "csv", "parquet"):
        with pytest.raises(ValueError, match=r"3 of the 3 images of .* are not there"):
            hclnet.read(written)
        written = written.rename(moved / written.name)
    assert {sample.path.resolve().parents[1] for sample in hclnet.read(written).samples} == {moved.resolve()}


@pytest.mark.parametrize("file", FILES)
def test_files_say_which_boxes_are_the_models_own(file: str, tmp_path: Path, ended: list[tuple]):
    """Only those that a person has accepted unchanged, and all boxes of the image are."""
    folder = folders.made(tmp_path, 5)
    decide(folder, "accepted", "accepted")
    rows = [json.loads(line) for line in (folder / "located.jsonl").read_text().splitlines()[1:]]
    journal = Decisions(folder)
    for k, row in enumerate(rows[2:], 2):
        ((label, box),) = ((found["label"], tuple(found["box"])) for found in row["objects"])
        own, drawn = Marked(label, box, 0), Marked(label, (1.0, 2.0, 30.0, 40.0))
        marked = {2: (drawn,), 3: (own, drawn), 4: (Marked(label, (*box[:3], box[3] + 9.0), 0),)}[k]
        journal.add(row["path"], Decision("accepted", marked), "w")
    journal.close()
    review(folder, formats=tuple(WRITERS))
    data = hclnet.read(folder / f"reviewed.{file}")
    assert len(data.samples) == 5 and {len(boxes) for boxes in data.ground_truth.boxes.values()} == {1, 2}
    own = {sample.path.name: sample.id for sample in data.samples if sample.id in data.ground_truth.unchanged}
    assert own.keys() == {Path(row["path"]).name for row in rows[:2]}
    assert {*data.ground_truth.unchanged.values()} == {"f" * 64}
    # What nobody has looked at has been accepted by nobody.
    located = "boxes." if file in ("json", "csv", "parquet") else ""
    hclnet.convert(folder, list(WRITERS))
    assert not hclnet.read(folder / f"{located}{file}").ground_truth.unchanged


def test_an_outline_that_a_person_drew_is_not_the_models(tmp_path: Path, ended: list[tuple]):
    folder = folders.made(tmp_path, 2)
    decide(folder, "accepted", "empty")
    review(folder, formats=("cvat",))
    file = folder / "reviewed.cvat.xml"
    drawn = '<polygon label="fox" source="manual" points="1,2;30,2;30,40" /></image>'
    start, end = file.read_text().replace(" />\n</annotations>", "></image>\n</annotations>").rsplit("</image>", 1)
    file.write_text(start + drawn + end)
    data = hclnet.read(file)
    assert len(data.ground_truth.boxes) == 2 and len(data.ground_truth.unchanged) == 1


def test_an_export_of_label_studio_says_which_predictions_were_submitted_unchanged(tmp_path: Path):
    """As Label Studio writes it: annotations that were made of the predictions, some of them changed."""
    folder = folders.made(tmp_path, 3)
    hclnet.convert(folder, ["label-studio"])
    tasks = json.loads((folder / "label-studio.json").read_text())
    for task, origin in zip(tasks, ("prediction", "prediction-changed", "manual")):
        regions = [{**region, "origin": origin} for region in task["predictions"][0]["result"]]
        task["annotations"] = [{"id": 1, "was_cancelled": False, "result": regions}]
    (folder / "export.json").write_text(json.dumps(tasks))
    unchanged = hclnet.read(folder / "export.json").ground_truth.unchanged
    assert [Path(name).name for name in unchanged] == [Path(tasks[0]["data"]["name"]).name]


def test_what_was_reviewed_is_ground_truth_and_what_was_not_changed_is_said(
    trained: Path, birds: Path, tmp_path: Path, ended: list[tuple]
):
    run, out = shutil.copytree(trained, tmp_path / "run"), tmp_path / "located"
    hclnet.locate_files(birds / "images", run, out, save=[], device="cpu")
    journal = Decisions(out)
    rows = [json.loads(line) for line in (out / "located.jsonl").read_text().splitlines()[1:]]
    kept = 0
    for k, row in enumerate(rows):
        found = [Marked(o["label"], tuple(o["box"]), 0) for o in row["objects"]]
        if k % 3 == 2 or not found:
            width, height = row["size"]
            found = [Marked(row["asked"][0], (0.0, 0.0, width / 2, height / 2), 0)]
        else:
            kept += 1
        journal.add(row["path"], Decision("accepted", tuple(found)), "w")
    journal.close()
    review(out)
    data = hclnet.read(out / "reviewed.json")
    assert len(data.samples) == 18 and len(data.ground_truth.boxes) == 18
    assert {*data.ground_truth.unchanged.values()} == {hclnet.load(run, "cpu").fingerprint()}
    assert len(data.ground_truth.unchanged) == kept > 5
    gone = next(iter(data.ground_truth.unchanged))
    assert len(data.ground_truth.without({gone}).unchanged) == kept - 1
    said: list[str] = []
    found = hclnet.calibrate(run, out / "reviewed.json", split="all", device="cpu", log=said.append)
    assert found.images == 18 and f"boxes of {kept} of these 18 images are this model's own" in "".join(said)
    said.clear()
    scored = hclnet.evaluate(run, out / "reviewed.json", "all", device="cpu", report=False, box="auto", log=said.append)
    assert f"boxes of {kept} of these 18 images are this model's own" in "".join(said)
    assert (scored.records.iou > 0.99).sum() >= kept  # right because they are its own
    # Another model is not favored, and is not said to be.
    text = (out / "reviewed.json").read_text()
    (out / "reviewed.json").write_text(text.replace(hclnet.load(run, "cpu").fingerprint(), "0" * 64))
    said.clear()
    hclnet.evaluate(run, out / "reviewed.json", "all", device="cpu", report=False, log=said.append)
    assert "own" not in "".join(said)
