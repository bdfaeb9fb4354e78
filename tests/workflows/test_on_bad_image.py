"""Broken images stop a training before it begins, or are left out and written down: in every verb alike."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hclnet.data import read
from hclnet.synthetic import PartsOptions, write
from hclnet.workflows.compare import compare
from hclnet.workflows.evaluate import evaluate
from hclnet.workflows.train import train

RECIPE: dict[str, Any] = {"method": "cam", "size": 64, "epochs": 1, "device": "cpu", "report": False}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HCLNET_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drawn")
    write(PartsOptions(classes=2, train=4, test=2, size=64), root)
    return root


@pytest.fixture
def data(drawn: Path, tmp_path: Path) -> Path:
    """With a broken training image and a broken test image."""
    shutil.copytree(drawn, tmp_path / "data")
    for split in ("train", "test"):
        read(tmp_path / "data").split(split)[0].path.write_bytes(b"")
    return tmp_path / "data"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "start",
    [
        lambda data, out: train(data, out, **RECIPE),
        lambda data, out: compare(data, ["cam"], out, **{k: v for k, v in RECIPE.items() if k != "method"}),
        lambda data, out: compare(data, ["cam", "acol:on_bad_image=skip"], out, size=64, report=False),
    ],
)
def test_by_default_nothing_begins(data: Path, tmp_path: Path, start: Callable, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hclnet.training.run.train_run", lambda *_: pytest.fail("a training began"))
    with pytest.raises(ValueError, match=r"2 images of 12 can't be read\. .* --on-bad-image skip"):
        start(data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_train_and_evaluate_without_them(data: Path, tmp_path: Path):
    before = {s.id: (s.label, s.split) for s in read(data).samples}
    logged: list[str] = []
    run = tmp_path / "run"
    train(data, run, log=logged.append, on_bad_image="skip", **RECIPE)
    assert any("Left out, 2 images of 12:\n" in line and line.count("is empty (0 bytes)") == 2 for line in logged)
    skipped = rows(run / "skipped.csv")
    assert [row["split"] for row in skipped] == ["train", "test"]
    assert all("is empty" in row["reason"] and row["path"].endswith(".jpg") for row in skipped)
    used = {row["id"]: row["split"] for row in rows(run / "data.csv")}
    assert used == {k: split for k, (_, split) in before.items() if k not in {row["id"] for row in skipped}}

    # Scored as it was trained, and its own list beside the records.
    logged.clear()
    result = evaluate(run, device="cpu", report=False, log=logged.append)
    assert result.metrics["images"] == 3 and len(logged) == 1 and "Left out, 1 image of 4" in logged[0]
    assert [row["id"] for row in rows(result.folder / "skipped.csv")] == [skipped[1]["id"]]
    with pytest.raises(ValueError, match="1 image of 4 can't be read"):
        evaluate(run, device="cpu", on_bad_image="fail")
    # A file that is mended is scored again.
    broken = Path(skipped[1]["path"])
    shutil.copy(read(data).split("test")[-1].path, broken)
    assert evaluate(run, device="cpu", report=False).metrics["images"] == 4


def test_a_resumed_run_goes_on_with_the_same_images(data: Path, tmp_path: Path):
    run = tmp_path / "run"
    train(data, run, on_bad_image="skip", **RECIPE)
    before = rows(run / "data.csv"), rows(run / "skipped.csv")
    for row in before[1]:
        shutil.copy(read(data).samples[-1].path, row["path"])
    logged: list[str] = []
    train(data, run, resume=True, log=logged.append, **RECIPE)
    assert "Left out as before, 2 images that skipped.csv lists." in logged
    assert (rows(run / "data.csv"), rows(run / "skipped.csv")) == before


def test_compare_without_them(data: Path, tmp_path: Path):
    out = tmp_path / "out"
    recipe = {k: v for k, v in RECIPE.items() if k != "method"}
    found = compare(data, ["cam"], out, on_bad_image="skip", **recipe)
    assert found[0]["images"] == 3
    assert len(rows(out / "skipped.csv")) == 2 == len(rows(out / found[0]["run"] / "skipped.csv"))
    # What goes on in the same folder is compared on the same images.
    for row in rows(out / "skipped.csv"):
        shutil.copy(read(data).samples[-1].path, row["path"])
    again = compare(data, ["cam"], out, **recipe)
    assert again[0]["images"] == 3 and len(rows(out / "skipped.csv")) == 2


def test_whole_data_leave_no_list(drawn: Path, tmp_path: Path):
    train(drawn, tmp_path / "run", **RECIPE)
    assert not (tmp_path / "run" / "skipped.csv").exists()


def test_a_policy_that_is_none(drawn: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=r"on_bad_image: .*'fail' or 'skip'"):
        train(drawn, tmp_path / "run", on_bad_image="ignore", **RECIPE)
