"""Every command in README and docs runs as it is written, and the example method is a method."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from hclnet.data import read
from hclnet.synthetic import PartsOptions, write
from hub_server import serving
from layouts import LAYOUTS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# What sets up or tests the whole project is not run inside of a test of it; examples have tests of their own.
NOT_HERE = (
    "hclnet export runs/mine --to web",
    "npm ",
    "python -m http.server",
    "make ",
    ". .venv/",
    "pip install",
    "python benchmarks/",
    "python examples/",
    "hclnet data get",
)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def commands(page: Path) -> list[list[str]]:
    """The command lines of a page that are run here, as lists of words."""
    lines = "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip() and not line.startswith(NOT_HERE)]


def call(words: list[str], folder: Path, **environment: str) -> str:
    assert words[0] == "hclnet", f"{words}: what is this command?"
    if words[1] == "review":
        return review(words, folder)
    if words[1] == "serve":
        return serve(words, folder)
    done = subprocess.run(
        [sys.executable, "-m", "hclnet", *words[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONWARNINGS": "default", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def serve(words: list[str], folder: Path) -> str:
    """A command that answers until it is stopped: it locates an image."""
    command = [sys.executable, "-u", "-m", "hclnet", *words[1:], "--port", "0"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = ""
    while not (address := re.search(r"http://127\.0\.0\.1:\d+/locate", said)):
        line = process.stdout.readline()
        assert line, said
        said += line
    photo = next(path for path in sorted((folder / "new_photos").iterdir()) if path.suffix == ".jpg")
    with urllib.request.urlopen(address[0], photo.read_bytes(), timeout=60) as answer:
        assert json.load(answer)["predictions"]
    process.send_signal(signal.SIGINT)
    said += process.communicate(timeout=60)[0]
    assert process.returncode == 0, said
    return said


def review(words: list[str], folder: Path) -> str:
    """A command that serves a page until it is stopped: all that it found is accepted on the page."""
    command = [sys.executable, "-u", "-m", "hclnet", *words[1:]]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = ""
    while not (address := re.search(r"http://127\.0\.0\.1:\S+", said)):
        line = process.stdout.readline()
        assert line, said
        said += line

    def ask(path: str, content: dict | None = None) -> dict:
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(address[0] + path, data, method="GET" if data is None else "PUT")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    for k in range(len(ask("api/overview")["name"])):
        image = ask(f"api/images/{k}")
        verdict = "accepted" if image["objects"] else "empty"
        decision = {"window": "docs", "revision": image["revision"], "verdict": verdict, "objects": image["objects"]}
        ask(f"api/images/{k}", decision)
    process.send_signal(signal.SIGINT)
    said += process.communicate(timeout=60)[0]
    assert process.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the names that the pages use exist."""
    folder = tmp_path_factory.mktemp("reader")
    write(PartsOptions(classes=2, train=10, test=5, size=96), folder / "DATA")
    for source, name in zip(sorted((folder / "DATA" / "images").iterdir()), ("badger", "fox"), strict=True):
        shutil.copytree(source, folder / "my_photos" / name)
        shutil.copytree(source, folder / "more_photos" / source.name)
        (folder / "new_photos").mkdir(exist_ok=True)
        for image in sorted(source.iterdir())[:3]:
            shutil.copy(image, folder / "new_photos")
    shutil.copy(next((folder / "new_photos").iterdir()), folder / "photo.jpg")
    for sample in read(folder / "DATA").split("test"):
        map = folder / "MAPS" / f"{sample.id}.npy"
        map.parent.mkdir(parents=True, exist_ok=True)
        np.save(map, np.eye(14))
    for layout in LAYOUTS:
        layout(read(folder / "DATA"), folder)
    _a_few_with_boxes(folder)
    _corrected(folder)
    return folder


def _a_few_with_boxes(folder: Path) -> None:
    """Some of my photos, as a manifest with boxes."""
    birds = read(folder / "DATA")
    rows = ["path,label,split,x0,y0,x1,y1"]
    for sample in birds.samples:
        corners = ",".join(f"{value:g}" for value in birds.ground_truth.boxes[sample.id][0])
        rows.append(f"{sample.path},{('badger', 'fox')[sample.label]},{sample.split},{corners}")
    (folder / "a_few_with_boxes").mkdir()
    (folder / "a_few_with_boxes" / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def _corrected(folder: Path) -> None:
    """What Label Studio and CVAT export of the new photos."""
    birds, tasks, images = read(folder / "DATA"), [], []
    for k, sample in enumerate(s for s in birds.samples if (folder / "new_photos" / s.path.name).is_file()):
        name, label = sample.path.name, ("badger", "fox")[sample.label]
        x0, y0, x1, y1 = birds.ground_truth.boxes[sample.id][0].tolist()
        value = {"x": x0 / 0.96, "y": y0 / 0.96, "width": (x1 - x0) / 0.96, "height": (y1 - y0) / 0.96}
        region = {"type": "rectanglelabels", "original_width": 96, "original_height": 96}
        result = [{**region, "value": {**value, "rectanglelabels": [label]}}]
        address = f"/data/local-files/?d=new_photos/{name}"
        tasks.append({"id": k, "annotations": [{"id": k, "result": result}], "data": {"image": address}})
        box = f'<box label="{label}" occluded="0" xtl="{x0}" ytl="{y0}" xbr="{x1}" ybr="{y1}"></box>'
        images.append(f'<image id="{k}" name="new_photos/{name}" width="96" height="96">{box}</image>')
    (folder / "new_photos" / "label-studio-export.json").write_text(json.dumps(tasks))
    document = f"<annotations><version>1.1</version><meta></meta>{''.join(images)}</annotations>"
    (folder / "new_photos" / "annotations.xml").write_text(document)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's example method as an installed package."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "your_package").mkdir()
    (folder / "your_package" / "__init__.py").touch()
    (source,) = blocks(ROOT / "docs" / "add-a-method.md", "python")
    (folder / "your_package" / "two_stages.py").write_text(source, encoding="utf-8")
    (entry_point,) = blocks(ROOT / "docs" / "add-a-method.md", "toml")
    name, value = re.search(r'^(\w+) = "(.+)"$', entry_point, re.M).groups()
    info = folder / "your_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: your_package\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[hclnet.methods]\n{name} = {value}\n", encoding="utf-8")
    return folder


def test_the_example_method_is_found_and_trains(place: Path, package: Path):
    path = os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")])
    assert "two_stages" in call(["hclnet", "methods"], place, PYTHONPATH=path)
    words = [
        "train",
        "DATA",
        "--method",
        "two_stages",
        "--weights",
        "none",
        "--size",
        "64",
        "--epochs",
        "1",
        "--out",
        "two",
    ]
    assert "Trained" in call(["hclnet", *words], place, PYTHONPATH=path)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_every_command_of_every_page_runs(place: Path, package: Path):
    path = os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")])
    ran = 0
    with serving() as hub:
        hub.repos["you/animals"] = place / "share"  # as docs/share.md leaves it
        there = {"HF_ENDPOINT": hub.address, "HF_HOME": str(place / "cache"), "NO_PROXY": "127.0.0.1"}
        for page in PAGES:
            for run in (place / "runs", place / "located"):  # each page begins afresh
                shutil.rmtree(run, ignore_errors=True)
            for words in commands(page):
                call(words, place, PYTHONPATH=path, **there)
                ran += 1
    assert ran > 10


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which does not exist"
