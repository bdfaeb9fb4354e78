"""What was located before is written in other formats, from the journal alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import hclnet
from hclnet.formats.journal import FILE
from hclnet.workflows.convert import convert, read_results
from hclnet_runtime.data.images import image_size


@pytest.fixture
def located(birds: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four images in a folder, one of them below it, located with all that `locate` writes of them."""
    monkeypatch.chdir(tmp_path)
    images = sorted((birds / "images").rglob("*.jpg"))[:4]
    for image, name in zip(images, ("b.jpg", "a.jpg", "c d/ü.jpg", "z.jpg")):
        Path("photos", name).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(image, Path("photos", name))
    Path("photos", "broken.jpg").write_text("no image")
    hclnet.locate_files("photos", trained, "out", device="cpu", save=["masks"])
    return Path("out")


def test_the_files_are_those_that_locate_wrote(located: Path, tmp_path: Path):
    before = {path.name: path.read_bytes() for path in located.glob("*.json")}
    done = hclnet.convert(located, ["json", "coco"], "again")
    assert done.written and all(path.parent == Path("again") for path in done.written)
    assert {path.name: path.read_bytes() for path in done.written} == before
    boxes = [len(one["objects"]) for one in json.loads(before["boxes.json"])]
    assert (done.images, done.boxes) == (len(boxes), sum(boxes)) == (4, sum(boxes))
    shutil.rmtree("photos")  # neither images nor model are needed
    assert [path.read_bytes() for path in convert(located).written] == [before[path.name] for path in done.written]


def test_all_that_a_folder_has_located_is_in_the_files(located: Path, trained: Path):
    Path("more").mkdir()
    shutil.copy("photos/a.jpg", "more/a.jpg")
    hclnet.locate_files("more", trained, located, device="cpu", save=["masks"])
    names = [one.name for one in read_results(located).images]
    assert names == ["more/a.jpg", "photos/a.jpg", "photos/b.jpg", "photos/c d/ü.jpg", "photos/z.jpg"]


def test_an_image_that_was_named_in_two_ways_is_there_once(located: Path, trained: Path):
    hclnet.locate_files(Path("photos/a.jpg").resolve(), trained, located, device="cpu", save=["masks"])
    hclnet.locate_files("photos/../photos/a.jpg", trained, located, device="cpu", save=["masks"])
    assert [one.name for one in read_results(located).images] == ["a.jpg", "b.jpg", "c d/ü.jpg", "z.jpg"]


def test_names_are_relative_to_the_root_of_the_last_call(located: Path, trained: Path, monkeypatch: pytest.MonkeyPatch):
    assert [one.name for one in read_results(located).images] == ["a.jpg", "b.jpg", "c d/ü.jpg", "z.jpg"]
    here = Path.cwd()
    hclnet.locate_files("photos", trained, located, device="cpu", save=["masks"], image_root=".")
    assert read_results(located).images[0].name == "photos/a.jpg"
    (here / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert read_results(here / located).images[0].name == "photos/a.jpg"
    assert read_results(here / located, here / "photos").images[2].name == "c d/ü.jpg"
    with pytest.raises(ValueError, match=r"--image-root \.: photos/a\.jpg is not in it\. Name a folder above all\."):
        convert(here / located, image_root=".")


def test_results_say_what_made_them(located: Path):
    results, found = read_results(located), json.loads((located / FILE).read_text().splitlines()[0])
    assert results.classes == tuple(found["classes"]) and results.version == hclnet.__version__
    assert results.model_version == f"hclnet {hclnet.__version__} {found['model']['name']} {results.fingerprint[:8]}"
    one = results.images[0]
    assert one.file == Path("photos/a.jpg").resolve() and one.label == one.objects[0].label
    mask = one.objects[0].pixels(one.size)
    assert mask.shape == image_size(one.file)[::-1] == one.size[::-1] and mask.any()


def test_a_journal_of_before_has_no_absolute_paths(located: Path):
    header, *lines = map(json.loads, (located / FILE).read_text().splitlines())
    header.pop("image_root")
    rows = [{k: v for k, v in row.items() if k != "absolute"} | {"root": "photos"} for row in lines]
    (located / FILE).write_text("".join(json.dumps(row) + "\n" for row in (header, *rows)))
    assert [one.name for one in read_results(located).images] == ["a.jpg", "b.jpg", "c d/ü.jpg", "z.jpg"]


@pytest.mark.parametrize(
    ("folder", "formats", "said"),
    [
        ("photos", ["coco"], "photos has no results: there is no located.jsonl in it."),
        ("nowhere", ["coco"], "nowhere has no results"),
        ("out", ["xml"], "--format xml: there are json, coco"),
    ],
)
@pytest.mark.usefixtures("located")
def test_what_can_not_be_converted(folder: str, formats: list[str], said: str):
    with pytest.raises(ValueError, match=said):
        convert(folder, formats)
