"""`hclnet data get`, from a server here that knows ranges or not, cuts connections, and sends other things."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hclnet.cli.app import app
from hclnet.data import read
from hclnet.data.get import SOURCES, Archive, fetch, get, unpack
from hclnet.progress import bar
from hclnet.synthetic import PartsOptions, write

Run = Callable[..., Result]


@dataclass
class Server:
    """What it sends, how it behaves, and what it was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)  # bytes of the next answers
    status: list[int] = field(default_factory=list)  # of the next answers
    asked: list[str] = field(default_factory=list)

    def archive(self, name: str) -> Archive:
        return Archive(self.url + name, hashlib.md5(self.files[name]).hexdigest())


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            state.asked.append(asked)
            if state.status and (code := state.status.pop(0)) != 200:
                return self.send_error(code)
            if self.path.startswith("/moved/"):
                self.send_response(302)
                self.send_header("Location", self.path.removeprefix("/moved"))
                return self.end_headers()
            body = state.files[self.path.removeprefix("/")]
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and state.ranges else 0
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                return self.end_headers()
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.end_headers()
            self.wfile.write(body[start:][: state.cut_after.pop(0) if state.cut_after else None])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_port}/"
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield state
        http.shutdown()
        thread.join()


@pytest.fixture
def hclnet() -> Run:
    runner = CliRunner(env={"NO_COLOR": "1", "TERM": "dumb"})
    return lambda *arguments: runner.invoke(app, [str(a) for a in arguments], catch_exceptions=False)


BODY = bytes(range(256)) * 9000  # more than two pieces


def fetched(server: Server, file: Path, name: str = "a.tgz", **changes: str) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    fetch(replace(server.archive(name), **changes), file, lambda *now: seen.append(now), "the page", wait=0)
    return seen


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_is_cut_twice(server: Server, tmp_path: Path, ranges: bool):
    server.files["a.tgz"], server.ranges, server.cut_after = BODY, ranges, [1_200_000, 500_000]
    seen = fetched(server, tmp_path / "a.tgz")
    assert (tmp_path / "a.tgz").read_bytes() == BODY and seen[-1] == (2, 2)
    assert server.asked == (
        ["", "bytes=1200000-", "bytes=1700000-"] if ranges else ["", "bytes=1200000-", "bytes=500000-"]
    )
    assert not (tmp_path / "a.tgz.part").exists()


def test_another_day(server: Server, tmp_path: Path):
    server.files["a.tgz"] = BODY
    (tmp_path / "a.tgz.part").write_bytes(BODY[:1000])
    fetched(server, tmp_path / "a.tgz")
    assert server.asked == ["bytes=1000-"] and (tmp_path / "a.tgz").read_bytes() == BODY


def test_all_was_there_but_the_name(server: Server, tmp_path: Path):
    server.files["a.tgz"] = BODY
    (tmp_path / "a.tgz.part").write_bytes(BODY)
    fetched(server, tmp_path / "a.tgz")
    assert server.asked == [f"bytes={len(BODY)}-"] and (tmp_path / "a.tgz").read_bytes() == BODY


@pytest.mark.parametrize("before", [b"of something else", BODY + b"and more"])
def test_what_was_there_is_of_something_else(server: Server, tmp_path: Path, before: bytes):
    server.files["a.tgz"] = BODY
    (tmp_path / "a.tgz.part").write_bytes(before)
    fetched(server, tmp_path / "a.tgz")
    assert server.asked == [f"bytes={len(before)}-", ""] and (tmp_path / "a.tgz").read_bytes() == BODY


def test_another_checksum(server: Server, tmp_path: Path):
    server.files["a.tgz"] = BODY
    with pytest.raises(ValueError, match=r"a\.tgz has another checksum than 00: .* removed.* yourself \(the page\)"):
        fetched(server, tmp_path / "a.tgz", md5="00")
    assert list(tmp_path.iterdir()) == []


def test_no_connection_that_lasts(server: Server, tmp_path: Path):
    server.files["a.tgz"], server.cut_after = BODY, [1_500_000] + [0] * 5
    with pytest.raises(
        ValueError, match=r"the connection was cut\. 1\.5 MB are on the disk, and the same command continues"
    ):
        fetched(server, tmp_path / "a.tgz")
    assert len(server.asked) == 5
    server.cut_after.clear()
    fetched(server, tmp_path / "a.tgz")
    assert server.asked[-1] == "bytes=1500000-" and (tmp_path / "a.tgz").read_bytes() == BODY


def test_no_server(server: Server, tmp_path: Path):
    server.files["a.tgz"] = BODY
    with pytest.raises(ValueError, match=r"can't be downloaded: .*refused.* 0\.0 MB are on the disk"):
        fetched(server, tmp_path / "a.tgz", url="http://127.0.0.1:9/a.tgz")


def test_a_busy_server_is_asked_again_and_one_that_refuses_is_not(server: Server, tmp_path: Path):
    server.files["a.tgz"], server.status = BODY, [503, 429, 200]
    fetched(server, tmp_path / "a.tgz")
    assert len(server.asked) == 3
    server.status = [404]
    with pytest.raises(
        ValueError, match=r"a\.tgz answers 404 Not Found\. If this does not help, download it yourself \(the page\)"
    ):
        fetched(server, tmp_path / "b.tgz")
    server.status = [500] * 5
    with pytest.raises(ValueError, match="it answers 500 Internal Server Error"):
        fetched(server, tmp_path / "b.tgz")


def test_a_server_that_sends_one_on(server: Server, tmp_path: Path):
    server.files["a.tgz"] = BODY
    (tmp_path / "a.tgz.part").write_bytes(BODY[:9])
    fetched(server, tmp_path / "a.tgz", url=f"{server.url}moved/a.tgz")
    assert server.asked == ["bytes=9-"] * 2 and (tmp_path / "a.tgz").read_bytes() == BODY


def packed(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


@pytest.mark.parametrize("name", ["../outside.txt", "CUB_200_2011/../outside.txt", "a/../../outside.txt"])
def test_nothing_is_unpacked_outside(tmp_path: Path, name: str):
    (tmp_path / "a.tgz").write_bytes(packed({name: b"x"}))
    with pytest.raises(ValueError, match=r"a\.tgz is not unpacked: .*outside"):
        unpack(tmp_path / "a.tgz", tmp_path / "tree", "CUB_200_2011", lambda *_: None)
    assert not (tmp_path / "outside.txt").exists()


@pytest.fixture
def cub(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny CUB-200-2011 at the publisher's, in the two archives that it comes in; the folder as it was drawn."""
    drawn = tmp_path / "drawn"
    write(PartsOptions(classes=2, train=2, test=1, size=64), drawn)
    files = {p.relative_to(drawn).as_posix(): p.read_bytes() for p in sorted(drawn.rglob("*")) if p.is_file()}
    images = {f"CUB_200_2011/{n}": data for n, data in files.items() if not n.startswith("segmentations/")}
    server.files["CUB_200_2011.tgz"] = packed({**images, "attributes.txt": b"1 has_bill\n"})
    server.files["segmentations.tgz"] = packed({n: d for n, d in files.items() if n.startswith("segmentations/")})
    archives = tuple(server.archive(name) for name in server.files)
    monkeypatch.setitem(SOURCES, "cub", replace(SOURCES["cub"], archives=archives))
    return drawn


def test_get_cub(hclnet: Run, server: Server, cub: Path, tmp_path: Path):
    out = tmp_path / "deep" / "CUB"
    done = hclnet("data", "get", "cub", out)
    assert done.exit_code == 0, done.output
    assert "CUB-200-2011 layout, 2 classes, 4 train, 2 test, 6 with boxes, 6 with masks" in done.stdout
    assert done.stdout.rstrip().endswith(f"Train on it:  hclnet train {out}")
    dataset, drawn = read(out), read(cub)
    assert [s.id for s in dataset.samples] == [s.id for s in drawn.samples]
    assert (out / "attributes.txt").is_file() and [p.name for p in out.parent.iterdir()] == ["CUB"]
    assert hclnet("data", "get", "cub", out).exit_code == 0 and len(server.asked) == 2  # it is there


def test_get_goes_on(hclnet: Run, server: Server, cub: Path, tmp_path: Path):
    out = tmp_path / "CUB"
    server.status = [200, 404]
    done = hclnet("data", "get", "cub", out)
    assert done.exit_code == 2 and "segmentations.tgz answers 404" in done.stderr and not out.exists()
    out.mkdir()
    assert hclnet("data", "get", "cub", out).exit_code == 0
    assert len(server.asked) == 3 and len(read(out).samples) == 6


def test_get_uses_what_was_fetched_by_hand(server: Server, cub: Path, tmp_path: Path):
    part = tmp_path / "CUB.part"
    part.mkdir()
    (part / "segmentations.tgz").write_bytes(server.files["segmentations.tgz"])
    (part / "CUB_200_2011.tgz").write_bytes(b"half of it")
    with pytest.raises(
        ValueError, match=r"CUB_200_2011\.tgz differs from http.*\. Remove it and run the command again"
    ):
        get("cub", tmp_path / "CUB", bar)
    (part / "CUB_200_2011.tgz").unlink()
    assert len(get("cub", tmp_path / "CUB", bar).ground_truth.masks) == 6 and len(server.asked) == 1


def test_mistakes(hclnet: Run, cub: Path, tmp_path: Path):
    done = hclnet("data", "get", "cars", tmp_path / "cars")
    assert done.exit_code == 2 and "does not know a data set 'cars' to download; it knows cub." in done.stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    done = hclnet("data", "get", "cub", tmp_path / "mine")
    assert done.exit_code == 2 and "mine exists and contains something else. Name a new" in done.stderr
    assert not (tmp_path / "mine.part").exists()


def test_links_are_not_unpacked(tmp_path: Path):
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        link = tarfile.TarInfo("CUB_200_2011/images")
        link.type, link.linkname = tarfile.SYMTYPE, "/"
        archive.addfile(link)
    with pytest.raises(ValueError, match=r"a\.tgz is not unpacked: CUB_200_2011/images is neither a file nor a folder"):
        unpack(tmp_path / "a.tgz", tmp_path / "tree", "CUB_200_2011", lambda *_: None)
    assert not (tmp_path / "tree" / "images").exists()
