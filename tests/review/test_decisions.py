"""The journal of decisions: nothing is lost, nothing is overwritten unseen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hclnet.review.decisions import FILE, Conflict, Decision, Decisions, Marked
from hclnet.storage import Unwritable

BOX = Marked("fox", (1.0, 2.0, 30.5, 40.0), 0)
OTHER = Marked("hare", (1.0, 2.0, 9.0, 9.0))


def accepted(revision: int = 0, *objects: Marked, shown: object = "chosen") -> Decision:
    return Decision("accepted", objects or (BOX,), revision, shown, "f" * 8)


def test_a_decision_is_on_the_disk_when_it_is_made_and_there_again_at_the_next_start(tmp_path: Path):
    journal = Decisions(tmp_path)
    odd = os.fsdecode(b"caf\xe9 \xf0\x9f\x90\xa6\n#.jpg")
    journal.add("a.jpg", accepted(shown="random"), "w")
    journal.add(odd, Decision("empty", ()), "w")
    again = Decisions(tmp_path)  # the first one was not closed, as after a kill
    assert again["a.jpg"] == accepted(1, shown="random") and again[odd] == Decision("empty", (), 1)
    assert again["b.jpg"] is None and again.seed == journal.seed


def test_an_older_revision_is_refused_and_nothing_is_written(tmp_path: Path):
    journal = Decisions(tmp_path)
    journal.add("a.jpg", accepted(), "first")
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(Conflict, match=r"a\.jpg was changed in another window"):
        journal.add("a.jpg", Decision("rejected", (), 0), "second")
    assert (tmp_path / FILE).read_bytes() == before and journal["a.jpg"] == accepted(1)


def test_undo_goes_back_step_by_step_in_each_window_by_itself(tmp_path: Path):
    journal = Decisions(tmp_path)
    journal.add("a.jpg", accepted(0), "one")
    journal.add("b.jpg", Decision("empty", ()), "two")
    journal.add("a.jpg", accepted(1, OTHER), "one")
    assert journal.undo("one") == "a.jpg" and journal["a.jpg"].objects == (BOX,)
    again = Decisions(tmp_path)  # also after a start
    assert again.undo("one") == "a.jpg" and again["a.jpg"] is None
    assert again.undo("one") is None and again["b.jpg"].verdict == "empty"
    assert again.revision("a.jpg") == 4  # what was undone is not forgotten
    third = Decisions(tmp_path)
    assert third["a.jpg"] is None and third.undo("one") is None


def test_what_another_window_changed_since_is_not_undone(tmp_path: Path):
    journal = Decisions(tmp_path)
    journal.add("a.jpg", accepted(), "one")
    journal.add("a.jpg", accepted(1, OTHER), "two")
    with pytest.raises(Conflict, match="in another window since"):
        journal.undo("one")
    assert journal["a.jpg"].objects == (OTHER,)
    assert journal.undo("two") == "a.jpg" and journal.undo("one") == "a.jpg" and journal["a.jpg"] is None


@pytest.mark.parametrize("cut", [1, 20])
def test_a_line_that_a_kill_cut_off_is_dropped(tmp_path: Path, cut: int):
    journal = Decisions(tmp_path)
    journal.add("a.jpg", accepted(), "w")
    journal.add("b.jpg", accepted(), "w")
    data = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(data[:-cut])
    again = Decisions(tmp_path)
    assert again["a.jpg"] == accepted(1) and again["b.jpg"] is None
    again.add("b.jpg", accepted(), "w")
    assert (tmp_path / FILE).read_bytes().count(b"\n") == 3 and Decisions(tmp_path)["b.jpg"] == accepted(1)


def test_a_header_that_a_kill_cut_off_is_begun_anew(tmp_path: Path):
    (tmp_path / FILE).write_bytes(b'{"hclnet": "0')
    Decisions(tmp_path).add("a.jpg", accepted(), "w")
    assert Decisions(tmp_path)["a.jpg"] == accepted(1)


@pytest.mark.parametrize("content", [b"[]\n", b'{"hclnet": "1", "reviewed": 99, "seed": "0"}\n', b"\xff\xfe\n"])
def test_another_file_of_that_name_is_left_alone(tmp_path: Path, content: bytes):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ValueError, match=r"reviewed\.jsonl is not a journal of decisions"):
        Decisions(tmp_path)
    assert (tmp_path / FILE).read_bytes() == content


def test_a_line_that_is_no_decision_is_named(tmp_path: Path):
    Decisions(tmp_path).add("a.jpg", accepted(), "w")
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"path": "a.jpg"}\n')
    with pytest.raises(ValueError, match=r"reviewed\.jsonl, line 3: this is not a decision"):
        Decisions(tmp_path)


def test_each_line_is_synced_before_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    journal, synced = Decisions(tmp_path), []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append((tmp_path / FILE).read_bytes().count(b"\n")))
    journal.add("a.jpg", accepted(), "w")
    journal.undo("w")
    assert synced == [2, 3]


def test_on_a_full_disk_the_journal_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    journal = Decisions(tmp_path)
    journal.add("a.jpg", accepted(), "w")
    before, write = (tmp_path / FILE).read_bytes(), os.write

    def full(handle: int, data: bytes) -> int:
        write(handle, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(Unwritable, match="its disk is full"):
        journal.add("b.jpg", accepted(), "w")
    assert (tmp_path / FILE).read_bytes() == before and journal["b.jpg"] is None


def test_a_kill_at_any_moment_loses_no_decision_that_was_confirmed(tmp_path: Path):
    program = (
        "import sys\nfrom pathlib import Path\nfrom hclnet.review.decisions import Decision, Decisions\n"
        "journal = Decisions(Path(sys.argv[1]))\nk = 0\n"
        "while True:\n"
        "    journal.add(f'{k}.jpg', Decision('empty', ()), 'w')\n    print(k, flush=True)\n    k += 1\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True)
    confirmed = [process.stdout.readline() for _ in range(50)]
    process.kill()
    confirmed += process.stdout.read().splitlines()
    process.wait()
    process.stdout.close()
    journal = Decisions(tmp_path)
    assert len(confirmed) >= 50
    assert all(journal[f"{int(k)}.jpg"].verdict == "empty" for k in confirmed)
    assert all(json.loads(line) for line in (tmp_path / FILE).read_text().splitlines())
