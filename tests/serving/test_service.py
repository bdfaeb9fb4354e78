"""The service: what it answers, and what it does with clients that misbehave."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from typer.testing import CliRunner

from hclnet.cli.app import app
from hclnet_runtime import load
from hclnet_runtime.service import Limits, application, main

pytest.importorskip("onnxruntime")
TINY = Path(__file__).parents[2] / "runtime" / "tests" / "tiny.onnx"


def picture(width: int = 90, height: int = 60, mode: str = "RGB", kind: str = "PNG") -> bytes:
    blocks = np.random.default_rng(2).integers(0, 255, (6, 9, 3)).astype(np.uint8)
    data = io.BytesIO()
    Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(data, kind)
    return data.getvalue()


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    limits = Limits(megabytes=0.1, megapixels=0.02, waiting=2, seconds=5)
    with TestClient(application(load(TINY, threads=1), limits)) as found:
        yield found


def test_an_image_gives_what_the_file_gives(client: TestClient, tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(picture(kind="JPEG"))
    found = load(TINY, threads=1).locate(tmp_path / "a.jpg", top=2, max_objects=3)
    answer = client.post("/locate?top=2&max_objects=3", content=(tmp_path / "a.jpg").read_bytes())
    assert answer.status_code == 200 and answer.json()["size"] == [90, 60]
    assert [o["box"] for o in answer.json()["objects"]] == [list(o.box) for o in found.objects]
    assert [p[0] for p in answer.json()["predictions"]] == ["wren", "finch", "nothing"]
    named = client.post("/locate?classes=finch,nothing", content=picture()).json()
    assert [o["label"] for o in named["objects"]] == ["finch", "nothing"]


def test_health_says_what_is_served(client: TestClient):
    health = client.get("/health").json()
    assert health["status"] == "ok" and health["waiting"] == 0 and health["classes"] == ["wren", "finch", "nothing"]
    assert health["model"]["name"] == "tiny.onnx" and health["model"]["engine"] == "ONNX Runtime"


@pytest.mark.parametrize(
    ("query", "body", "status", "said"),
    [
        ("", b"no image", 400, r"^The image is not an image in any format that Pillow reads\.$"),
        ("", b"", 400, r"^There is no image: post the bytes of an image file\.$"),
        ("", picture()[:-30], 400, r"^The image is damaged: it is cut off in its chunk IDAT"),
        ("", picture(kind="JPEG")[:-30], 400, r"^The image is damaged: it is cut off: its end marker is missing"),
        ("", picture(200, 101), 413, r"^The image has 200 x 101 pixels; 0\.02 million are taken\. Make it smaller\.$"),
        ("", bytes(100_001), 413, r"^The image has more than 0\.1 MB, which is the most that is taken"),
        ("?top=0", picture(), 400, r"^top=0: it has to be a whole number, 1 or more\.$"),
        ("?top=two", picture(), 400, r"^top=two: it has to be a whole number"),
        ("?classes=owl", picture(), 400, r"^No such class: owl\. There are wren, finch, nothing\.$"),
        ("?size=9", picture(), 400, r"^There is no parameter size\. There are top, classes, max_objects\.$"),
    ],
)
def test_what_can_not_be_located_is_said_in_a_sentence(
    client: TestClient, query: str, body: bytes, status: int, said: str
):
    answer = client.post(f"/locate{query}", content=body)
    assert answer.status_code == status and re.search(said, answer.json()["error"])
    # Of a length that is not told before, too.
    assert client.post(f"/locate{query}", content=iter([body[:50], body[50:]])).status_code == status
    assert client.get("/health").json()["waiting"] == 0


def test_there_is_nothing_else(client: TestClient):
    assert client.get("/locate").status_code == 405 and client.get("/").status_code == 404


def test_another_host_is_refused():
    with TestClient(application(load(TINY), hosts=["127.0.0.1"]), "http://evil.example") as client:
        assert client.get("/health").status_code == 400


def test_limits_that_can_not_be():
    for limits, said in [({"waiting": 0}, "waiting=0"), ({"megabytes": 0}, "megabytes=0: it has to be more than 0")]:
        with pytest.raises(ValueError, match=said):
            Limits(**limits)


def test_a_port_that_is_taken_and_a_file_that_is_none(capsys: pytest.CaptureFixture[str]):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = CliRunner().invoke(app, ["serve", str(TINY), "--port", port])
        assert done.exit_code == 2 and f"Port {port} can't be had" in done.stderr
    assert main(["gone.onnx"]) == 2 and "There is no file gone.onnx." in capsys.readouterr().err


def test_the_packages_may_be_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "hclnet_runtime.service", None)
    done = CliRunner().invoke(app, ["serve", str(TINY)])
    assert done.exit_code == 2 and "pip install 'hclnet[serve]'" in done.stderr


def ask(address: str, body: bytes | None = None) -> tuple[int, dict]:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body), timeout=200) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_clients_that_misbehave(tmp_path: Path):
    """Slow ones, huge images, what breaks off, 50 at once: each gets its answer or none, the service goes on, and its
    memory stays below what it says."""
    limits = ["--megabytes", "8", "--megapixels", "9", "--waiting", "6", "--seconds", "3", "--threads", "1"]
    words = [sys.executable, "-m", "hclnet_runtime.service", str(TINY), "--port", "0", *limits]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    def memory() -> int:
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024

    try:
        said = "".join(process.stdout.readline() for _ in range(3))
        address = re.search(r"http://127\.0\.0\.1:\d+", said)[0]
        port = int(address.rpartition(":")[2])
        bound = int(re.search(r"at most ([\d,]+) MB beyond the model", said)[1].replace(",", "")) * 10**6
        assert bound == pytest.approx(Limits(megapixels=9).memory, abs=1e6)
        before = memory()
        small = picture()
        expected = ask(f"{address}/locate", small)
        assert expected[0] == 200 and expected[1]["objects"]

        # Slow ones take all places: they send a byte, and wait.
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(6)]
        for one in slow:
            one.sendall(b"POST /locate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n\r\n\x89")
        until = time.monotonic() + 30
        while ask(f"{address}/health")[1]["waiting"] < 6 and time.monotonic() < until:
            time.sleep(0.05)
        status, content = ask(f"{address}/locate", small)
        assert status == 503 and "6 requests are waiting, and no more are let in" in content["error"]
        for one in slow:  # their time ends, and they are told
            one.settimeout(60)
            assert one.recv(4096).startswith(b"HTTP/1.1 408")
            one.close()
        assert ask(f"{address}/locate", small) == expected

        # What breaks off, what is no HTTP, and who says nothing.
        for data in (
            b"POST /locate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n\r\nab",
            b"\0\1\2\r\n\r\n",
            b"",
        ):
            with socket.create_connection(("127.0.0.1", port)) as gone:
                gone.sendall(data)
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]

        # Huge: in bytes, in pixels, and the most that is taken, with transparency.
        assert ask(f"{address}/locate", bytes(9_000_000))[0] == 413
        assert ask(f"{address}/locate", picture(4000, 3000))[0] == 413
        largest = picture(3000, 3000, "RGBA")
        assert ask(f"{address}/locate", largest)[0] == 200

        # 50 at once: some are located, the others are refused at once.
        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda _: ask(f"{address}/locate", small), range(50)))
        statuses = Counter(status for status, _ in answers)
        assert set(statuses) <= {200, 503} and statuses[200] >= 6
        assert all(content == expected[1] for status, content in answers if status == 200)
        with ThreadPoolExecutor(6) as pool:
            large = list(pool.map(lambda _: ask(f"{address}/locate", largest)[0], range(6)))
        assert large == [200] * 6
        for one in silent:
            one.close()
        assert ask(f"{address}/health")[1]["waiting"] == 0 and ask(f"{address}/locate", small) == expected
        took = memory() - before
        print(f"memory: {took / 1e6:.0f} MB beyond the model, at most {bound / 1e6:.0f} are said")
        assert took < bound and not list(tmp_path.iterdir())
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGTERM) and "Traceback" not in err, err
