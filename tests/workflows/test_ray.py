"""Real Ray on this machine: the same rows for any number of workers, whoever is killed; memory does not grow."""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet, table

from killing import end_session, processes_of

pytest.importorskip("ray")

TESTS = Path(__file__).parents[1]
TINY = TESTS.parent / "runtime" / "tests" / "tiny.onnx"
LONG = 600  # seconds
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3 * LONG),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc"),
]

ENGINES = """
import sys
from hclnet.data import parts
from hclnet.workflows import on_ray
from hclnet.workflows.shards import locate_shards
parts.TOGETHER = on_ray.TOGETHER = 6
on_ray._ROUND = 1  # two of them for two workers, whose parts are smaller
photos, model, out = sys.argv[1:]
for name, settings in {"here": {}, "one": {"workers": 1}, "two": {"workers": 2}}.items():
    engine = "ray" if settings else "local"
    found = locate_shards(photos, model, f"{out}/{name}", device="cpu", shard_size=7, engine=engine, **settings)
    print(name, found.images, found.left_out)
import ray
ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)  # as a person does
print("a Ray of a person's own answers", ray.get(ray.remote(lambda: 3).remote()))
ray.shutdown()
"""

NAMES = """
import sys
from hclnet.workflows.shards import locate_shards
model, out, count = sys.argv[1:]
with open(f"{out}.txt", "w") as file:
    file.writelines(f"{k % 997:03}/a rather long name of an image {k:07}.jpg\\n" for k in range(int(count)))
found = locate_shards(
    (), model, out, manifest=f"{out}.txt", device="cpu", shard_size=1000, engine="ray", workers=1
)
print(found.images, found.left_out)
"""


@pytest.fixture(autouse=True)
def _files_of_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Its sockets need a short name."""
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    monkeypatch.setenv("RAY_TMPDIR", folder)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    yield
    shutil.rmtree(folder, ignore_errors=True)


def photos_in(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    for k in range(count):
        pixels = np.random.default_rng(k).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k:03}.png")
    (folder / "broken.jpg").write_bytes(b"no image")
    return sorted(folder.iterdir())


def run(call: list[object], said: Path, look: Callable[[int], object] = lambda session: None) -> str:
    """What a process has said, which comes to a good end and leaves none behind.

    Args:
        call: of Python.
        said: the file for that.
        look: called several times a second meanwhile.
    """
    with said.open("w+") as file:
        process = subprocess.Popen(
            [sys.executable, *map(str, call)], stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            until = time.monotonic() + LONG
            while process.poll() is None and time.monotonic() < until:
                look(process.pid)
                time.sleep(0.2)
        finally:
            left = end_session(process.pid, 60 if process.poll() is not None else 0)
            process.wait()
        file.seek(0)
        text = file.read()
    assert process.returncode == 0, text
    assert not left, f"these live on: {left}"
    return text


def test_two_workers_find_what_one_finds_and_what_is_found_without_ray(trained: Path, tmp_path: Path):
    photos_in(tmp_path / "p", 30)
    said = run(["-c", ENGINES, tmp_path / "p", trained, tmp_path], tmp_path / "said")
    assert [line for line in said.splitlines() if line.endswith(" 31 1")] == ["here 31 1", "one 31 1", "two 31 1"]
    assert said.splitlines()[-1] == "a Ray of a person's own answers 3"
    shards = [{p.name: p.read_bytes() for p in (tmp_path / f / "shards").iterdir()} for f in ("here", "one", "two")]
    assert shards[0] == shards[1] == shards[2] and len(shards[0]) == 5
    headers = [(tmp_path / name / "located-shards.json").read_text() for name in ("here", "one", "two")]
    assert headers[0] == headers[1] == headers[2]


def test_workers_and_the_command_are_killed(trained: Path, tmp_path: Path):
    names = [f.as_uri() if k % 2 else f"p/{f.name}" for k, f in enumerate(photos_in(tmp_path / "p", 200))]
    parquet.write_table(table({"path": names}), tmp_path / "all.parquet")
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")  # of the moments: python tests/workflows/killed_on_ray.py SEED OUT locate ...
    call = [Path(__file__).with_name("killed_on_ray.py"), seed, tmp_path / "out", "locate"]
    call += ["--manifest", tmp_path / "all.parquet", "--model", trained, "--device", "cpu", "--shard-size", "20"]
    said = run(call, tmp_path / "log")
    print(said)
    assert said.splitlines()[-1] == "whole 201" and "worker killed" in said and "driver killed" in said
    shards = [{p.name: p.read_bytes() for p in (tmp_path / f / "shards").iterdir()} for f in ("out", "whole")]
    assert shards[0] == shards[1] and len(shards[0]) == 11
    files = sorted((tmp_path / "out" / "shards").iterdir())
    rows = [row for file in files for row in parquet.read_table(file).to_pylist()]
    assert [row["id"] for row in rows] == list(range(201)) and [row["path"] for row in rows] == names
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")) == [
        "located-list.parquet", "located-shards.json", "shards",
    ]  # fmt: skip


def test_the_memory_does_not_grow(tmp_path: Path):
    taken: dict[str, list[tuple[int, int]]] = {"command": [], "ray::MapWorker": []}

    def look(session: int) -> None:
        shards = len(list((tmp_path / "out" / "shards").glob("*.parquet")))
        for one, name in processes_of(session).items():
            kind = "command" if one == session else name.partition("(")[0]
            if kind in taken:
                with suppress(OSError, TypeError):
                    own = re.search(r"RssAnon:\s*(\d+) kB", Path(f"/proc/{one}/status").read_text())
                    taken[kind].append((shards, int(own[1]) >> 10))

    said = run(["-c", NAMES, TINY, tmp_path / "out", 20_000], tmp_path / "said", look)
    assert said.splitlines()[-1] == "20000 20000"
    for kind, values in taken.items():
        early, late = (median(mib for k, mib in values if k in some) for some in (range(4, 10), range(16, 20)))
        print(f"{kind}: {early} MiB with some thousands, {late} MiB with 20,000")
        assert 100 < late < early + 20
