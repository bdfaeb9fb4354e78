"""The journal: whatever a process leaves of it when it is killed, each image is in it once or not at all."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from hclnet.formats.journal import FILE, OtherResults, opened, pictures_of, read_journal
from hclnet.storage import Unwritable

ODD = os.fsdecode(b"caf\xe9 \xf0\x9f\x90\xa6\n\xc3\xbc.jpg")


def header(**changes: Any) -> dict[str, Any]:
    settings = {"top": 1, "asked": None, "box": "auto", "scales": (1.0, 1.5)}
    model = {"name": "runs/mine", "fingerprint": "ab"}
    return {"hclnet": "1.0", "format": 1, "model": model, "settings": settings, "classes": ["a", "b"]} | changes


def row(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "name": Path(path).stem, "objects": [], "pictures": [], **more}


def paths(folder: Path) -> list[str]:
    """Those of the lines in the file, one by one."""
    lines = (folder / FILE).read_bytes().split(b"\n")
    assert lines[-1] == b""
    return [json.loads(line)["path"] for line in lines[1:-1]]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A journal of three images, one of which has a name that is not unicode."""
    with opened(tmp_path, header()) as journal:
        for path in ("a.png", ODD, "ü.png"):
            journal.add(row(path))
    return tmp_path


def test_what_was_written_is_gone_on_with(made: Path):
    assert paths(made) == ["a.png", ODD, "ü.png"]
    with opened(made, header()) as journal:
        assert list(journal.rows) == ["a.png", ODD, "ü.png"] and journal.header == json.loads(json.dumps(header()))
        journal.add(row("new.png"))
    assert paths(made) == ["a.png", ODD, "ü.png", "new.png"]


def test_a_journal_that_was_removed_is_not_written_into_the_void(made: Path):
    with pytest.raises(Unwritable, match="was removed while results were written"), opened(made, header()) as journal:
        journal.add(row("new.png"))
        (made / FILE).unlink()
        journal.add(row("lost.png"))


def test_cut_at_any_byte_it_goes_on_to_the_same_end(made: Path):
    """As a kill in the middle of a write, or a loss of power, leaves it."""
    data, wanted = (made / FILE).read_bytes(), ["a.png", ODD, "ü.png"]
    ends = [at for at, byte in enumerate(data) if byte == ord("\n")]
    for at in range(len(data)):
        (made / FILE).write_bytes(data[:at])
        with opened(made, header()) as journal:
            assert list(journal.rows) == wanted[: max(0, sum(end < at for end in ends) - 1)]
            for path in wanted:
                if path not in journal.rows:
                    journal.add(row(path))
        assert (made / FILE).read_bytes() == data


@pytest.mark.parametrize("end", [b"\0" * 40, b"\0" * 40 + b"\n", b"[1]\n", b'{"name": "x"}\n', b"\xff\n", b"\n"])
def test_what_is_not_a_line_is_dropped(made: Path, end: bytes):
    data = (made / FILE).read_bytes()
    first, _, rest = data.partition(b"\n")
    for damaged in (data + end, first + b"\n" + (end if end[-1:] == b"\n" else end + b"\n") + rest):
        (made / FILE).write_bytes(damaged)
        with opened(made, header()) as journal:
            assert list(journal.rows) == ["a.png", ODD, "ü.png"]
        assert (made / FILE).read_bytes() == data


def test_an_image_that_is_located_again_is_in_it_once(made: Path):
    with opened(made, header()) as journal:
        journal.add(row("a.png", objects=[1]))
        journal.add(row("a.png", objects=[1, 2]))
        assert paths(made).count("a.png") == 3  # nothing is taken away while work goes on
    assert sorted(paths(made)) == sorted(["a.png", ODD, "ü.png"])
    assert read_journal(made / FILE)[1]["a.png"]["objects"] == [1, 2]


def test_after_a_kill_an_image_is_in_it_once_from_the_next_start(made: Path):
    with (made / FILE).open("ab") as file:  # as nobody was there to leave it tidy
        file.write(json.dumps(row("a.png", objects=[7])).encode() + b"\n")
    with opened(made, header()) as journal:
        assert sorted(paths(made)) == sorted(["a.png", ODD, "ü.png"])
        assert journal.rows["a.png"]["objects"] == [7]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (header(hclnet="1.1"), "has results of hclnet 1.0, not 1.1."),
        (header(model={"name": "runs/other", "fingerprint": "cd"}), "of the model runs/mine, not runs/other."),
        (header(model={"name": "runs/mine", "fingerprint": "cd"}), "of the model runs/mine before it was changed."),
        (header(settings={**header()["settings"], "top": 3}), "of top 1, not 3."),
        (header(settings={**header()["settings"], "asked": ["b", "a"]}), "of asked none, not b, a."),
        (header(settings={**header()["settings"], "scales": [1.0]}), "of scales 1.0, 1.5, not 1.0."),
        (header(settings={**header()["settings"], "new": 1, "top": 2}), "of new none, not 1; top 1, not 2."),
    ],
)
def test_results_of_other_settings_are_refused(made: Path, other: dict[str, Any], said: str):
    before = (made / FILE).read_bytes()
    with pytest.raises(OtherResults) as caught, opened(made, other):
        pass
    assert said in str(caught.value) and "--out" in str(caught.value) and "--overwrite" in str(caught.value)
    assert (made / FILE).read_bytes() == before


def test_a_model_that_was_moved_is_the_same(made: Path):
    with opened(made, header(model={"name": "elsewhere", "fingerprint": "ab"})) as journal:
        assert len(journal.rows) == 3


def test_results_of_other_settings_can_be_dropped_with_their_pictures(made: Path):
    drawn = row("b.png", objects=[1, 2], pictures=["overlays", "masks"])
    with opened(made, header()) as journal:
        journal.add(drawn)
    files = pictures_of(made, drawn)
    assert [f.relative_to(made).as_posix() for f in files] == ["overlays/b.jpg", "masks/b-1.png", "masks/b-2.png"]
    for file in (*files, made / "overlays" / "mine.jpg"):
        file.parent.mkdir(exist_ok=True)
        file.touch()
    with opened(made, header(), overwrite=True) as journal:
        assert len(journal.rows) == 4 and files[0].exists()  # of the same settings they are gone on with
    with opened(made, header(hclnet="2"), overwrite=True) as journal:
        assert not journal.rows
    assert read_journal(made / FILE)[0]["hclnet"] == "2"
    assert [f.name for f in made.rglob("*.jpg")] == ["mine.jpg"] and not list(made.rglob("*.png"))


@pytest.mark.parametrize("content", [b"notes of mine\n", b'[{"a": 1}]\n', b"{}\n", b'{"hclnet": \n', b"\x89PNG"])
def test_what_is_not_a_journal_is_left_as_it_is(tmp_path: Path, content: bytes):
    (tmp_path / FILE).write_bytes(content)
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="is not a journal of hclnet"), opened(tmp_path, header(), overwrite):
            pass
    assert (tmp_path / FILE).read_bytes() == content


def test_a_journal_of_a_later_version_is_refused(tmp_path: Path):
    (tmp_path / FILE).write_text(json.dumps(header(format=2)) + "\n")
    said = r"written by hclnet 1\.0 in format 2, not 1\. Name another folder with --out"
    with pytest.raises(ValueError, match=said), opened(tmp_path, header()):
        pass


@pytest.mark.parametrize("taken", [0, 5])
def test_a_full_disk_leaves_whole_lines(made: Path, monkeypatch: pytest.MonkeyPatch, taken: int):
    before, real, calls = (made / FILE).read_bytes(), os.write, []

    def full(file: int, data: bytes) -> int:
        calls.append(data)
        if taken and len(calls) == 1:  # the system takes what there is room for first
            return real(file, data[:taken])
        raise OSError(errno.ENOSPC, "No space left on device")

    with opened(made, header()) as journal:
        with (
            monkeypatch.context() as patch,
            pytest.raises(Unwritable, match=r"located\.jsonl can't be written: its disk"),
        ):
            patch.setattr(os, "write", full)
            journal.add(row("b.png"))
        assert "b.png" not in journal.rows
    assert (made / FILE).read_bytes() == before
