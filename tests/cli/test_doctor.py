"""The doctor finds what is wrong, says what to do, and looks at everything even so."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from hclnet.cli import doctor


@pytest.fixture
def examined(capsys: pytest.CaptureFixture):
    def run() -> tuple[bool, dict[str, str], list[str]]:
        well = doctor.examine()
        lines = capsys.readouterr().out.splitlines()
        rows = {line[9:23].strip(): line for line in lines[:-1]}
        assert list(rows) == list(doctor.CHECKS)
        return well, rows, lines

    return run


def test_all_is_well(examined):
    well, rows, lines = examined()
    assert well and lines[-1] == "All is well."
    assert all(line.startswith("ok ") for line in rows.values())
    assert "19 MB" in rows["weights"] and "GB free" in rows["feature cache"] and "threads" in rows["torch"]


def test_a_torchvision_for_another_torch(examined, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "requires", lambda name: ["numpy", "torch==1.0.0"])
    well, rows, lines = examined()
    assert not well and "run `hclnet doctor` again" in lines[-1]
    assert rows["torchvision"].startswith("PROBLEM ")
    assert "belongs to torch 1.0.0" in rows["torchvision"] and "pip install --force-reinstall" in rows["torchvision"]
    assert rows["weights"].startswith("ok ")


def test_what_can_not_be_imported(examined, monkeypatch: pytest.MonkeyPatch):
    def broken(name: str) -> Any:
        if name in ("torch", "torchvision"):
            raise RuntimeError("operator torchvision::nms does not exist")
        return importlib.__import__(name)

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    well, rows, _ = examined()
    assert not well
    assert "torch can't be imported" in rows["torch"] and "nms does not exist" in rows["torchvision"]


def test_what_is_not_installed(examined, monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", missing)
    well, rows, _ = examined()
    assert not well and "torchvision is not installed. Run `pip install" in rows["torchvision"]


def test_weights_that_are_gone(examined, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("hclnet.backbones.packaged.packaged_weights", lambda: tmp_path / "gone.pth")
    well, rows, _ = examined()
    assert not well and "gone.pth is gone. Run `pip install" in rows["weights"]


def test_a_cache_that_can_not_be(examined, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("HCLNET_CACHE", str(tmp_path / "file" / "cache"))
    well, rows, _ = examined()
    assert not well and "Set HCLNET_CACHE to a folder of yours" in rows["feature cache"]


def test_machine_code_that_can_not_be_kept(examined, monkeypatch: pytest.MonkeyPatch):
    well, rows, _ = examined()
    assert well and "kept in /" in rows["compiled code"]
    monkeypatch.setattr("hclnet_runtime.loops.code_folders", {"build": None})
    well, rows, _ = examined()
    assert not well and "Set NUMBA_CACHE_DIR" in rows["compiled code"]
