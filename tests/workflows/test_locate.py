"""Which files arguments mean, what their results are called, and what is written of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from hclnet.data.named import find_images
from hclnet.formats.names import Names
from hclnet.workflows.load import load
from hclnet.workflows.locate import locate_files

pytestmark = pytest.mark.precision


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("p/a.jpg", "p/a.png", "p/a-2.png", "p/sub/a.jpg", "q/a.jpg", "-x.jpg", "[1].jpg", "~x.jpg", "b c.JPG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    (tmp_path / "p" / "notes.txt").write_text("x")
    return tmp_path


def found(*arguments: str) -> dict[str, str]:
    names = Names()
    return {one.path.as_posix(): names.free(one.name) for one in find_images(arguments).images}


def test_a_folder_has_its_images_under_their_paths(photos: Path):
    assert found("p") == {"p/a-2.png": "a-2", "p/a.jpg": "a", "p/a.png": "a-3", "p/sub/a.jpg": "sub/a"}


def test_no_two_images_share_a_name(photos: Path):
    everything = found("p", "q", "p/a.png", "b c.JPG", "p/sub/*.jpg")
    assert len(everything) == 6 and len(set(everything.values())) == 6
    assert everything["q/a.jpg"] == "a-4"


@pytest.mark.parametrize("name", ["-x.jpg", "[1].jpg", "~x.jpg", "b c.JPG"])
def test_a_file_goes_by_its_name(photos: Path, name: str):
    assert found(name) == {name: name[:-4]}


def test_globs(photos: Path):
    assert list(found("p/*.png")) == ["p/a-2.png", "p/a.png"]
    assert list(found("**/a.jpg")) == ["p/a.jpg", "p/sub/a.jpg", "q/a.jpg"]
    assert next(iter(found(str(photos / "q" / "*")))).endswith("q/a.jpg")


def test_a_file_named_is_taken_whatever_it_is_called(photos: Path):
    assert list(found("p/notes.txt")) == ["p/notes.txt"]


def test_earlier_results_are_no_images(photos: Path):
    (photos / "p" / "located" / "overlays").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(photos / "p/located/overlays/a.jpg")
    out = Path("p/located")
    assert len(find_images(["p"], out).images) == 4 and len(find_images(["p"]).images) == 5
    three = ["p/a.jpg", "p/sub/a.jpg", "q/a.jpg"]
    assert [one.path.as_posix() for one in find_images(["**/a.jpg"], out).images] == three
    assert len(find_images(["p/located/overlays/a.jpg"], out).images) == 1  # who names it, means it


@pytest.mark.parametrize("argument", ["gone.jpg", "gone/*.jpg", "~nobody-of-this-name/x.jpg"])
def test_nothing_there(photos: Path, argument: str):
    with pytest.raises(ValueError, match="is not a file or a folder, and matches nothing"):
        find_images([argument])


def test_files_are_boxed_from_python(photos: Path, trained: Path):
    (photos / "p" / "b.jpg").write_text("no image")
    lines: list[str] = []
    found = locate_files(
        "p", trained, "out", device="cpu", formats=["json"], log=lines.append, listed=2, box="fixed:0.3"
    )
    assert [Path(one.path).name for one in found.localizations] == ["a-2.png", "a.jpg", "a.png", "a.jpg"]
    assert found.written == [Path("out/boxes.json"), Path("out/overlays")] and all(p.exists() for p in found.written)
    assert len(list(Path("out/overlays").rglob("*.jpg"))) == 4 and not Path("out/coco.json").exists()
    assert len(found.left_out) == 1 and "p/b.jpg" in found.left_out[0]
    assert len(lines) == 3 and lines[0].startswith("p/a-2.png: ") and lines[2] == "... and 2 more"
    assert locate_files(["p/a.jpg", Path("q")], trained, "two", device="cpu").left_out == []


def test_classes_asked_for_are_boxed_where_they_are(photos: Path, trained: Path):
    classes, lines = load(trained, "cpu").classes, []
    asked = {"classes": [classes[2]], "formats": ["json"], "save": [], "device": "cpu", "log": lines.append}
    for least, there in ((0.0, True), (1.0, False)):
        (one,) = locate_files("p/a.jpg", trained, f"out-{least}", min_score=least, **asked).localizations
        assert {o.label for o in one.objects} <= {classes[2]}
        assert (": no object" not in lines[-1]) is there
    with pytest.raises(ValueError, match="No such class: dodo"):
        locate_files("p/a.jpg", trained, "out", device="cpu", classes=["dodo"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"formats": ["xml"]}, "json, coco"), ({"save": ["films"]}, "overlays"), ({"box": "otsu9"}, "otsu9")],
)
def test_a_wrong_setting_is_told_before_any_work(photos: Path, trained: Path, settings: dict, message: str):
    with pytest.raises(ValueError, match=message):
        locate_files("p", trained, "out", device="cpu", **settings)
    assert not Path("out").exists()
