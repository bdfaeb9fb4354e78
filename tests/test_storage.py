"""Files whole or not at all, and one process a folder."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hclnet.storage import LOCK, Busy, Unwritable, check_writable, locked, unwritable, whole, write_json, write_text

HOLD = """
import sys, time
from hclnet.storage import locked
with locked(sys.argv[1], "training"):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    """A process that has the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_a_file_is_replaced_whole_and_its_folder_is_made(tmp_path: Path):
    file = tmp_path / "a" / "b.json"
    write_json(file, {"café": 1})
    assert file.read_text(encoding="utf-8") == '{"café": 1}\n'
    write_text(file, "anew")
    assert file.read_text() == "anew" and [p.name for p in file.parent.iterdir()] == ["b.json"]


@pytest.mark.parametrize("error", [ValueError("a fault of ours"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
def test_what_goes_wrong_while_it_is_written_leaves_the_file_before(tmp_path: Path, error: BaseException):
    file = tmp_path / "a.txt"
    file.write_text("before")
    with pytest.raises(Unwritable if isinstance(error, OSError) else type(error)), whole(file) as part:
        assert part.suffix == ".txt" and part.parent == tmp_path
        part.write_text("ha")
        raise error
    assert file.read_text() == "before" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_part_is_not_seen_under_the_name_before_it_is_whole(tmp_path: Path):
    file = tmp_path / "a.txt"
    with whole(file) as part:
        part.write_text("whole")
        assert not file.exists()
    assert file.read_text() == "whole"


def test_a_name_as_long_as_may_be(tmp_path: Path):
    file = tmp_path / ("ä" * 125 + ".json")  # 255 bytes
    write_text(file, "there")
    assert file.read_text() == "there"
    with pytest.raises(Unwritable, match=r"its name is too long\. Name a shorter one\."):
        write_text(tmp_path / ("ä" * 126 + ".json"), "there")
    assert len(list(tmp_path.iterdir())) == 1


def test_names_that_are_not_utf8_come_back(tmp_path: Path):
    odd = os.fsdecode(b"caf\xe9")
    write_text(tmp_path / "a.txt", odd)
    assert (tmp_path / "a.txt").read_bytes() == b"caf\xe9"
    write_json(tmp_path / "a.json", [odd])
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == [odd]


def test_what_a_killed_process_left_goes_when_the_file_is_written_again(tmp_path: Path):
    with whole(tmp_path / "a[1].txt") as part:
        left, fresh = part.with_name(".a[1].1-2.part.txt"), part.with_name(".a[1].3-4.part.txt")
        part.write_text("1")
        left.write_text("half")
        fresh.write_text("half")
        os.utime(left, (time.time() - 7200,) * 2)
    write_text(tmp_path / "a[1].txt", "2")
    assert not left.exists() and fresh.exists()


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "its disk is full. The earlier file is unchanged. Free some space and try again."),
        (errno.EROFS, "Name a folder with write permission."),
        (errno.EACCES, "Name a folder with write permission."),
        (errno.EIO, "Name another folder, or solve this."),
    ],
)
def test_why_a_file_can_not_be_written_is_said(number: int, reason: str):
    message = str(unwritable(Path("out/a.json"), OSError(number, os.strerror(number))))
    assert message.startswith("out/a.json can't be written: ") and message.endswith(reason)


def test_a_folder_is_tried_before_the_work(tmp_path: Path):
    check_writable(tmp_path / "new" / "one")
    assert list((tmp_path / "new" / "one").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(Unwritable, match="file can't be written: File exists"):
        check_writable(tmp_path / "file")
    with pytest.raises(Unwritable, match="Free some space, or name a folder on another disk"):
        check_writable(tmp_path, need=2**70)


def test_a_second_process_is_told_who_has_the_folder(tmp_path: Path):
    process = hold(tmp_path)
    try:
        with (
            pytest.raises(Busy, match=rf"in use by process {process.pid} on .* \(training, since 20.*Wait"),
            locked(tmp_path, "x"),
        ):
            pass
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    with locked(tmp_path, "locating"):  # gone with its process
        about = json.loads((tmp_path / ".hclnet.owner.json").read_text())
        assert (about["process"], about["work"]) == (os.getpid(), "locating")
    assert {p.name for p in tmp_path.iterdir()} <= {LOCK}


def test_a_process_may_take_its_folder_again_and_loses_it_once(tmp_path: Path):
    with locked(tmp_path, "comparing"):
        with locked(tmp_path / ".", "training"):
            pass
        assert subprocess.run([sys.executable, "-c", HOLD, str(tmp_path)], capture_output=True).returncode == 1
    process = hold(tmp_path)
    process.kill()
    process.wait()
    process.stdout.close()


def test_an_error_in_the_block_is_handed_on_and_the_lock_goes(tmp_path: Path):
    with pytest.raises(KeyError), locked(tmp_path, "x"):
        raise KeyError("y")
    with locked(tmp_path, "x"):
        pass


def test_a_folder_that_can_not_be_made_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unwritable, match="file can't be written"), locked(tmp_path / "file", "x"):
        pass
