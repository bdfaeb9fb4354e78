"""Located once, stopped, called again: nothing is lost, nothing is done twice, and nothing of two models is mixed."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import hclnet
from hclnet.localizer.localizer import Localizer
from hclnet.storage import Busy, Unwritable
from hclnet.workflows.locate import Located, locate_files

MODULE = sys.modules["hclnet.workflows.work"]
NAMES = ["a.png", "b.png", "c.png", "d.png"]
Locate = Callable[..., Located]


def draw(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(6, 0).repeat(6, 1)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("p").mkdir()
    for seed, name in enumerate(NAMES):
        draw(Path("p") / name, seed)
    return Path("p")


@pytest.fixture(scope="module")
def model(trained: Path) -> Localizer:
    return hclnet.load(trained, device="cpu")


@pytest.fixture
def locate(photos: Path, model: Localizer, monkeypatch: pytest.MonkeyPatch) -> Locate:
    """`locate_files` of the photos with a model that is loaded once, and that notes what it looks at in `seen`."""
    real = MODULE.Asked._locate

    def noted(self: Any, some: Any) -> None:
        call.seen += [one.path.name for one in some]
        real(self, some)

    def call(images: Any = "p", out: str = "out", **options: Any) -> Located:
        call.seen = []
        return locate_files(images, "mine", out, device="cpu", **options)

    monkeypatch.setattr(Localizer, "load", lambda folder, device: model)
    monkeypatch.setattr(MODULE.Asked, "_locate", noted)
    return call


def rows(out: str = "out") -> dict[str, dict[str, Any]]:
    """By file name, the lines of the journal; each image has one."""
    lines = [json.loads(line) for line in (Path(out) / "located.jsonl").read_text().splitlines()[1:]]
    assert len({line["path"] for line in lines}) == len(lines)
    return {Path(line["path"]).name: line for line in lines}


def boxed(out: str = "out") -> list[str]:
    coco = json.loads((Path(out) / "coco.json").read_text())
    names = [Path(one["path"]).name for one in json.loads((Path(out) / "boxes.json").read_text())]
    assert [Path(one["file_name"]).name for one in coco["images"]] == names
    return names


def files(out: str = "out") -> dict[str, bytes]:
    """But for whether the times of an image say that it is the same, which depends on how new it is."""
    found = {p.relative_to(out).as_posix(): p.read_bytes() for p in Path(out).rglob("*") if p.is_file()}
    return {name: re.sub(rb'"times": (null|\[[^]]*\])', b'"times"', data) for name, data in found.items()}


def stopping(monkeypatch: pytest.MonkeyPatch, at: int, how: Callable[[Path], None]) -> None:
    """Let something happen when the pictures of the image of this number are drawn."""
    real, drawn = MODULE.save_pictures, []

    def save(one: Any, *rest: Any) -> None:
        drawn.append(one.path)
        if len(drawn) == at:
            how(Path(one.path))
        real(one, *rest)

    monkeypatch.setattr(MODULE, "save_pictures", save)


def test_the_same_call_again_does_nothing_and_makes_the_same_files(locate: Locate):
    first = locate(save=["overlays", "masks", "heatmaps"])
    assert first.already == 0 and locate.seen == NAMES == boxed()
    before, logged = files(), []
    for name in ("boxes.json", "coco.json"):
        Path("out", name).unlink()
    again = locate(save=["overlays", "masks", "heatmaps"], log=logged.append)
    assert again.already == 4 and locate.seen == [] and again.localizations == first.localizations
    assert logged[0] == "4 of 4 images were located before; there is nothing new." and len(logged) == 5
    assert files() == before
    for one, other in zip(again.localizations, first.localizations):
        assert all(np.array_equal(a.mask, b.mask) for a, b in zip(one.objects, other.objects))
        assert one.objects[0].mask.any()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, None), (signal.SIGTERM, 143)])
def test_stopped_by_a_signal_the_files_have_what_is_located(
    locate: Locate, monkeypatch: pytest.MonkeyPatch, number: int, code: int | None
):
    names = [*NAMES, *(f"{letter}.png" for letter in "efghijklmnop")]
    for seed, name in enumerate(names):
        draw(Path("p") / name, seed)
    locate(out="whole")
    logged: list[str] = []
    with monkeypatch.context() as patch:
        stopping(patch, 3, lambda _: signal.raise_signal(number))
        with pytest.raises(KeyboardInterrupt if code is None else SystemExit) as stopped:
            locate(log=logged.append)
    assert code is None or stopped.value.code == code
    done = len(rows())  # the one that was being drawn, and those that the signal came after
    assert 3 <= done < len(names) and boxed() == names[:done] == list(rows())
    assert logged[-1].startswith(f"Stopped with {done} of 16 images located. The same")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert locate().already == done and locate.seen == names[done:]
    assert files() == files("whole")


def test_a_signal_in_the_middle_of_a_line_stops_after_it(locate: Locate, monkeypatch: pytest.MonkeyPatch):
    real = os.write

    def signalled(file: int, data: bytes) -> int:
        if b'"path"' in data:
            signal.raise_signal(signal.SIGTERM)
        return real(file, data)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(os, "write", signalled)
        locate()
    assert boxed() == NAMES[: len(rows())] == list(rows()) and rows()


def test_only_what_is_new_or_changed_is_located(locate: Locate):
    locate()
    before = rows()
    draw(Path("p/b.png"), 9)
    draw(Path("p/new.png"), 5)
    os.utime("p/c.png", (1, 1))  # touched, and the same
    locate()
    assert locate.seen == ["b.png", "new.png"] and boxed() == [*NAMES, "new.png"]
    assert rows()["c.png"] == before["c.png"] and rows()["b.png"]["objects"] != before["b.png"]["objects"]


def test_a_change_that_leaves_size_and_time_is_seen(locate: Locate):
    for seed, name in enumerate(NAMES):
        Image.fromarray(np.full((6, 8, 3), seed, np.uint8)).save(f"p/{name.replace('png', 'bmp')}")
        Path("p", name).unlink()
    locate()
    about = Path("p/b.bmp").stat()
    Image.fromarray(np.full((6, 8, 3), 77, np.uint8)).save("p/b.bmp")
    os.utime("p/b.bmp", ns=(about.st_atime_ns, about.st_mtime_ns))
    locate()
    assert locate.seen == ["b.bmp"]


def test_what_the_call_asks_for_is_in_the_files_and_all_is_in_the_journal(locate: Locate):
    locate()
    Path("p/a.png").unlink()
    locate(images=["p/c.png", "p"])
    assert boxed() == ["c.png", "b.png", "d.png"] and sorted(rows()) == NAMES and locate.seen == []


def test_pictures_that_are_missing_are_drawn(locate: Locate):
    locate()
    Path("out/overlays/b.jpg").unlink()
    locate()
    assert locate.seen == ["b.png"] and Path("out/overlays/b.jpg").exists()
    locate(save=["heatmaps"])
    assert locate.seen == NAMES and len(list(Path("out/heatmaps").iterdir())) == 4
    locate(save=["overlays", "heatmaps"])
    assert locate.seen == []


def test_masks_of_fewer_objects_leave_none_over(locate: Locate, monkeypatch: pytest.MonkeyPatch):
    locate(save=["masks"])
    assert Path("out/masks/b-1.png").exists()
    draw(Path("p/b.png"), 9)
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["hclnet_runtime.locating"], "find_objects", lambda *_: [])
        locate(save=["masks"])
    assert not Path("out/masks/b-1.png").exists() and Path("out/masks/a-1.png").exists()


def test_another_model_and_other_settings_are_refused(
    locate: Locate, model: Localizer, monkeypatch: pytest.MonkeyPatch
):
    locate()
    before = files()
    for options, said in (
        ({"top": 2}, "of top 1, not 2"),
        ({"box": "fixed:0.5"}, "of box auto, not fixed:0.5"),
        ({"classes": [model.classes[1]]}, "of asked none, not"),
    ):
        with pytest.raises(ValueError, match=said):
            locate(**options)
    bias = next(iter(model.method.parameters()))
    with monkeypatch.context() as patch:
        patch.setattr(bias, "data", bias.data + 1)
        with pytest.raises(ValueError, match="of the model mine before it was changed"):
            locate()
    assert files() == before and locate.seen == []
    assert locate(top=2, overwrite=True).already == 0 and locate.seen == NAMES


def test_the_folder_belongs_to_one_process(locate: Locate):
    import subprocess

    code = "import sys; from hclnet.storage import locked\nwith locked('out', 'locating'): print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(Busy, match=rf"out is in use by process {other.pid} on .* \(locating, since "):
            locate()
        other.communicate(b"\n")
    locate()


def test_what_can_not_be_read_is_tried_again(locate: Locate):
    whole = Path("p/b.png").read_bytes()
    Path("p/b.png").write_bytes(whole[:60])
    found = locate()
    assert boxed() == ["a.png", "c.png", "d.png"] and found.left_out == [rows()["b.png"]["left_out"]]
    locate()
    assert locate.seen == ["b.png"]
    Path("p/b.png").write_bytes(whole)
    assert locate().left_out == [] and locate.seen == ["b.png"] and boxed() == NAMES


@pytest.mark.parametrize("key", ["objects", "size", "pictures", "name", "file", "root", "predictions"])
def test_an_image_whose_line_is_damaged_is_located_again(locate: Locate, key: str):
    locate()
    before, journal = files(), Path("out", "located.jsonl")
    lines = journal.read_text().splitlines(keepends=True)
    lines[2] = lines[2].replace(f'"{key}"', f'"no {key}"')
    journal.write_text("".join(lines))
    assert locate().already == 3 and locate.seen == ["b.png"] and boxed() == NAMES
    now = files()
    assert sorted(now.pop("located.jsonl").splitlines()) == sorted(before.pop("located.jsonl").splitlines())
    assert now == before


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def no_memory(path: Path) -> None:
    raise MemoryError


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (cut, r"p/b\.png .*can't be decoded|p/b\.png"),
        (Path.unlink, r"There is no image file p/b\.png"),
        (no_memory, r"p/b\.png can't be located: MemoryError"),
        (lambda _: Path("out/overlays/b.jpg").mkdir(), r"p/b\.png is left out: out/overlays/b\.jpg can't be written"),
    ],
)
def test_one_file_does_not_stop_the_others(
    locate: Locate, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Path], None], said: str
):
    stopping(monkeypatch, 2, fault)
    found = locate()
    assert boxed() == ["a.png", "c.png", "d.png"] and len(found.left_out) == 1
    with pytest.raises(ValueError, match=said):
        raise ValueError(found.left_out[0])


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_no_room_for_a_picture_stops_and_keeps_what_is_there(
    locate: Locate, monkeypatch: pytest.MonkeyPatch, code: int
):
    real = Path.write_bytes

    def full(self: Path, data: Any) -> int:
        if self.suffix == ".jpg" and self.name.startswith(".c."):
            raise OSError(code, os.strerror(code))
        return real(self, data)

    with monkeypatch.context() as patch, pytest.raises(Unwritable, match=r"c\.jpg can't be written"):
        patch.setattr(Path, "write_bytes", full)
        locate()
    assert boxed() == NAMES[:2]
    assert locate().already == 2 and boxed() == NAMES


@pytest.mark.parametrize("fault", [None, MemoryError("full"), ValueError("a map is not finite")])
def test_several_images_at_a_time(locate: Locate, monkeypatch: pytest.MonkeyPatch, fault: Exception | None):
    """Where they can't be located together, each is located by itself."""
    locate(out="one")
    Path("p/b.png").write_bytes(Path("p/b.png").read_bytes()[:60])
    together, real, alone = [], Localizer.locate_batch, Localizer.locate

    def batch(self: Localizer, pictures: Any, *rest: Any) -> Any:
        together.append([Path(picture.path).name for picture in pictures])
        if fault is not None:
            raise fault
        return real(self, pictures, *rest)

    def single(self: Localizer, picture: Any, *rest: Any) -> Any:
        if fault is not None and picture.path.endswith("c.png"):
            raise fault
        return alone(self, picture, *rest)

    monkeypatch.setattr(Localizer, "batch", 3)
    monkeypatch.setattr(Localizer, "locate_batch", batch)
    monkeypatch.setattr(Localizer, "locate", single)
    found = locate()
    assert together == [["a.png", "c.png"]] and list(rows()) == NAMES
    assert boxed() == (["a.png", "c.png", "d.png"] if fault is None else ["a.png", "d.png"])
    assert len(found.left_out) == (1 if fault is None else 2)
    assert all(rows()[name]["objects"] == rows("one")[name]["objects"] for name in boxed())


def test_no_room_for_the_files_leaves_the_earlier_ones(locate: Locate, monkeypatch: pytest.MonkeyPatch):
    locate()
    before = files()
    draw(Path("p/new.png"), 5)
    real = Path.write_bytes

    def full(self: Path, data: Any) -> int:
        if self.suffix == ".json":
            real(self, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, data)

    with monkeypatch.context() as patch, pytest.raises(Unwritable, match="its disk is full") as caught:
        patch.setattr(Path, "write_bytes", full)
        locate()
    assert "\n" not in str(caught.value) and "new.png" in rows()
    assert {name: data for name, data in files().items() if name in before and name != "located.jsonl"} == {
        name: data for name, data in before.items() if name != "located.jsonl"
    }


def test_what_can_not_be_written_is_found_before_the_work(locate: Locate):
    Path("file").write_text("x")
    for out in ("file", "file/out"):
        with pytest.raises(Unwritable, match="file"):
            locate(out=out)
    Path("out").mkdir()
    Path("out/overlays").write_text("x")
    with pytest.raises(Unwritable, match="out/overlays"):
        locate()
    assert locate.seen == []


def test_what_a_killed_process_left_half_written_goes(locate: Locate):
    locate()
    half = [Path("out/overlays/.a.77-88.part.jpg"), Path("out/.boxes.77-88.part.json")]
    for file in half:
        file.write_text("x")
    Path("out/.mine").write_text("x")
    locate()
    assert not any(file.exists() for file in half) and Path("out/.mine").exists()


def test_the_same_place_may_be_named_in_two_ways(locate: Locate):
    located = locate(images=["p/a.png", Path("p").resolve(), "p/../p/b.png"])
    assert sorted(Path(one.path).name for one in located.localizations) == NAMES
    assert len({row["name"] for row in rows().values()}) == 4


def test_images_of_one_name_in_two_calls_keep_their_pictures(locate: Locate):
    shutil.copytree("p", "q")
    locate(images="p")
    before = Path("out/overlays/a.jpg").read_bytes()
    draw(Path("q/a.png"), 9)
    locate(images="q")
    assert Path("out/overlays/a.jpg").read_bytes() == before != Path("out/overlays/a-2.jpg").read_bytes()
    assert [one["path"] for one in json.loads(Path("out/boxes.json").read_text())] == [f"q/{name}" for name in NAMES]


def test_two_endings_and_two_cases_are_four_pictures(locate: Locate):
    for name in ("A.png", "a.bmp", "B.PNG"):
        shutil.copy("p/a.png", f"p/{name}")
    locate()
    overlays = [p.name for p in Path("out/overlays").iterdir()]
    assert len(overlays) == 7 == len({name.casefold() for name in overlays})


@pytest.mark.parametrize(
    "name", ["m" * 251 + ".png", "ü" * 120 + ".png", os.fsdecode(b"caf\xe9.png"), "a.jpg/x.png", "x.png/y.png", "-.png"]
)
def test_odd_names_are_located_like_others(locate: Locate, name: str):
    (Path("p") / name).parent.mkdir(exist_ok=True)
    shutil.copy("p/a.png", f"p/{name}")
    found = locate(save=["overlays", "heatmaps", "masks"])
    assert found.left_out == [] and len(boxed()) == 5 and f"p/{name}" in [one.path for one in found.localizations]
    assert locate(save=["overlays", "heatmaps", "masks"]).already == 5


def test_what_is_not_an_image_file_is_left_out_by_name(locate: Locate, monkeypatch: pytest.MonkeyPatch):
    os.mkfifo("p/pipe.png")
    Path("p/broken.png").symlink_to("nowhere.png")
    Path("p/circle").symlink_to("../p")
    Path("p/closed").mkdir()
    real = os.scandir

    def closed(path: Any) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", closed)
    found = locate(images=["p", "p/pipe.png", "gone.png", "x" * 300, "p/broken.png", "a\0b"])
    assert boxed() == NAMES
    for said in (
        "p/pipe.png is a pipe or a device",
        "p/broken.png is a link to nowhere.png, which does not exist",
        "The folder p/closed can't be read: Permission denied",
        "gone.png is not a file or a folder, and matches nothing",
        "xxx can't be read: File name too long",
        r"a\x00b can't be read",
    ):
        assert any(said in reason for reason in found.left_out), (said, found.left_out)


def test_own_results_in_the_folder_are_left_out_and_said(locate: Locate):
    locate(out="p/located")
    assert len(list(Path("p").rglob("*.jpg"))) == 4
    for images in ("p", ".", "p/**/*"):
        found = locate(images=images, out="second")
        assert len(found.localizations) == 4
    assert any("p/located" in reason for reason in locate(out="third").left_out)
    assert locate(out="p/located").left_out == []
    assert len(locate(images="p/located/overlays/a.jpg", out="fourth").localizations) == 1  # who names it, means it


def test_results_may_lie_among_the_images(locate: Locate):
    for _ in range(2):
        assert len(locate(out="p").localizations) == 4
    assert locate(out="p").already == 4


def test_names_in_coco_are_relative_to_a_root(locate: Locate):
    shutil.copytree("p", "q/deep")

    def names(**options: Any) -> list[str]:
        locate(save=[], **options)
        return [one["file_name"] for one in json.loads(Path("out/coco.json").read_text())["images"]]

    assert names() == NAMES
    assert names(images="q")[0] == "deep/a.png"
    assert names(images=["p", "q"])[3:5] == ["p/d.png", "q/deep/a.png"]
    assert names(images=["p/a.png"]) == ["a.png"] and names(images="p/*.png") == NAMES
    assert names(image_root=".") == [f"p/{name}" for name in NAMES]
    assert names(images=str(Path("p").resolve())) == NAMES
    with pytest.raises(ValueError, match=r"--image-root q: p/a\.png is not in it"):
        names(image_root="q")
    with pytest.raises(ValueError, match="--image-root nowhere: there is no such folder"):
        names(image_root="nowhere")
