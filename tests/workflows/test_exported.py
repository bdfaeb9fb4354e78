"""An exported model in place of a run: the same verb, journal, formats and pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import hclnet
import hclnet_runtime
from hclnet.cli.app import app
from hclnet.exporting.trace import trace, with_metadata
from hclnet.exporting.writing import save_openvino
from hclnet.formats.journal import OtherResults
from hclnet.localizer.localizer import Localizer
from small_localizers import small_localizer

TINY = Path(__file__).parents[2] / "runtime" / "tests" / "tiny.onnx"
QUIET = {"formats": ("json",), "save": ()}

pytest.importorskip("onnxruntime")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("p").mkdir()
    for seed in range(3):
        blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((80, 60), Image.Resampling.BICUBIC).save(f"p/{seed}.png")
    return Path("p")


def test_the_verb_takes_it_as_a_run(photos: Path):
    done = CliRunner().invoke(app, ["locate", "p", "--model", str(TINY), "--save", "overlays,heatmaps", "--top", "2"])
    assert done.exit_code == 0, done.output
    assert "6 boxes in 3 images" in done.output
    header, *rows = map(json.loads, Path("located/located.jsonl").read_text().splitlines())
    assert header["model"] == {"name": str(TINY), "fingerprint": "0" * 64} and header["classes"][0] == "wren"
    assert header["settings"]["precision"] == "float32 by ONNX Runtime" and header["settings"]["fusion"] == "max"
    model = hclnet_runtime.load(TINY)
    for row in rows:
        found = model.locate(row["path"], top=2)
        assert [o["box"] for o in row["objects"]] == [list(o.box) for o in found.objects]
        stem = Path(row["path"]).stem
        assert Path(f"located/overlays/{stem}.jpg").is_file() and Path(f"located/heatmaps/{stem}.png").is_file()
    assert len(json.loads(Path("located/coco.json").read_text())["annotations"]) == 6


def test_the_same_call_goes_on_and_another_one_is_refused(photos: Path):
    hclnet.locate_files(["p/0.png"], TINY, "out", **QUIET)
    again = hclnet.locate_files("p", TINY, "out", **QUIET)
    assert again.already == 1 and len(again.localizations) == 3
    with pytest.raises(OtherResults, match=r"box auto, not fixed:0\.5"):
        hclnet.locate_files("p", TINY, "out", **QUIET, box="fixed:0.5")
    other = hclnet.locate_files("p", TINY, "other", **QUIET, box="fixed:0.9")
    assert [one.objects for one in other.localizations] != [one.objects for one in again.localizations]


def test_what_is_settled_in_the_network_stays(photos: Path):
    same = hclnet.locate_files("p", TINY, "out", **QUIET, scales=(1, 1.5), flip=False, fusion="max")
    assert len(same.localizations) == 3
    for changes, said in [
        ({"fusion": "l1"}, r"fusion=l1: .*tiny\.onnx was exported with fusion=max, which is settled in its network"),
        ({"scales": 2}, r"scales=.*was exported with scales=\[1\.0, 1\.5\]"),
        ({"box": "fixed:7"}, r"box: the box rule 'fixed:7' is not valid"),
        ({"device": "cuda"}, r"an exported model, which computes on the processor: cuda can't be asked for"),
    ]:
        with pytest.raises(ValueError, match=said):
            hclnet.locate_files("p", TINY, "more", **QUIET, **changes)
    assert not Path("more").exists()


def test_one_image(photos: Path):
    model = hclnet_runtime.load(TINY)
    for given in (TINY, str(TINY), model):
        assert hclnet.locate("p/0.png", given).objects == model.locate("p/0.png").objects
    with pytest.raises(ValueError, match=r"tiny\.onnx is an exported model\. Load it with hclnet_runtime\.load\."):
        hclnet.load(TINY)
    with pytest.raises(ValueError, match=r"There is no file gone\.onnx\."):
        hclnet.locate("p/0.png", "gone.onnx")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Localizer, Path]:
    """A localizer, and the folder with its files for both libraries."""
    folder, localizer = tmp_path_factory.mktemp("exported"), small_localizer(flip=True, fusion="max")
    traced = trace(localizer)
    file = with_metadata(traced.model, traced.about)
    (folder / "mine.onnx").write_bytes(file)
    save_openvino(file, traced.about, folder / "mine.xml")
    return localizer, folder


@pytest.mark.parametrize("name", ["mine.onnx", "mine.xml"])
def test_it_finds_what_the_localizer_finds(photos: Path, exported: tuple[Localizer, Path], name: str):
    """The same `Localization`: classes, boxes, pixels of objects, agreement, heatmaps and maps."""
    localizer, folder = exported
    model = hclnet_runtime.load(folder / name, threads=1)
    for photo in sorted(photos.iterdir()):
        for asked in ({}, {"top": 3, "max_objects": 2}, {"classes": ["Gämse", "fox"]}):
            ours, theirs = localizer.locate(photo, **asked), model.locate(photo, **asked)
            assert (ours.path, ours.size, ours.gray) == (theirs.path, theirs.size, theirs.gray)
            assert [label for label, _ in ours.predictions] == [label for label, _ in theirs.predictions]
            assert list(ours.heatmaps) == list(theirs.heatmaps) and len(ours.objects) == len(theirs.objects)
            for one, other in zip(ours.objects, theirs.objects):
                assert (one.label, one.box, one.agreement) == (other.label, other.box, other.agreement)
                assert one.score == pytest.approx(other.score, abs=1e-5) and (one.mask == other.mask).mean() > 0.999
            for label in ours.heatmaps:
                np.testing.assert_allclose(theirs.heatmaps[label], ours.heatmaps[label], atol=1e-4)
                np.testing.assert_allclose(theirs.maps[label], ours.maps[label], atol=1e-4)
                np.testing.assert_allclose(theirs.branches[label], ours.branches[label], atol=1e-4)
