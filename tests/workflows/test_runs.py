"""A run knows its data by their bytes: what is its own, what is other data's, and what is not what it was."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

import hclnet
from hclnet import calibrate
from hclnet.data import read
from hclnet.localizer.localizer import Localizer
from hclnet.metrics import load_records
from hclnet.workflows.compare import compare

RECIPE: dict[str, Any] = {"size": 32, "epochs": 1, "width": 8, "method": "cam", "device": "cpu", "weights": "none"}
QUIET: dict[str, Any] = {"device": "cpu", "report": False}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `photos`, 12 training and 6 test images of three classes, and `run`; not to be changed."""
    home = tmp_path_factory.mktemp("made")
    for label, color in (("blue", (20, 40, 200)), ("green", (10, 200, 30)), ("red", (210, 30, 30))):
        for split, count in (("train", 4), ("test", 2)):
            for k in range(count):
                path = home / "photos" / split / label / f"{k}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (40 + k, 36), color).save(path)
    hclnet.train(home / "photos", home / "run", report=False, **RECIPE)
    hclnet.evaluate(home / "run", **QUIET)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of it all, whose run says that it was trained there."""
    shutil.copytree(made, tmp_path / "home")
    say_trained_on(tmp_path / "home" / "run", tmp_path / "home" / "photos")
    return tmp_path / "home"


def say_trained_on(run: Path, data: Path | str) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**config, "data": str(data)}))


def contents(folder: Path) -> dict[str, bytes]:
    """All files but those that say whose the folder is."""
    files = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".hclnet"))
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def documented(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.json").read_text())["data"]


def test_an_evaluation_changes_no_file_of_the_run_and_says_which_data_it_is_of(home: Path):
    run = home / "run"
    hclnet.evaluate(run, **QUIET)
    before = contents(run)
    result = hclnet.evaluate(run, **QUIET)
    assert contents(run) == before and result.folder == run / "evaluation" / "test"
    data = documented(result.folder)
    assert data == result.metrics["data"] and len(data.pop("fingerprint")) == 64
    there = str(home / "photos")
    assert data == {"path": there, "root": there, "split": "test", "images_expected": 6, "images": 6}


def test_other_data_has_a_place_of_its_own(home: Path):
    run, own = home / "run", contents(home / "run" / "evaluation" / "test")
    other = shutil.copytree(home / "photos", home / "other" / "photos")
    (other / "test" / "red" / "1.png").unlink()
    result = hclnet.evaluate(run, other, **QUIET)
    assert result.folder.parent.parent == run / "evaluation" and result.folder.parent.name.startswith("photos-")
    assert (documented(result.folder)["root"], documented(result.folder)["images_expected"]) == (str(other), 5)
    Image.new("RGB", (40, 36), (0, 255, 0)).save(other / "test" / "green" / "0.png")  # as many, and other pixels
    again = hclnet.evaluate(run, other, **QUIET)
    assert again.folder.parent.parent == result.folder.parent.parent and again.folder != result.folder
    assert contents(run / "evaluation" / "test") == own
    # By another protocol, or in a folder that is named, as ever.
    assert hclnet.evaluate(run, protocol="wsoleval", **QUIET).folder == run / "evaluation" / "test-wsoleval"


def test_the_same_images_with_other_boxes_are_other_data(home: Path):
    rows = ["path,label,split,x0,y0,x1,y1"]
    for sample in read(home / "photos").samples:
        rows.append(f"{sample.path},{sample.path.parent.name},{sample.split},1,1,20,{20 + len(rows)}")
    for name in ("one", "two"):
        (home / f"{name}.csv").write_text("\n".join(rows) + "\n")
    folders = [hclnet.evaluate(home / "run", home / f"{name}.csv", **QUIET).folder for name in ("one", "two")]
    (home / "two.csv").write_text("\n".join(rows).replace(",1,1,20,", ",1,1,30,") + "\n")
    folders.append(hclnet.evaluate(home / "run", home / "two.csv", **QUIET).folder)
    names = [folder.parent.name for folder in folders]
    assert len(set(names)) == 3 and names[0].startswith("one-") and names[1].partition("-")[0] == "two"


def test_a_copy_to_which_boxes_were_added_is_other_data(home: Path):
    copy, rows = shutil.copytree(home / "photos", home / "copy"), ["path,label,split,x0,y0,x1,y1"]
    for sample in read(copy).samples:
        rows.append(f"{sample.id},{sample.path.parent.name},{sample.split},1,1,20,20")
    assert hclnet.evaluate(home / "run", copy, **QUIET).folder == home / "run" / "evaluation" / "test"
    (copy / "manifest.csv").write_text("\n".join(rows) + "\n")
    result = hclnet.evaluate(home / "run", copy, **QUIET)
    assert "gt_known" in result.metrics and result.folder.parent.name.startswith("copy-")


def test_data_that_moved_is_the_runs_own(home: Path):
    run = home / "run"
    moved = (home / "photos").rename(home / "elsewhere")
    with pytest.raises(ValueError, match=rf"trained on {home}/photos, and there is no {home}/photos\. .* --data"):
        hclnet.evaluate(run, **QUIET)
    result = hclnet.evaluate(run, moved, **QUIET)
    assert result.folder == run / "evaluation" / "test" and documented(result.folder)["root"] == str(moved)
    # And it can be gone on with.
    assert hclnet.train(moved, run, resume=True, report=False).finished


def test_images_that_are_gone_are_refused_or_listed(home: Path):
    run, logged = home / "run", []
    own = contents(run / "evaluation" / "test")
    for name in ("blue/0.png", "red/1.png"):
        (home / "photos" / "test" / name).unlink()
    with pytest.raises(ValueError, match=r"2 test images of 6 that .*data\.csv lists can't be found in") as caught:
        hclnet.evaluate(run, **QUIET)
    assert "--on-bad-image skip" in str(caught.value) and "\n  test/blue/0.png\n  test/red/1.png" in str(caught.value)
    with pytest.raises(ValueError, match="can't be found"):
        calibrate(run, split="test", device="cpu")
    assert contents(run / "evaluation" / "test") == own
    result = hclnet.evaluate(run, on_bad_image="skip", log=logged.append, **QUIET)
    assert result.metrics["images"] == 4 and "test/blue/0.png" in logged[0] and "2 test images of 6" in logged[0]
    assert (documented(result.folder)["images_expected"], documented(result.folder)["images"]) == (6, 4)
    with (result.folder / "skipped.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["class"]) for row in rows] == [("test/blue/0.png", "blue"), ("test/red/1.png", "red")]
    # A list of before does not stay beside figures that it has nothing to do with.
    for name in ("blue", "red"):
        shutil.copy(home / "photos" / "train" / name / "0.png", home / "photos" / "test" / name / "2.png")
    assert hclnet.evaluate(run, home / "photos", out=result.folder, **QUIET).metrics["images"] == 6
    assert not (result.folder / "skipped.csv").exists()


@pytest.mark.parametrize("gone", ["a class", "the split"])
def test_whole_folders_that_are_gone_are_missed_too(home: Path, gone: str):
    shutil.rmtree(home / "photos" / "test" / ("red" if gone == "a class" else ""))
    if gone == "a class":
        shutil.rmtree(home / "photos" / "train" / "red")
    with pytest.raises(ValueError, match=rf"{2 if gone == 'a class' else 6} test images of 6 .* can't be found"):
        hclnet.evaluate(home / "run", **QUIET)


def test_pixels_that_changed_are_not_the_runs_own_any_more(home: Path):
    run, own = home / "run", contents(home / "run" / "evaluation" / "test")
    changed = home / "photos" / "test" / "green" / "1.png"
    Image.new("RGB", (41, 36), (255, 255, 255)).save(changed)
    with pytest.raises(
        ValueError, match=r"1 test image of 6 in .* not what they were .*: test/green/1\.png\..* --data "
    ):
        hclnet.evaluate(run, **QUIET)
    logged: list[str] = []
    result = hclnet.evaluate(run, home / "photos", log=logged.append, **QUIET)
    assert result.folder != run / "evaluation" / "test" and "place of their own" in logged[-1]
    assert contents(run / "evaluation" / "test") == own
    assert hclnet.evaluate(run, split="train", **QUIET).folder == run / "evaluation" / "train"  # these have not changed


@pytest.mark.parametrize("how", ["other pixels", "as large, time set back"])
def test_a_run_does_not_go_on_with_other_pixels(home: Path, how: str):
    path = home / "photos" / "train" / "red" / "2.png"
    before, stat = path.read_bytes(), path.stat()
    if how == "other pixels":
        Image.new("RGB", (42, 36), (0, 0, 0)).save(path)
    else:
        Image.new("RGB", (42, 36), (30, 210, 30)).save(path)
        path.write_bytes(path.read_bytes()[: len(before)].ljust(len(before), b"\0"))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(
        ValueError, match=r"1 training image of 12 in .* not what they were when it began: train/red/2\.p"
    ):
        hclnet.train(home / "photos", home / "run", resume=True, report=False)
    path.write_bytes(before)
    assert hclnet.train(home / "photos", home / "run", resume=True, report=False).finished


def test_going_on_keeps_what_was_written_down_of_images_that_went(home: Path):
    (home / "photos" / "test" / "red" / "0.png").unlink()
    before = contents(home / "run")["data.csv"]
    hclnet.train(home / "photos", home / "run", resume=True, report=False)
    assert sorted(contents(home / "run")["data.csv"].splitlines()) == sorted(before.splitlines())
    with pytest.raises(ValueError, match="1 test image of 6"):
        hclnet.evaluate(home / "run", **QUIET)


def before_fingerprints(run: Path) -> None:
    """As a version left it that knew none."""
    (run / "data.json").unlink()
    with (run / "data.csv").open(newline="") as file:
        rows = [f"{row['id']},{row['class']},{row['split']}" for row in csv.DictReader(file)]
    (run / "data.csv").write_text("\n".join(["id,class,split", *rows]) + "\n")


def test_runs_of_before_find_their_data_and_tell_it_from_other(home: Path, monkeypatch: pytest.MonkeyPatch):
    run = home / "runs" / "run"
    shutil.copytree(home / "run", run)
    before_fingerprints(run)
    say_trained_on(run, "photos")  # relative to the folder that it was trained in
    elsewhere = home / "elsewhere"
    shutil.copytree(home / "photos" / "train", elsewhere / "photos")  # another folder of that name, with another split
    for place, data in ((home, home), (elsewhere, home), (home / "photos", home)):
        monkeypatch.chdir(place)
        result = hclnet.evaluate(run, **QUIET)
        assert result.folder == run / "evaluation" / "test" and documented(result.folder)["root"] == f"{data}/photos"
    # Where there is only the other one, its images are not taken for the run's.
    shutil.rmtree(home / "photos")
    monkeypatch.chdir(elsewhere)
    with pytest.raises(ValueError, match="6 test images of 6 that"):
        hclnet.evaluate(run, **QUIET)
    monkeypatch.chdir(home / "run")
    with pytest.raises(ValueError, match=rf"trained on photos, and there is no .*{home}/runs/photos.* --data"):
        hclnet.evaluate(run, **QUIET)


def test_runs_of_before_know_their_own_data_by_names(home: Path):
    before_fingerprints(home / "run")
    moved = shutil.copytree(home / "photos", home / "moved")
    assert hclnet.evaluate(home / "run", moved, **QUIET).folder == home / "run" / "evaluation" / "test"
    (moved / "test" / "red" / "1.png").unlink()
    assert hclnet.evaluate(home / "run", moved, **QUIET).folder != home / "run" / "evaluation" / "test"
    assert hclnet.train(home / "photos", home / "run", resume=True, report=False).finished


def few(home: Path, *labels: str, split: str = "test", count: int = 2) -> Path:
    """A manifest of images of these classes with boxes, the classes named as the run does or otherwise."""
    folder = {"Red": "red", "pink": "red"}
    rows = [f"photos/{split}/{folder.get(k, k)}/{n}.png,{k},test,2,2,20,20" for k in labels for n in range(count)]
    (home / "few.csv").write_text("\n".join(["path,label,split,x0,y0,x1,y1", *rows]) + "\n")
    return home / "few.csv"


@pytest.mark.parametrize("labels", [("red", "green"), ("red", "blue", "green")])
def test_a_part_of_the_classes_in_any_order_is_enough(home: Path, labels: tuple[str, ...]):
    result = hclnet.evaluate(home / "run", few(home, *labels), **QUIET)
    records = load_records(result.folder / "records.npz")
    classes = Localizer.load(home / "run").classes
    assert [classes[k] for k in records.labels] == [Path(p).parent.name for p in records.paths]
    with (result.folder / "classes.csv").open(newline="") as file:
        assert {row["class"]: row["images"] for row in csv.DictReader(file)} == dict.fromkeys(labels, "2")
    own = load_records(home / "run" / "evaluation" / "test" / "records.npz")
    rank = {Path(p).relative_to(p.partition("photos")[0]): r for p, r in zip(own.paths, own.rank.tolist())}
    assert [rank[Path(p).relative_to(home)] for p in records.paths] == records.rank.tolist()


def test_calibration_takes_boxes_of_some_classes(home: Path):
    data = few(home, "red", "green", split="train", count=4)
    found = calibrate(home / "run", data, split="test", device="cpu")
    written = json.loads((home / "run" / "localizer" / "calibration.json").read_text())
    assert found.images == 8 and (written["data"]["path"], written["data"]["images"]) == (str(data), 8)


def test_training_images_among_those_scored_are_told_of_by_their_bytes(home: Path):
    few = home / "others" / "test"
    for k, name in enumerate(("blue", "red", "red")):
        (few / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (50 + k, 36), "white").save(few / name / f"{k}.png")
    logged: list[str] = []
    hclnet.evaluate(home / "run", home / "others", log=logged.append, **QUIET)
    assert not [line for line in logged if "was trained on" in line]
    shutil.copy(home / "photos" / "train" / "green" / "3.png", few / "red" / "again.png")
    hclnet.evaluate(home / "run", home / "others", log=logged.append, **QUIET)
    assert "The run was trained on 1 of these 4 images, such as test/red/again.png: " in " ".join(logged)


def test_a_copy_that_lost_an_image_and_is_divided_anew_shows_which_images_were_trained_on(home: Path):
    """Without folders for splits; the run's own are those that it wrote down."""
    flat = home / "flat"
    for k, name in enumerate(("blue", "green", "red")):
        (flat / name).mkdir(parents=True)
        for i in range(10):
            Image.new("RGB", (40 + k, 30 + i), (20 * i, 90 * k, 9)).save(flat / name / f"{i}.png")
    hclnet.train(flat, home / "third", report=False, **RECIPE)
    with (home / "third" / "data.csv").open() as file:
        rows = list(csv.DictReader(file))
    trained = {row["id"] for row in rows if row["split"] == "train"}
    for row in [row for row in rows if row["split"] == "test"][::2]:
        (flat / row["id"]).unlink()
    expected = sum(s.id in trained for s in read(flat).split("test"))
    logged: list[str] = []
    hclnet.evaluate(home / "third", flat, log=logged.append, **QUIET)
    assert expected and f"The run was trained on {expected} of these " in " ".join(logged)


def test_only_unknown_names_are_refused_and_can_be_left_out(home: Path):
    with pytest.raises(ValueError, match=r"Red \(2 images; do you mean red\?\).* --ignore-unknown-classes"):
        hclnet.evaluate(home / "run", few(home, "Red", "green"), **QUIET)
    logged: list[str] = []
    result = hclnet.evaluate(
        home / "run", few(home, "pink", "green"), ignore_unknown_classes=True, log=logged.append, **QUIET
    )
    assert result.metrics["images"] == 2 and "2 images of classes that the run does not have: pink" in logged[0]
    names = (
        r"No test image in .* is of a class of the run\. There they are called pink; the run knows blue, green, red\."
    )
    with pytest.raises(ValueError, match=names):
        hclnet.evaluate(home / "run", few(home, "pink"), ignore_unknown_classes=True, **QUIET)


def test_a_comparison_is_of_one_data_set(home: Path):
    recipe = {k: v for k, v in RECIPE.items() if k not in ("method", "width")} | {"report": False}
    out = home / "compared"
    (row,) = compare(home / "photos", ["cam"], out, **recipe)
    assert row["data"] == {**hclnet.evaluate(out / row["run"], **QUIET).metrics["data"]}
    (home / "photos" / "test" / "red" / "0.png").unlink()
    with pytest.raises(
        ValueError, match=r"begun on other data .* of the 6 test images .* 1 can't be found .*red/0\.png"
    ):
        compare(home / "photos", ["cam"], out, **recipe)
    (fewer,) = compare(home / "photos", ["cam"], out, on_bad_image="skip", **recipe)
    assert (fewer["data"]["images_expected"], fewer["data"]["images"]) == (6, 5)
    Image.new("RGB", (40, 36), (9, 9, 9)).save(home / "photos" / "train" / "red" / "0.png")
    with pytest.raises(ValueError, match=r"of the 12 train images .* 1 are not what they were: train/red/0\.png"):
        compare(home / "photos", ["cam"], out, on_bad_image="skip", **recipe)


def test_an_unknown_policy(home: Path):
    with pytest.raises(ValueError, match="--on-bad-image ignore: there are fail and skip"):
        hclnet.evaluate(home / "run", on_bad_image="ignore", **QUIET)
