"""The runtime in an environment of its own, from the registry: its size, what is not in it, and its own tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUNTIME = ROOT / "runtime"
MOST = {"onnx": 130, "openvino": 150}  # MB of wheels; OpenVINO's own one has 59

pytestmark = pytest.mark.slow
Run = Callable[..., str]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By extra, a folder with all wheels that it needs."""
    home, found = tmp_path_factory.mktemp("wheels"), {}
    for extra in MOST:
        found[extra] = home / extra
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(found[extra]), f"{RUNTIME}[{extra}]"],
            check=True,
            cwd=home,
        )
        words = ["wheel", "--quiet", "--no-deps", "--wheel-dir", str(found[extra]), str(RUNTIME)]
        subprocess.run([sys.executable, "-m", "pip", *words], check=True, cwd=home)
    return found


@pytest.fixture(scope="module")
def alone(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs the Python of an environment with the runtime, both libraries and pytest."""
    home = tmp_path_factory.mktemp("alone")
    venv.create(home / "venv", with_pip=True)
    python = home / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}

    def run(*words: object) -> str:
        done = subprocess.run(
            [str(python), *map(str, words)], cwd=home, env=environment, capture_output=True, text=True, timeout=280
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    places = [f"--find-links={folder}" for folder in wheels.values()]
    run("-m", "pip", "install", "--quiet", "--no-index", *places, "hclnet-runtime[onnx,openvino]")
    run("-m", "pip", "install", "--quiet", "pytest")
    return run


@pytest.mark.parametrize("extra", MOST)
def test_it_is_small(wheels: dict[str, Path], extra: str):
    sizes = {file.name: file.stat().st_size for file in wheels[extra].glob("*.whl")}
    assert any(name.startswith("hclnet_runtime-") for name in sizes)
    assert not any(name.startswith(("torch", "numba", "pydantic", "nvidia")) for name in sizes)
    assert sum(sizes.values()) <= MOST[extra] * 1e6, sizes


def test_its_own_tests_pass_without_torch_and_numba(alone: Run):
    listed = {one["name"].lower() for one in json.loads(alone("-m", "pip", "list", "--format", "json"))}
    assert "hclnet-runtime" in listed and not {"torch", "numba", "pydantic", "hclnet", "scipy"} & listed
    said = alone("-m", "pytest", "-q", "-p", "no:cacheprovider", RUNTIME / "tests")
    assert " passed" in said and "skipped" not in said and "failed" not in said


def test_the_boxes_are_those_that_are_found_here(alone: Run, tmp_path: Path):
    """By the same numbers, for every rule, whether Numba compiles the loops or not."""
    script = tmp_path / "boxes.py"
    script.write_text(
        "import json, sys\n"
        "from hclnet_runtime import load\n"
        "model = load(sys.argv[1], threads=1)\n"
        "for rule in ('auto', 'fixed:0.4', 'otsu3'):\n"
        "    found = model.with_inference(box=rule).locate(sys.argv[2], top=3, max_objects=3)\n"
        "    print(json.dumps([(o.label, o.score, o.box, o.agreement) for o in found.objects]))\n"
    )
    words = [script, RUNTIME / "tests" / "tiny.onnx", ROOT / "docs" / "images" / "cam-beside-hclnet.jpg"]
    here = subprocess.check_output([sys.executable, *map(str, words)], text=True)
    assert alone(*words) == here and len(here.splitlines()) == 3


def test_the_first_box_comes_soon(alone: Run, tmp_path: Path):
    """Seconds from import to the first box; printed, since a test depends on no machine's speed."""
    code = (
        "import sys, time; start = time.perf_counter(); from hclnet_runtime import load;"
        "found = load(sys.argv[1]).locate(sys.argv[2]); print(time.perf_counter() - start); assert found.box"
    )
    for name in ("tiny.onnx", "tiny.xml"):
        seconds = alone("-c", code, RUNTIME / "tests" / name, ROOT / "docs" / "images" / "cam-beside-hclnet.jpg")
        print(f"{name}: {float(seconds):.2f} s from import to the first box")
