"""The runtime alone: needs pytest, and ONNX Runtime or OpenVINO, and nothing else of hclnet."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hclnet_runtime import load
from hclnet_runtime.__main__ import main

HERE = Path(__file__).parent
ENGINES = [("tiny.onnx", "onnxruntime"), ("tiny.xml", "openvino")]


@pytest.fixture(scope="module", params=ENGINES, ids=[library for _, library in ENGINES])
def file(request: pytest.FixtureRequest) -> Path:
    name, library = request.param
    pytest.importorskip(library)
    return HERE / name


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Blocks of color, wider than high."""
    blocks = np.random.default_rng(1).integers(0, 255, (6, 9, 3)).astype(np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(blocks).resize((180, 120), Image.Resampling.BICUBIC).save(path)
    return path


def altered(file: Path, folder: Path, old: bytes, new: bytes) -> Path:
    """A copy with other bytes of the same number."""
    if file.suffix == ".xml":
        shutil.copy(file.with_suffix(".bin"), folder)
    data = file.read_bytes()
    old, new = (text.replace(b'"', b"&quot;") if file.suffix == ".xml" else text for text in (old, new))
    assert old in data and len(old) == len(new)
    other = folder / file.name
    other.write_bytes(data.replace(old, new))
    return other


def test_an_image_comes_out_as_class_maps_and_box(file: Path, photo: Path):
    found = load(file, threads=1).locate(photo)
    assert found.size == (180, 120) and found.path == str(photo)
    assert [name for name, _ in found.predictions] == ["wren", "finch", "nothing"] and found.label == "wren"
    assert sum(score for _, score in found.predictions) == pytest.approx(1, abs=1e-5)
    assert (found.heatmap.shape, found.maps["wren"].shape) == ((64, 64), (8, 8))
    assert found.branches["wren"].shape == (2, 8, 8)
    # The network's maps are the larger of both branches, as it was drawn.
    np.testing.assert_allclose(found.maps["wren"], found.branches["wren"].max(0), atol=1e-6)
    assert (found.heatmap.min(), found.heatmap.max()) == (0, 1)
    x0, y0, x1, y1 = found.box
    assert 0 <= x0 < x1 <= 180 and 0 <= y0 < y1 <= 120
    assert 0 <= found.objects[0].agreement <= 1 and found.objects[0].mask.any()


def test_each_way_to_give_an_image_is_the_same(file: Path, photo: Path):
    model, picture = load(file), Image.open(photo)
    first = model.locate(str(photo))
    for image in (photo, picture, np.asarray(picture)):
        again = model.locate(image)
        assert again.objects == first.objects and again.predictions == first.predictions
        assert (again.heatmap == first.heatmap).all()


def test_classes_that_are_asked_for(file: Path, photo: Path):
    model = load(file)
    every = model.locate(photo, top=3)
    assert list(every.heatmaps) == ["wren", "finch", "nothing"]
    for name in model.classes:
        one = model.locate(photo, classes=[name])
        assert one.label == name and (one.heatmap == every.heatmaps[name]).all()
    assert len({one.heatmap.tobytes() for one in (model.locate(photo, classes=[c]) for c in model.classes)}) == 3
    several = model.locate(photo, classes=["nothing", "wren"])
    assert list(several.heatmaps) == ["wren", "nothing"]  # the more probable first
    assert len(model.locate(photo, max_objects=9).objects) >= 1


def test_a_batch_is_the_same_one_by_one(file: Path, photo: Path):
    model = load(file)
    images = [photo, Image.open(photo).rotate(180), np.asarray(Image.open(photo))[:, ::-1].copy()]
    batch = model.locate_batch(iter(images), top=2)
    for image, found in zip(images, batch, strict=True):
        alone = model.locate(image, top=2)
        assert alone.objects == found.objects and (alone.heatmap == found.heatmap).all()
    with pytest.raises(ValueError, match=r"^Image 1 of the list: There is no image file gone\.png"):
        model.locate_batch([photo, "gone.png"])
    with pytest.raises(ValueError, match="For one image there is locate"):
        model.locate_batch(str(photo))


def test_settings_of_boxes_can_be_changed_and_those_of_the_network_not(file: Path, photo: Path):
    model = load(file)
    assert model.inference["box"] == "auto"
    tight, wide = (model.with_inference(box=f"fixed:{share}").locate(photo).box for share in (0.9, 0.05))
    assert tight != wide and model.locate(photo).box == load(file).locate(photo).box
    assert not model.with_inference(min_score=1.0).locate(photo).objects
    assert model.with_inference(map_size=32, fusion="max").locate(photo).heatmap.shape == (32, 32)
    nothing = model.with_inference(background_class="wren").locate(photo)
    assert nothing.label == "wren" and not nothing.objects
    for changes, said in [
        (
            {"fusion": "addition"},
            r"fusion=addition: .*tiny\.\w+ was exported with fusion=max, which is settled",
        ),
        ({"scales": (1.0,)}, r"scales=.*settled in its network"),
        ({"box": "fixed:2"}, r"the box rule 'fixed:2' is not valid"),
        ({"colour": 1}, r"There is no setting colour\. There are background_class, box"),
        ({"min_score": 2}, r"min_score=2: it has to be a number from 0 to 1"),
        ({"map_size": 4}, r"map_size=4: it has to be a whole number, 8 or more"),
        ({"upsampling": "best"}, r"upsampling=best: there are bilinear and bicubic"),
        ({"cam_normalization": "x"}, r"there is no map normalization 'x'"),
        ({"background_class": "owl"}, r"background_class=owl: there is no such class"),
    ]:
        with pytest.raises(ValueError, match=said):
            model.with_inference(**changes)


def test_what_can_not_be_meant_is_said_in_a_sentence(file: Path, photo: Path, tmp_path: Path):
    model = load(file)
    (tmp_path / "text.png").write_text("no picture")
    for arguments, said in [
        ((tmp_path / "gone.png",), r"There is no image file .*gone\.png\."),
        ((tmp_path / "text.png",), r"text\.png is not an image in any format that Pillow reads\."),
        ((3,), r"An image can't be given as int\."),
        ((photo, 0), r"top=0: it has to be a whole number, 1 or more\."),
        ((photo, 1, ["owl"]), r"No such class: owl\. There are wren, finch, nothing\."),
    ]:
        with pytest.raises(ValueError, match=said):
            model.locate(*arguments)


def test_files_that_are_no_models(file: Path, tmp_path: Path):
    (tmp_path / f"text{file.suffix}").write_text("no model")
    (tmp_path / "text.bin").write_text("")
    (tmp_path / "folder").mkdir()
    for path, said in [
        (tmp_path / f"gone{file.suffix}", r"There is no file .*gone\."),
        (tmp_path / f"text{file.suffix}", r"text\.\w+ is not an? (ONNX )?model( of OpenVINO)?, or it is damaged: "),
        (tmp_path / "folder", r"folder is a folder, not an exported model\. .*hclnet export .*folder"),
        (tmp_path / "model.pt", r"model\.pt is no exported model: that is a file \.onnx \(ONNX\) or \.xml \(OpenVI"),
    ]:
        with pytest.raises(ValueError, match=said) as raised:
            load(path)
        assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match="threads=0: it has to be a whole number"):
        load(file, threads=0)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"format": 1', b'"format": 2', r"in format 2, and this hclnet-runtime reads format 1\. .*--upgrade"),
        (b'"format": 1', b'"format": x', r"has settings of hclnet that can't be read"),
        (b'"outlined"', b'"outlimed"', r"don't belong to it: no outlined\. Export the run again"),
        (b'"map_size"', b'"map_zise"', r"don't belong to it: no 'map_size'\."),
        (b"[32, 48]", b"[32, 64]", r"don't belong to it: inputs classes, crops_37, image_32, image_48\."),
    ],
)
def test_settings_that_are_of_another_version_or_file(file: Path, tmp_path: Path, old: bytes, new: bytes, said: str):
    with pytest.raises(ValueError, match=said):
        load(altered(file, tmp_path, old, new))


def test_a_model_of_somebody_else(tmp_path: Path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "tiny.onnx").write_bytes((HERE / "tiny.onnx").read_bytes().replace(b"\x06hclnet", b"\x06someon"))
    with pytest.raises(ValueError, match=r"tiny\.onnx was not exported by hclnet: it has no classes and settings"):
        load(tmp_path / "tiny.onnx")


def test_weights_that_are_not_there(tmp_path: Path):
    pytest.importorskip("openvino")
    shutil.copy(HERE / "tiny.xml", tmp_path)
    with pytest.raises(ValueError, match=r"tiny\.xml lacks its weights, which belong beside it: tiny\.bin"):
        load(tmp_path / "tiny.xml")


def test_a_library_that_is_not_installed(file: Path, monkeypatch: pytest.MonkeyPatch):
    library, extra = {".onnx": ("onnxruntime", "onnx"), ".xml": ("openvino", "openvino")}[file.suffix]
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ValueError, match=rf"can't be imported\. Install it:  pip install 'hclnet-runtime\[{extra}\]'"):
        load(file)


def test_both_libraries_find_the_same(photo: Path):
    for _, library in ENGINES:
        pytest.importorskip(library)
    one, other = (load(HERE / name).locate(photo, top=3, max_objects=3) for name, _ in ENGINES)
    assert [o.box for o in one.objects] == [o.box for o in other.objects]
    for name in one.maps:
        np.testing.assert_allclose(one.maps[name], other.maps[name], atol=1e-5)


def test_on_the_command_line(file: Path, photo: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(file), str(photo), "gone.png", "--top", "2", "--threads", "1"]) == 1
    out, err = capsys.readouterr()
    (row,) = map(json.loads, out.splitlines())
    found = load(file).locate(photo, top=2)
    assert row["path"] == str(photo) and row["size"] == [180, 120] and "no image file gone.png" in err
    assert [o["box"] for o in row["objects"]] == [list(o.box) for o in found.objects]
    assert [o["label"] for o in row["objects"]] == [o.label for o in found.objects]
    assert main(["gone.onnx", str(photo)]) == 2 and "There is no file gone.onnx" in capsys.readouterr().err


def test_libraries_report_nothing_to_their_makers(file: Path, tmp_path: Path):
    """By themselves they write an identity into the home or temporary folder and send messages."""
    (tmp_path / "home").mkdir()
    (tmp_path / "temporary").mkdir()
    kept = {k: v for k, v in os.environ.items() if k not in ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    environment = {**kept, "HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "temporary")}
    code = "import sys; from hclnet_runtime import load; load(sys.argv[1]); print('openvino_telemetry' in sys.modules)"
    said = subprocess.check_output([sys.executable, "-c", code, str(file)], text=True, env=environment)
    assert said.split() == ["False"] and not [*(tmp_path / "home").iterdir(), *(tmp_path / "temporary").iterdir()]


def test_nothing_large_is_loaded(file: Path, photo: Path):
    code = (
        "import sys; from hclnet_runtime import load; load(sys.argv[1]).locate(sys.argv[2]);"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    words = [sys.executable, "-W", "error", "-c", code, str(file), str(photo)]
    loaded = set(subprocess.check_output(words, text=True).split())
    assert {"numpy", "PIL", "cv2"} <= loaded
    assert not loaded & {"torch", "pydantic", "matplotlib", "hclnet", "typer"}
