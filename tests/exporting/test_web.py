"""The page finds in a browser what Python finds, and asks nobody for anything."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hclnet
from hclnet.exporting import web
from hclnet.exporting.trace import trace, with_metadata
from hclnet.exporting.web import VERSION, check_page, write_page
from hclnet.metrics import Hclnet
from hclnet.metrics import draw as draw_map
from hclnet.synthetic import PartsOptions, draw
from hclnet_runtime.boxes import parse_rule
from hclnet_runtime.boxes.geometry import iou
from report.chromium import ARGUMENTS, find_chromium, playwright
from small_localizers import small_localizer

ABOUT = {"outlined": True, "inference": small_localizer("cam").inference.model_dump(mode="json")}


def about(outlined: bool = True, **settings) -> dict:
    return {"outlined": outlined, "inference": {**ABOUT["inference"], **settings}}


def test_settings_that_the_page_does_not_know_are_said_with_those_that_it_knows():
    for known in (
        {},
        {"box": "fixed:0.3"},
        {"cam_normalization": "max"},
        {"upsampling": "bicubic", "upsample_first": True},
    ):
        check_page(about(**known), has_foreground=True)
    check_page(about(outlined=False, box="fixed:0.3"), has_foreground=False)
    cases = {
        "box rules auto and fixed:T, not otsu3. Take --box fixed:0.2": about(box="otsu3"),
        "only with a foreground score learned from outlines": about(outlined=False),
        "normalizations minmax and max, not ivr:35": about(cam_normalization="ivr:35"),
        "bilinear upsampling only": about(upsampling="bicubic"),
    }
    for message, one in cases.items():
        with pytest.raises(ValueError, match=message):
            check_page(one, has_foreground=True)
    with pytest.raises(ValueError, match="learned from outlines, and this run has none"):
        check_page(about(), has_foreground=False)


def test_only_the_pinned_version_of_the_runtime_is_taken(tmp_path, monkeypatch):
    folder = tmp_path / "unpacked" / "dist"
    folder.mkdir(parents=True)
    with pytest.raises(ValueError, match=rf"unpacked is no onnxruntime-web {VERSION}: .*No such file"):
        write_page(b"", ABOUT, tmp_path / "page", tmp_path / "unpacked")
    for name in web._FILES:
        (folder / name).write_text("of another version")
    with pytest.raises(ValueError, match=rf"is not that of onnxruntime-web {VERSION}\. Fetch that with `npm pack"):
        write_page(b"", ABOUT, tmp_path / "page", tmp_path / "unpacked")
    with tarfile.open(tmp_path / "empty.tgz", "w:gz"):
        pass
    with pytest.raises(ValueError, match=r"empty\.tgz is no onnxruntime-web"):
        write_page(b"", ABOUT, tmp_path / "page", tmp_path / "empty.tgz")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ValueError, match=r"there is no npm here .* name the file that it writes with --ort"):
        write_page(b"", ABOUT, tmp_path / "page", None)
    assert not (tmp_path / "page").exists()


def test_a_page_replaces_a_page_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(web, "_from_npm", lambda: dict.fromkeys(web._FILES, b"code"))
    for model in (b"one", b"another"):
        assert write_page(model, ABOUT, tmp_path / "page", None) == [tmp_path / "page"]
        assert (tmp_path / "page" / "model.onnx").read_bytes() == model
    assert json.loads((tmp_path / "page" / "about.json").read_text()) == ABOUT
    assert {path.name for path in (tmp_path / "page" / "ort").iterdir()} == set(web._FILES)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").touch()
    with pytest.raises(ValueError, match="holds something else than an exported page"):
        write_page(b"", ABOUT, tmp_path / "mine", None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "page"]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory) -> Path:
    """onnxruntime-web as npm packs it."""
    folder = tmp_path_factory.mktemp("npm")
    if shutil.which("npm") is None:
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say("There is no npm here, which has the runtime of the page.")
    subprocess.run(["npm", "pack", "--silent", f"onnxruntime-web@{VERSION}"], cwd=folder, check=True, timeout=600)
    return next(folder.glob("*.tgz"))


@pytest.fixture
def served(tmp_path) -> Iterator[str]:
    """The address of what is in the folder `page`."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    handler = functools.partial(Quiet, directory=str(tmp_path / "page"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def photographs(folder: Path) -> list[Path]:
    """Birds in several shapes and formats, one of them stored on its side, and one transparent."""
    options, paths = PartsOptions(size=224), []
    for k, size in enumerate([(224, 224), (300, 180), (160, 240), (640, 427), (97, 131), (210, 330)]):
        image = Image.fromarray(np.ascontiguousarray(draw(options, "train", k, k).image)).resize(size)
        paths.append(folder / f"{k}.{'jpg' if k % 2 else 'png'}")
        if k == 4:
            image.putalpha(Image.linear_gradient("L").resize(size).point(lambda value: 255 * (value > 128)))
        exif = Image.Exif()
        if k == 5:
            exif[0x0112] = 6
        image.save(paths[-1], quality=95, exif=exif)
    return paths


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"scales": (1, 2)}, {"box": "fixed:0.3", "cam_normalization": "max"}])
def test_the_page_finds_the_boxes_that_python_finds(settings, runtime, served, tmp_path):
    localizer, path, troubles, asked = small_localizer("hclnet", **settings), find_chromium(), [], []
    traced = trace(localizer)
    write_page(with_metadata(traced.model, traced.about), traced.about, tmp_path / "page", runtime)
    with playwright().sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        page = browser.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(served)
        page.wait_for_selector("body[data-ready]")
        for photo in photographs(tmp_path):
            found = located(page, photo)
            ours = localizer.locate(photo)
            assert found["label"] == ours.label
            assert abs(found["score"] - ours.predictions[0][1]) < 0.01
            assert iou(np.array([found["box"]]), np.array([ours.box], float))[0, 0] >= 0.95, photo.name
        other = next(
            button for button in page.locator("#classes button").all() if ours.label not in button.inner_text()
        )
        name = other.inner_text().rsplit(" ", 2)[0]
        other.click()
        page.wait_for_function("name => JSON.parse(document.body.dataset.result).label === name", arg=name)
        found = json.loads(page.locator("body").get_attribute("data-result"))
        (box,) = (one.box for one in localizer.locate(photo, classes=[name]).objects)
        assert iou(np.array([found["box"]]), np.array([box], float))[0, 0] >= 0.95
        (tmp_path / "text.png").write_text("no image")
        page.set_input_files("#file", tmp_path / "text.png")
        page.get_by_text("text.png is no image that this browser can decode").wait_for()
        browser.close()
    assert not troubles
    assert asked and all(url.startswith((served, "blob:", "data:")) for url in asked)


def contradictory(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A map with its peak in one corner, and a foreground score that falls without an edge from the opposite one."""
    y, x = np.mgrid[0:14, 0:14] / 13
    heat = np.exp(-(2 + seed) * (x + y)) + 0.02 * np.random.default_rng(seed).random((14, 14))
    return heat.astype(np.float32), (-2 * np.hypot(1 - x, 1 - y)).astype(np.float32)


@pytest.mark.slow
def test_boxes_of_the_page_where_most_cuts_disagree_and_where_they_agree(served, tmp_path):
    (tmp_path / "page").mkdir()
    for name in ("boxes.js", "index.html"):
        (tmp_path / "page" / name).write_bytes((web._PAGE / name).read_bytes() if name == "boxes.js" else b"<p>")
    settings = {"map_size": 64, "cam_normalization": "minmax", "box": "auto"}
    code = """async ([maps, foreground, settings]) => {
        const { boxOf } = await import('./boxes.js');
        const as = (values, leading) => ({
          data: Float32Array.from(values.flat()), dims: [...leading, values.length, values[0].length],
        });
        const of = { maps: as(maps, [1]), branches: as(maps, [1, 1]), foreground: as(foreground, [1]) };
        return boxOf(of, settings).box;
    }"""
    majorities = []
    with playwright().sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        page = browser.new_page()
        page.goto(served)
        for seed in range(8):
            map, foreground = contradictory(seed)
            foreground = foreground if seed < 5 else np.where(map > 0.4, 2, -2).astype(np.float32)
            evidence = draw_map(map, Hclnet(map_size=64), foreground=foreground, outlined=True).evidence
            majorities.append(evidence.consensus.majority)
            ours = parse_rule("auto").choose(evidence).box
            found = page.evaluate(code, [map.tolist(), foreground.tolist(), settings])
            assert iou(np.array([found], float), ours[None].astype(float))[0, 0] >= 0.95, seed
        browser.close()
    assert majorities.count(False) >= 3 and all(majorities[5:])


def located(page, photo: Path) -> dict:
    """What the page says of a photograph."""
    page.set_input_files("#file", photo)
    done = "name => document.body.dataset.result && JSON.parse(document.body.dataset.result).name === name"
    page.wait_for_function(done, arg=photo.name)
    result: dict = json.loads(page.locator("body").get_attribute("data-result"))
    return result


@pytest.mark.slow
def test_a_run_becomes_a_page(trained, runtime, tmp_path):
    done = hclnet.export(trained, "web", ort=runtime, out=tmp_path / "page")
    assert done.written == [tmp_path / "page"] and done.agreement.close and done.bytes > 30e6
    assert {path.name for path in done.path.iterdir()} == {
        "index.html", "page.css", "page.js", "boxes.js", "squares.js", "about.json", "model.onnx", "ort",
    }  # fmt: skip
