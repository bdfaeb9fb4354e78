"""A file computes what its localizer computes, in ONNX Runtime and in OpenVINO, and says what it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import hclnet
from cli.conftest import invoke
from docs.test_commands import blocks
from hclnet.exporting.agreement import Agreement, compare, eager, inputs_of
from hclnet.exporting.trace import OPSET, trace, with_metadata
from hclnet.exporting.writing import save_openvino
from hclnet.localizer.localizer import Localizer
from hclnet.storage import Unwritable
from hclnet.workflows.export import CHECKED, drawn
from hclnet_runtime.engines import open_onnx, open_openvino, openvino
from small_localizers import CLASSES, small_localizer


@pytest.fixture(scope="module")
def localizer() -> Localizer:
    return small_localizer()


@pytest.fixture(scope="module")
def traced(localizer):
    return trace(localizer)


@pytest.fixture(scope="module")
def file(traced) -> bytes:
    return with_metadata(traced.model, traced.about)


def runs(traced, file: bytes, folder: Path):
    """The file in both runtimes."""
    save_openvino(file, traced.about, folder / "model.xml")
    return {"onnx": open_onnx(file, threads=1).run, "openvino": open_openvino(folder / "model.xml", threads=1).run}


def check_equal(traced, file: bytes, folder: Path, images: int = CHECKED) -> None:
    """Both runtimes find what the localizer finds, also in a batch of other sizes than the traced one."""
    pictures = drawn(traced.localizer)[:images]
    for run in runs(traced, file, folder).values():
        found = compare(traced, run, pictures)
        assert found.close and found.images == found.classes == found.equal == found.near == images
        inputs = [inputs_of(traced, picture) for picture in pictures[:3]]
        together = {name: np.concatenate([of[name] for of in inputs]) for name in inputs[0]}
        last = len(traced.localizer.classes) - 1
        together["classes"] = np.array([[-1, last], [last, -1], [0, 0]])
        outputs = run(together)
        for k, picture in enumerate(pictures[:3]):
            alone = eager(traced, picture, together["classes"][k].tolist())
            assert set(alone) == set(outputs)
            for name, value in alone.items():
                np.testing.assert_allclose(outputs[name][k], value[0], atol=1e-4, rtol=1e-4)


def test_the_file_of_a_localizer_finds_what_it_finds(traced, file, tmp_path):
    check_equal(traced, file, tmp_path)


def test_the_file_says_what_it_is_and_what_its_boxes_are_made_by(localizer, file):
    model = onnx.load_from_string(file)
    onnx.checker.check_model(model, full_check=True)
    assert [(one.domain, one.version) for one in model.opset_import if not one.domain] == [("", OPSET)]
    (about,) = (json.loads(one.value) for one in model.metadata_props if one.key == "hclnet")
    inference = json.loads(localizer.inference.model_dump_json()) | {"fusion": "addition"}
    assert about == {
        "format": 1, "hclnet": hclnet.__version__, "method": "hclnet", "backbone": "timm:test_resnet",
        "classes": list(CLASSES), "size": 32, "sides": {"image": [32], "crops": None}, "outlined": True,
        "inference": inference, "gray": {"whole": None, "fractions": None}, "precision": "float32", "opset": OPSET,
        "fingerprint": localizer.fingerprint(),
    }  # fmt: skip
    sizes = {one.name: [size.dim_param or size.dim_value for size in one.type.tensor_type.shape.dim]
             for one in (*model.graph.input, *model.graph.output)}  # fmt: skip
    assert sizes == {
        "image_32": ["batch", 32, 32, 3], "classes": ["batch", "k"],
        "probabilities": ["batch", 5], "classes_used": ["batch", "k"], "maps": ["batch", "k", 2, 2],
        "branches": ["batch", "k", 2, 2, 2], "foreground": ["batch", "k", 4, 4],
    }  # fmt: skip


def test_a_classifying_branch_is_computed_once_an_image_however_many_classes_are_asked_for(traced):
    """The backbone, two convolutions of branch A and two of branch B: none of them twice."""
    convolutions = [node for node in traced.model.graph if node.op_type == "Conv"]
    weights = [node.inputs[1].name for node in convolutions]
    assert len(weights) == len(set(weights)) == 15 + 4
    (batch, pairs) = ([str(node.outputs[0].shape[0]) for node in convolutions if f"branches.{k}" in node.inputs[1].name]
                      for k in (0, 1))  # fmt: skip
    assert len(set(batch)) == len(set(pairs)) == 1 and "*" in pairs[0] and "*" not in batch[0]


def test_an_export_leaves_a_file_and_what_it_was_checked_by(localizer, traced, file, tmp_path, monkeypatch):
    monkeypatch.setattr("hclnet.exporting.trace.trace", lambda _: traced)
    said = []
    done = hclnet.export(localizer, out=tmp_path / "new" / "mine.onnx", log=said.append)
    assert done.path.read_bytes() == file and done.written == [done.path] and done.bytes == len(file)
    assert done.agreement.images == done.agreement.equal == CHECKED and done.pictures == "drawn images"
    assert said[1] == (
        f"Checked on {CHECKED} drawn images: {CHECKED} of {CHECKED} boxes agree (IoU 0.9 or more), {CHECKED} are "
        f"equal; maps differ by {done.agreement.maps:.1g} at most."
    )
    half = hclnet.export(localizer, "openvino", "float16", tmp_path / "half.xml")
    assert [path.name for path in half.written] == ["half.xml", "half.bin"] and 0.4 < half.bytes / done.bytes < 0.8
    assert half.agreement.maps < 0.05
    about = openvino().Core().read_model(half.path).get_rt_info("hclnet").value
    assert json.loads(about) == {**traced.about, "precision": "float16"}
    small = hclnet.export(localizer, precision="float16", out=tmp_path / "half.onnx", verify=False)
    assert small.agreement is None and 0.4 < small.bytes / done.bytes < 0.8
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "half.bin", "half.onnx", "half.xml", "mine.onnx", "new",
    ]  # fmt: skip


def test_a_file_that_computes_something_else_is_not_written(localizer, traced, tmp_path, monkeypatch):
    monkeypatch.setattr("hclnet.exporting.trace.trace", lambda _: traced)
    wrong = Agreement(images=8, classes=8, equal=0, near=8, maps=0.01, probabilities=0)
    monkeypatch.setattr("hclnet.exporting.agreement.compare", lambda *_: wrong)
    (tmp_path / "mine.onnx").write_text("what was there")
    with pytest.raises(ValueError, match=r"computes something else than the run: maps differ by 0\.01 .* not written"):
        hclnet.export(localizer, out=tmp_path / "mine.onnx")
    with pytest.raises(ValueError, match="not written"):
        hclnet.export(localizer, "openvino", out=tmp_path / "mine.xml")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.onnx"]
    assert (tmp_path / "mine.onnx").read_text() == "what was there"


def test_what_cannot_be_exported_is_said_in_a_sentence(localizer, tmp_path, monkeypatch):
    cases = {
        r"--to tflite: there are onnx, openvino, web": {"to": "tflite"},
        r"--precision int4: there are float32, float16, int8": {"precision": "int4"},
        r"OpenVINO computes int8 too coarsely": {"to": "openvino", "precision": "int8"},
        r"Say where its file goes: out='model\.onnx'": {},
        r"mine\.bin does not end in \.xml": {"to": "openvino", "out": tmp_path / "mine.bin"},
        r"is a folder\. Name the file in it": {"out": tmp_path},
        r"int8 is tuned with images that the localizer was trained on, and none are known": {
            "precision": "int8",
            "out": tmp_path / "mine.onnx",
        },
        r"The training images can't be used: .*nowhere": {"data": tmp_path / "nowhere", "out": tmp_path / "mine.onnx"},
    }
    for message, arguments in cases.items():
        with pytest.raises(ValueError, match=message):
            hclnet.export(localizer, **arguments)
    monkeypatch.setattr("hclnet.workflows.export.find_spec", lambda name: None if name.startswith("onnx") else object())
    with pytest.raises(ValueError, match=r"needs onnx and onnx_ir .* pip install 'hclnet\[export\]'"):
        hclnet.export(localizer, out=tmp_path / "mine.onnx")
    assert not list(tmp_path.iterdir())


def test_weights_that_no_onnx_file_can_hold_are_refused(localizer, monkeypatch):
    monkeypatch.setattr("hclnet.exporting.trace._MOST", 1000)
    with pytest.raises(
        ValueError, match=r"The weights of timm:test_resnet take .* GB, and one ONNX file holds at most"
    ):
        trace(localizer)


def test_a_folder_that_cannot_be_written_is_said_before_the_work(localizer, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setattr("hclnet.exporting.trace.trace", lambda _: pytest.fail("worked in vain"))
    with pytest.raises(Unwritable, match="taken"):
        hclnet.export(localizer, out=tmp_path / "taken" / "mine.onnx")


def test_openvino_reports_nothing_to_its_makers(tmp_path):
    """Its package would write an identity into the home folder and send a message at every first import."""
    use = "from hclnet_runtime.engines import openvino; openvino()"
    code = f"import sys; {use}; print('openvino_telemetry' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False"] and not (tmp_path / "intel").exists()


FORMS = [
    ("cam", {}), ("acol", {"fusion": "max"}), ("spg", {}), ("bas", {}), ("trilite", {}), ("ts_cam", {}),
    ("hclnet", {"fusion": "l1", "flip": True, "scales": (1, 2), "upsample_first": True, "upsampling": "bicubic"}),
]  # fmt: skip
"""Each method that has a forward pass of its own; the others have that of cam or ts_cam."""


@pytest.mark.slow
@pytest.mark.parametrize("method, settings", FORMS)
def test_every_method_and_augmentation_has_a_form_in_onnx_and_openvino(method, settings, tmp_path):
    traced = trace(small_localizer(method, **settings))
    check_equal(traced, with_metadata(traced.model, traced.about), tmp_path)


@pytest.mark.slow
def test_ten_crops_have_a_form_too_and_two_exports_in_either_order_are_the_same(tmp_path):
    crops, plain = small_localizer("cam", crops=10), small_localizer("cam")
    files = [
        [with_metadata(traced.model, traced.about) for traced in map(trace, order)]
        for order in ((crops, plain), (plain, crops))
    ]
    assert files[0] == files[1][::-1]
    check_equal(trace(crops), files[0][0], tmp_path)


def _example(folder: Path, photo: Path) -> None:
    """The lines of docs/export.md give the class and the box that the run gives."""
    by_runtime: dict = {}
    found: dict = {}
    page = blocks(Path(__file__).parents[2] / "docs" / "export.md", "python")
    for code, names in zip(page, (by_runtime, found), strict=True):
        for name, path in {"mine.onnx": folder / "mine.onnx", "photo.jpg": photo}.items():
            code = code.replace(f'"{name}"', repr(str(path)))
        exec(code, names)
    about = found["about"]
    located = hclnet.load(folder / "run", "cpu").with_inference(**about["inference"]).locate(photo)
    assert by_runtime["found"].label == located.label and by_runtime["found"].box == located.box
    assert found["name"] == located.label and abs(found["score"] - located.predictions[0][1]) < 1e-5
    np.testing.assert_allclose(found["map"], located.maps[found["name"]], atol=1e-4)


@pytest.mark.slow
def test_a_run_is_exported_and_tuned_with_its_own_training_images(trained, birds, tmp_path):
    (tmp_path / "run").symlink_to(trained)
    done = invoke("export", trained, "--out", tmp_path / "mine.onnx", "--set", "flip=true")
    assert done.exit_code == 0, done.stderr
    assert f"Checked on {CHECKED} training images: {CHECKED} of {CHECKED} boxes agree" in done.stdout
    about = json.loads(onnx.load(tmp_path / "mine.onnx").metadata_props[0].value)
    assert about["inference"]["flip"] and about["classes"] == list(hclnet.load(trained, "cpu").classes)
    done = invoke("export", trained, "--precision", "int8", "--data", birds, "--out", tmp_path / "int8.onnx")
    assert done.exit_code == 0, done.stderr
    sizes = {name: (tmp_path / name).stat().st_size for name in ("mine.onnx", "int8.onnx")}
    assert sizes["int8.onnx"] < 0.35 * sizes["mine.onnx"]
    _example(tmp_path, next((birds / "images").rglob("*.jpg")))
    ranges = [node for node in onnx.load(tmp_path / "int8.onnx").graph.node if node.op_type == "QuantizeLinear"]
    assert len(ranges) > 40
