"""Images are read by processes that can be ended: what hangs or crashes is given up, and all else is as in this one."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hanging
from hclnet_runtime.data import images, reading
from hclnet_runtime.data.images import check_image, image_size, load_square, open_image
from hclnet_runtime.data.reading import NoProcess, Reading
from hclnet_runtime.data.same import file_row
from hclnet_runtime.pictures import read_file
from hclnet_runtime.types import Gray
from killing import is_there

LIMIT = 2.0  # seconds, for what is never read
LONG = 120.0  # seconds, after which a test fails


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    reading._end_all()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


def comes(what: Callable[[], bool]) -> bool:
    until = time.monotonic() + LONG
    while not what() and time.monotonic() < until:
        time.sleep(0.01)
    return what()


def test_what_is_read_is_the_same(photo: Path):
    other = Reading()
    assert (other.read(load_square, photo, 24) == load_square(photo, 24)).all()
    read = other.read(read_file, photo, Gray(), (16, 24), known=True)
    assert read.size == (40, 30) and (read.squares[16] == load_square(photo, 16)).all()
    assert read.file is not None and read.file["sha256"] == file_row(photo)["sha256"]


def test_errors_are_the_same(photo: Path, tmp_path: Path):
    photo.write_bytes(photo.read_bytes()[:-200])
    for path in (photo, tmp_path / "nothing.jpg", tmp_path):
        with pytest.raises(ValueError) as here:
            load_square(path, 24)
        with pytest.raises(ValueError) as there:
            Reading().read(load_square, path, 24)
        assert str(here.value) == str(there.value)


def test_one_process_reads_many_images(photo: Path):
    other = Reading()
    first = other.read(hanging.process_of, photo)
    assert {other.read(hanging.process_of, photo) for _ in range(5)} == {first} != {os.getpid()}
    assert Reading(0).read(hanging.process_of, photo) == os.getpid()
    assert pickle.loads(pickle.dumps(Reading(7))).seconds == 7


def test_a_process_that_has_ended_meanwhile_is_missed_by_nobody(photo: Path):
    first = Reading().read(hanging.process_of, photo)
    os.kill(first, signal.SIGKILL)
    assert Reading().read(hanging.process_of, photo) != first


@pytest.mark.parametrize("start", [hanging.IN_HEADER, hanging.IN_PIXELS])
def test_what_hangs_is_given_up(photo: Path, start: bytes):
    hangs = photo.with_name("hangs.png")
    hangs.write_bytes(start)
    other = Reading()
    with hanging.format_known():
        before = other.read(hanging.process_of, photo)
        with pytest.raises(ValueError, match=r"hangs\.png can't be read within 2 seconds\. .* --seconds-per-image\.$"):
            Reading(LIMIT).read(load_square, hangs, 24)
        assert other.read(hanging.process_of, photo) != before and not is_there(before)
        assert (other.read(load_square, photo, 24) == load_square(photo, 24)).all()


def test_what_crashes_is_named(photo: Path):
    crash = photo.with_name("crash.png")
    crash.write_bytes(hanging.CRASH)
    with hanging.format_known(), pytest.raises(ValueError, match=r"crash\.png can't be decoded: .* \(signal 11\)"):
        Reading().read(load_square, crash, 24)
    assert Reading().read(image_size, photo) == (40, 30)


def test_who_waits_is_told_when_the_work_is_stopped(tmp_path: Path):
    other, said = Reading(LONG), tmp_path / "said"
    with ThreadPoolExecutor(1) as pool:
        with other:
            waits = pool.submit(other.read, hanging.wait_for_ever, said)
            assert comes(said.exists)
        with pytest.raises(ValueError, match="said was not read: the work was stopped"):
            waits.result(LONG)
    assert not is_there(int(said.read_text()))


def test_many_pixels_wait_for_their_turn_and_not_at_their_cost(tmp_path: Path):
    """The lock is of all that reads, here and in other processes."""
    other, here = Reading(LIMIT), tmp_path / "here"
    with ThreadPoolExecutor(1) as pool:
        with images.alone:
            waits = pool.submit(other.read, hanging.alone, here)
            assert comes(here.exists)
            threading.Event().wait(LIMIT + 0.5)
            assert not waits.done()
        assert waits.result(LONG) == "was alone"
    with images.alone:  # and is given back
        pass


def test_words_on_standard_output_do_no_harm(photo: Path):
    with pytest.raises(LookupError, match=r"photo\.jpg"):
        Reading().read(hanging.with_words, photo)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), True])
def test_impossible_limits(seconds: float):
    with pytest.raises(ValueError, match=r"seconds_per_image=.* has to be a number of seconds"):
        Reading(seconds)


def test_where_no_process_can_be_started(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(NoProcess, match="No process can be started that reads images: No such file"):
        Reading().read(image_size, photo)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(NoProcess, match="ends at once, with exit code 1"):
        Reading().read(image_size, photo)


def test_modules_in_a_folder_of_images_are_not_imported(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("numpy", "PIL", "pickle", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert Reading().read(image_size, photo) == (40, 30)
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize("read", [open_image, check_image, image_size, file_row])
def test_a_pipe_is_refused_before_it_is_opened(tmp_path: Path, read: Callable[[Path], object]):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ValueError, match=r"pipe\.jpg is a pipe or a device, not a file"):
        read(tmp_path / "pipe.jpg")
    with pytest.raises(ValueError, match="is a pipe or a device, not a file"):
        read(Path("/dev/zero"))


@pytest.mark.slow
def test_it_does_not_outlive_its_limit_where_who_asked_was_killed(tmp_path: Path):
    said = tmp_path / "said"
    code = (
        "import sys; sys.path[:] = sys.argv[2:]; import hanging; from pathlib import Path;"
        "from hclnet_runtime.data.reading import Reading;"
        "Reading(1).read(hanging.wait_for_ever, Path(sys.argv[1]))"
    )
    asks = subprocess.Popen([sys.executable, "-c", code, str(said), *sys.path])
    assert comes(said.exists)
    asks.kill()
    asks.wait()
    assert comes(lambda: not is_there(int(said.read_text())))


@pytest.mark.slow
def test_the_time_for_which_the_system_stops_everything_does_not_count(tmp_path: Path):
    said, go = tmp_path / "said", tmp_path / "go"
    code = (
        "import sys; sys.path[:] = sys.argv[3:]; import hanging; from pathlib import Path;"
        "from hclnet_runtime.data.reading import Reading;"
        "print(Reading(2).read(hanging.wait_for, *map(Path, sys.argv[1:3])))"
    )
    asks = subprocess.Popen([sys.executable, "-c", code, str(said), str(go), *sys.path], stdout=subprocess.PIPE)
    try:
        assert comes(said.exists)
        both = (asks.pid, int(said.read_text()))
        for process in both:
            os.kill(process, signal.SIGSTOP)
        threading.Event().wait(10)  # longer than the limit, and than the process that reads would live without another
        go.touch()
        for process in both:
            os.kill(process, signal.SIGCONT)
        assert asks.communicate(timeout=LONG)[0] == b"came\n"
    finally:
        asks.kill()
        asks.communicate()
