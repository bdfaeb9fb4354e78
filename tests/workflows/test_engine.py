"""Who locates, and where the images are, changes nothing: what is said, what is asked for, and what comes out.

Ray itself starts in `test_ray.py`.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet
from typer.testing import CliRunner

from hclnet.cli.app import app
from hclnet.data import parts
from hclnet.data.parts import read_parts, write_parts
from hclnet.formats.journal import OtherResults
from hclnet.formats.shards import shard_file
from hclnet.workflows import on_ray, ray_cluster, shard_folder
from hclnet.workflows.asked import Asked, ask
from hclnet.workflows.exported import ExportedModel, open_model
from hclnet.workflows.locate import locate_files
from hclnet.workflows.on_ray import Worker
from hclnet.workflows.ray_cluster import first_line, resources, told_if_busy
from hclnet.workflows.shards import Shards, locate_shards
from hclnet_runtime.data.reading import NoProcess, Reading
from small_localizers import small_localizer

TINY = Path(__file__).parents[2] / "runtime" / "tests" / "tiny.onnx"
RAY = SimpleNamespace(
    __spec__=True,
    put=lambda one: one,
    get=lambda one: one,
    cluster_resources=lambda: {"CPU": 2.0},
    available_resources=lambda: {"CPU": 2.0},
)
"""Of Ray, what passes things on within this process."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Seven images and a broken one."""
    (tmp_path / "photos").mkdir()
    for k in range(7):
        pixels = np.random.default_rng(k).integers(0, 256, (30 + k, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{k}.png")
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no image")
    return tmp_path / "photos"


@pytest.fixture
def located(photos: Path, tmp_path: Path) -> Callable[..., Shards]:
    def run(images: object = photos, out: str = "out", **settings: Any) -> Shards:
        return locate_shards(images, TINY, tmp_path / out, **{"shard_size": 3, "device": "cpu", **settings})

    return run


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ray's part is done in this process; the files that are asked for."""
    asked: list[str] = []

    def located_here(ray: Any, target: Path, groups: range, count: int, cards: int, arguments: Any) -> Iterator[Any]:
        worker = Worker(*arguments)
        for number, part in enumerate(read_parts(str(target), groups), groups.start * parts.TOGETHER):
            asked.extend(file.decode() for file in part["files"][0].as_py())
            (found,) = worker(part).to_pylist()
            assert found["number"] == number and found["fault"] is None, found
            yield from map(json.loads, found["rows"])

    @contextmanager
    def connected(workers: int | None) -> Iterator[Any]:
        yield RAY

    monkeypatch.setattr(on_ray, "_located", located_here)
    monkeypatch.setattr(on_ray, "connected", connected)
    monkeypatch.setitem(sys.modules, "ray", RAY)
    return asked


def data_of(found: Shards) -> list[bytes]:
    return [file.read_bytes() for file in found.files]


def rows_of(found: Shards) -> list[dict[str, Any]]:
    return [row for file in found.files for row in parquet.read_table(file).to_pylist()]


@pytest.mark.parametrize("rounds", [1, 4])
def test_the_same_shards_come_out(located, here: list[str], monkeypatch: pytest.MonkeyPatch, rounds: int):
    whole = located(out="whole")
    if rounds == 4:
        monkeypatch.setattr(parts, "TOGETHER", 2)
        monkeypatch.setattr(on_ray, "_ROUND", 1)
    found = located(engine="ray", workers=2)
    assert data_of(found) == data_of(whole) and found.left_out == whole.left_out == 1
    assert len(here) == 8
    assert sorted(p.name for p in found.folder.iterdir() if not p.name.startswith(".")) == [
        "located-list.parquet", "located-shards.json", "shards",
    ]  # fmt: skip
    (found.folder / "located-missing.parquet").touch()  # as a process leaves it that is killed at the end
    assert located(engine="ray").images == located().images == 8 and len(here) == 8  # finished: nobody is asked
    assert not (found.folder / "located-missing.parquet").exists()


def test_only_what_is_missing_is_asked_for(located, here: list[str], photos: Path):
    whole = located(out="whole")
    shard_file(located().folder, 1).unlink()
    assert data_of(located(engine="ray")) == data_of(whole) and len(here) == 3
    away = photos.rename(photos.with_name("away"))
    for file in located().files:
        file.unlink()
    here.clear()
    assert located(engine="ray").left_out == len(here) == 8
    away.rename(photos)
    assert located(engine="ray").left_out == len(here) == 8
    assert data_of(located(engine="ray", retry=True)) == data_of(whole) and len(here) == 16
    assert located(engine="ray", retry=True).left_out == 1 and len(here) == 17


def test_a_journal_is_gone_on_with(located, here: list[str], monkeypatch: pytest.MonkeyPatch):
    whole, locate, count = located(out="whole"), Asked._locate, []

    def stops(self: Asked, some: Any) -> None:
        count.extend(some)
        if len(count) > 4:
            raise KeyboardInterrupt
        locate(self, some)

    opened = ExportedModel.__init__

    def one_by_one(self: ExportedModel, model: Any) -> None:
        opened(self, model)
        self.batch = 1

    with monkeypatch.context() as once:
        once.setattr(Asked, "_locate", stops)
        once.setattr(ExportedModel, "__init__", one_by_one)
        with pytest.raises(KeyboardInterrupt):
            located()
    lines = (whole.folder.with_name("out") / "located.jsonl").read_text().splitlines()[1:]
    assert data_of(located(engine="ray")) == data_of(whole)
    assert len(lines) == 1 and json.loads(lines[0])["path"] not in here and len(here) == 4


def test_results_of_other_settings_are_refused(located, here: list[str]):
    located()
    with pytest.raises(OtherResults, match="has results of top 1, not 2"):
        located(engine="ray", top=2)
    assert here == []


def test_images_elsewhere_are_located_as_those_here(located, photos: Path):
    store = fsspec.filesystem("memory")
    for image in photos.iterdir():
        store.pipe(f"/bucket/photos/{image.name}", image.read_bytes())
    names = ["../photos/0.png", "memory://bucket/photos/1.png", str(photos / "2.png"), "../photos/9.png"]
    names += [(photos / "3.png").as_uri(), "../photos/broken.jpg"]
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table({"path": names}), sink)
    store.pipe("/bucket/lists/all.parquet", sink.getvalue().to_pybytes())
    rows = rows_of(located((), manifest="memory://bucket/lists/all.parquet"))
    assert [row["path"] for row in rows] == names
    assert rows[0]["file"] == "memory://bucket/photos/0.png"
    assert rows[3]["error"] == "memory://bucket/photos/9.png is not there, or can't be reached."
    assert rows[5]["error"].startswith("memory://bucket/photos/broken.jpg is not an image")
    plain = {Path(row["file"]).name: row for row in rows_of(located(out="plain"))}
    for k in (0, 1, 2, 4):
        same, names = plain[Path(rows[k]["file"]).name], {"id": 0, "path": "", "file": ""}
        assert {**rows[k], **names} == {**same, **names}
    (single,) = rows_of(located("memory://bucket/photos/4.png", out="single"))
    assert single["objects"] == plain["4.png"]["objects"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"manifest": "memory://bucket/gone.csv"}, "memory://bucket/gone.csv is not there"),
        ({"manifest": "memory://bucket/empty.csv"}, "memory://bucket/empty.csv names no image"),
        ({"manifest": "memory://bucket/a.png"}, "memory://bucket/a.png is no manifest"),
        ({"images": "memory://bucket/photos"}, "is no single image. List the images in a file: --manifest FILE"),
        ({"images": "memory://bucket/*.png"}, r"is no single image"),
    ],
)
def test_what_is_no_list_elsewhere(located, given: dict[str, str], message: str):
    store = fsspec.filesystem("memory")
    store.pipe("/bucket/empty.csv", b"path\n")
    store.pipe("/bucket/a.png", b"")
    with pytest.raises(ValueError, match=message):
        located(**{"images": (), **given})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "spark"}, "engine='spark': there are local and ray"),
        ({"workers": 2}, "--workers belongs to --engine ray"),
        ({"engine": "ray", "device": "cuda:1"}, "--device cuda:1 can't be with --engine ray"),
        ({"engine": "ray", "workers": 0}, "workers"),
    ],
)
def test_what_cannot_be_asked_for(located, options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        located(**options)


def test_without_ray_a_sentence_says_what_to_install(located, photos: Path, monkeypatch: pytest.MonkeyPatch):
    find_spec = ray_cluster.find_spec
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: None if name == "ray" else find_spec(name))
    with pytest.raises(ValueError, match=r"--engine ray needs one more package:  pip install 'hclnet\[ray\]'"):
        located(engine="ray")
    done = CliRunner().invoke(app, ["locate", str(photos), "--workers", "2"])
    assert done.exit_code == 2 and "--workers belongs to --engine ray" in done.output


def test_a_worker_that_would_find_something_else_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", RAY)
    asked = ask(TINY, "cpu", top=1, max_objects=1)
    header = asked.header(1)
    part = pyarrow.table({"number": [0], "files": [[b"/gone.png"]]})
    (good,) = Worker(header, [asked], "cpu")(part).to_pylist()
    assert good["fault"] is None and json.loads(good["rows"][0])["path"] == "/gone.png"
    for other, message in [
        ({**header, "hclnet": "9.9"}, r"it has hclnet .*, not 9\.9\. Install the same everywhere\."),
        ({**header, "settings": {**header["settings"], "precision": "bfloat16"}}, "precision bfloat16, not float32"),
        ({**header, "model": {"name": "x", "fingerprint": "1"}}, "the model x, not"),
    ]:
        (row,) = Worker(other, [asked], "cpu")(part).to_pylist()
        assert row["rows"] == [] and row["number"] == 0
        with pytest.raises(ValueError, match=rf"^A worker on \S+ can't locate: .*{message}"):
            raise ValueError(row["fault"])


def test_a_worker_that_breaks_says_why(monkeypatch: pytest.MonkeyPatch):
    def breaks(self: Asked, files: object) -> None:
        raise NoProcess("No process can be started.")

    monkeypatch.setitem(sys.modules, "ray", RAY)
    monkeypatch.setattr(Asked, "rows", breaks)
    asked = ask(TINY, "cpu", top=1, max_objects=1)
    part = pyarrow.table({"number": [3], "files": [[b"/gone.png"]]})
    (row,) = Worker(asked.header(1), [asked], "cpu")(part).to_pylist()
    assert row["number"] == 3 and row["fault"].endswith(" can't locate: No process can be started.")


def test_what_is_asked_travels_to_another_process(photos: Path):
    asked = Asked(small_localizer(), "small", 1, None, 1, Reading(0))
    again = pickle.loads(pickle.dumps(asked))
    files = sorted(photos.iterdir())
    assert again.header(1) == asked.header(1) and list(again.rows(files)) == list(asked.rows(files))


def test_an_exported_model_is_opened_again_where_it_comes_out():
    model = open_model(TINY, "cpu").with_inference(box="fixed:0.3")
    again = pickle.loads(pickle.dumps(model))
    assert isinstance(again, ExportedModel) and again.inference == model.inference
    assert again.fingerprint() == model.fingerprint() and again.computes_in == model.computes_in


@pytest.mark.parametrize(("count", "size"), [(1, 4), (9, 4), (2600, 1)])
def test_parts_hold_every_name_once(tmp_path: Path, count: int, size: int):
    names = ["s3://bucket/a.jpg" if k % 3 == 0 else Path(f"/data/\udcff{k}.jpg") for k in range(count)]
    groups = write_parts(tmp_path / "p.parquet", iter(names), size)
    assert groups == max(1, count // size // parts.TOGETHER + 1)
    rows = [
        row
        for k in range(groups)
        for part in read_parts(str(tmp_path / "p.parquet"), range(k, k + 1))
        for row in part.to_pylist()
    ]
    assert [row["number"] for row in rows] == list(range(-(-count // size)))
    files = [file for row in rows for file in row["files"]]
    assert files == [str(name).encode("utf-8", "surrogateescape") for name in names]


@pytest.mark.parametrize(
    ("have", "workers", "device", "expected"),
    [
        ({"CPU": 8.0}, None, "auto", (0, 8)),
        ({"CPU": 8.0}, 3, "auto", (0, 3)),
        ({"CPU": 8.0, "GPU": 2.0}, None, "auto", (2, 2)),
        ({"CPU": 8.0, "GPU": 2.0}, None, "cuda", (2, 2)),
        ({"CPU": 8.0, "GPU": 2.0}, None, "cpu", (0, 8)),
    ],
)
def test_how_many_workers(have: dict[str, float], workers: int | None, device: str, expected: tuple[int, int]):
    assert resources(SimpleNamespace(cluster_resources=lambda: have), workers, device) == expected


def test_a_card_that_is_not_there_is_said():
    with pytest.raises(ValueError, match="Ray has no card"):
        resources(RAY, None, "cuda")
    assert first_line(RuntimeError("\n It broke. \nat line 1")) == "It broke." and first_line(OSError()) == "OSError."


@pytest.mark.parametrize("options", [(), ("--shard-size", "3"), ("--engine", "ray")])
@pytest.mark.parametrize("out", ["s3://bucket/boxes", "FILE:///boxes"])
def test_results_do_not_go_to_an_address(
    photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: tuple[str, ...], out: str
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: True)
    before = sorted(tmp_path.rglob("*"))
    done = CliRunner().invoke(app, ["locate", str(photos), "--model", str(TINY), "--out", out, *options])
    assert done.exit_code == 2 and "is an address. Results go into a folder of this machine" in done.output
    for locate in (locate_shards, locate_files):
        with pytest.raises(ValueError, match=f"^--out {out} is an address"):
            locate(photos, TINY, out)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["located-list.parquet", "located-missing.parquet"])
@pytest.mark.parametrize("how", ["path", "address", "link"])
def test_results_do_not_replace_the_manifest(located, photos: Path, tmp_path: Path, name: str, how: str):
    (tmp_path / "out").mkdir()
    manifest = tmp_path / "out" / name
    parquet.write_table(pyarrow.table({"path": [str(photos / "0.png")]}), manifest)
    (tmp_path / "link.parquet").symlink_to(manifest)
    given = {"path": manifest, "address": manifest.as_uri(), "link": tmp_path / "link.parquet"}[how]
    content = manifest.read_bytes()
    with pytest.raises(ValueError, match="has the name of a file of the results"):
        located((), manifest=given)
    assert manifest.read_bytes() == content


def test_a_folder_that_is_refused_stays_as_it_is(located, photos: Path):
    missing = located().folder / "located-missing.parquet"
    missing.write_bytes(b"1")
    with pytest.raises(OtherResults, match="has results of other images"):
        located(photos / "0.png")
    assert missing.exists()
    located()
    assert not missing.exists()


def test_a_manifest_by_its_address_on_this_machine_is_the_file(located, photos: Path, tmp_path: Path):
    manifest = tmp_path / "a list.csv"
    manifest.write_text("path\nphotos/0.png\nphotos/1.png\n")
    (row, _) = rows_of(located((), manifest=manifest.as_uri()))
    assert row["file"] == str(photos / "0.png") and row["error"] is None
    assert located((), manifest=manifest).already == 2


def test_a_signature_of_an_address_is_not_kept(located, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "all.csv").write_text(f"path\n{photos / '0.png'}\n")
    fetched: list[str] = []

    @contextmanager
    def at_hand(address: str) -> Iterator[Path]:
        fetched.append(address)
        yield tmp_path / "all.csv"

    monkeypatch.setattr(shard_folder, "at_hand", at_hand)
    for k in range(2):
        found = located((), manifest=f"https://example.org/lists/all.csv?signature=SECRET{k}")
        assert found.already == k
    assert [address[-7:] for address in fetched] == ["SECRET0", "SECRET1"]
    files = [file.read_bytes() for file in found.folder.rglob("*") if file.is_file()]
    assert not any(b"SECRET" in data for data in files)
    assert any(b'"https://example.org/lists/all.csv"' in data for data in files)


def test_a_single_address_needs_shards():
    for name in ("s3://bucket/0.png", "file:///0.png"):
        done = CliRunner().invoke(app, ["locate", name, "--model", str(TINY)])
        assert done.exit_code == 2 and f"{name} is an address, which --shard-size and --manifest read." in done.output


def test_a_busy_cluster_is_said():
    busy = SimpleNamespace(available_resources=lambda: {"CPU": 0.5, "GPU": 1.0})
    said, there = [], threading.Event()

    def log(line: str) -> None:
        said.append(line)
        there.set()

    with told_if_busy(busy, 0, log, 0):
        assert there.wait(300)
    assert said == ["No image is located yet: none of Ray's processors was free. The work begins when one is."]
    before = threading.active_count()
    with told_if_busy(busy, 1, log, 0), told_if_busy(RAY, 0, log, 0), told_if_busy(busy, 0, None, 0):
        assert threading.active_count() == before  # there is no clock
    with told_if_busy(busy, 0, log, 3600) as begun:
        (clock,) = (one for one in threading.enumerate() if isinstance(one, threading.Timer))
        begun()
        clock.join(300)
        assert not clock.is_alive()
    assert len(said) == 1


def test_a_cluster_that_works_says_nothing(located, here: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(RAY, "available_resources", dict)
    begun: list[bool] = []

    @contextmanager
    def told(ray: Any, cards: int, log: Any) -> Iterator[Callable[[], None]]:
        assert cards == 0 and log == print
        yield lambda: begun.append(True)

    monkeypatch.setattr(on_ray, "told_if_busy", told)
    located(engine="ray", log=print)
    assert len(begun) == 8


def test_what_a_ray_of_our_own_leaves(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "")
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    tokens: list[str | None] = []
    ray = SimpleNamespace(init=lambda *_, **__: tokens.append(os.environ.get("RAY_AUTH_TOKEN")), shutdown=lambda: None)
    for _ in range(2):
        with ray_cluster._own(ray, 1):
            pass
    assert tokens[0] and tokens == [os.environ.get("RAY_AUTH_TOKEN")] * 2  # Ray asks for it until the process ends
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in os.environ


def test_a_signal_that_is_not_handled_in_python(monkeypatch: pytest.MonkeyPatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    with ray_cluster._sigterm_kept():
        pass
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGTERM) == before
