"""`benchmarks/golden.py` finds a difference of one bit, forgives a new name, and a commit is equal to itself."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def golden():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        yield importlib.import_module("golden")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """What a side left of one command, as far as a comparison is concerned."""
    folder = tmp_path / "A" / "case" / "1-train"
    (folder / "maps").mkdir(parents=True)
    (folder / "code.txt").write_text("0")
    rng = np.random.default_rng(0)
    save_file({"backbone.stem.weight": rng.random((3, 4), np.float32)}, folder / "weights.safetensors")
    np.savez(folder / "records.npz", iou=np.array([0.5, np.nan], np.float32), paths=np.array(["a", "b"]))
    told = {"gt_known": 0.25, "normalization": 1, "seconds": 3.5, "box": "auto", "intervals": {"gt_known": [0.1, None]}}
    (folder / "told.json").write_text(json.dumps(told))
    (folder / "history.csv").write_text("epoch,loss,seconds\n1,0.1,2\n2,nan,2\n")
    Image.fromarray(np.arange(12, dtype=np.uint16).reshape(3, 4)).save(folder / "maps" / "a.png")
    return folder


def compared(golden, first: Path, second: Path):
    tally = golden.Tally()
    golden.compare_results(first.parents[1], second.parents[1], tally, lambda line: None)
    return tally


def twin(results: Path) -> Path:
    other = results.parents[2] / "B" / "case" / "1-train"
    return Path(shutil.copytree(results, other))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_equal_results_are_equal_whatever_is_not_a_result(golden, results: Path):
    other = twin(results)
    edit(other / "told.json", "3.5", "4.5")
    edit(other / "told.json", '"auto"', '"reworded"')
    edit(other / "history.csv", "0.1,2", "0.1,9")
    np.savez(other / "records.npz", iou=np.array([0.5, np.nan], np.float32), paths=np.array(["c", "b"]))
    tally = compared(golden, results, other)
    assert not tally.differences
    # a tensor, a column, four numbers, two rows of epoch and loss, a picture
    assert tally.files == 5 and tally.values == 1 + 1 + 4 + 4 + 1


def test_one_bit_of_a_tensor_is_told_with_its_place(golden, results: Path):
    other = twin(results)
    tensor = np.random.default_rng(0).random((3, 4), np.float32)
    tensor[1, 2] = np.nextafter(tensor[1, 2], np.float32(2))
    save_file({"backbone.stem.weight": tensor}, other / "weights.safetensors")
    (told,) = compared(golden, results, other).differences
    assert told.startswith(
        "case/1-train/weights.safetensors: backbone.stem.weight: 1 of 12 values differ, first at [1, 2]"
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: edit(f / "told.json", "0.25", "0.26"), "told.json: gt_known: 0.25 | 0.26"),
        (lambda f: edit(f / "told.json", "null", "0.2"), "told.json: intervals.gt_known.1: None | 0.2"),
        (lambda f: edit(f / "told.json", '"gt_known": 0.25, ', ""), "told.json: only A has gt_known"),
        (lambda f: edit(f / "history.csv", "1,0.1", "1,0.10000001"), "history.csv: 0.loss: '0.1' | '0.10000001'"),
        (lambda f: np.savez(f / "records.npz", iou=np.array([0.5, 0.5], np.float32)), "iou: 1 of 2 values differ"),
        (lambda f: np.savez(f / "records.npz", iou=np.array([0.5, np.nan])), "iou: float32 [2] | float64 [2]"),
        (lambda f: Image.fromarray(np.zeros((3, 4), np.uint16)).save(f / "maps" / "a.png"), "picture: 11 of 12"),
        (lambda f: (f / "maps" / "a.png").unlink(), "maps/a.png: only A has it"),
        (lambda f: (f / "code.txt").write_text("2"), "case/1-train: ended with 2"),
        (lambda f: shutil.rmtree(f), "case/1-train: did not run (side B)"),
    ],
)  # fmt: skip
def test_whatever_differs_is_told(golden, results: Path, change, told: str):
    other = twin(results)
    change(other)
    (difference,) = compared(golden, results, other).differences
    assert told in difference


def test_new_names_and_more_of_them_are_no_difference(golden, results: Path):
    other = twin(results)
    tensor = np.random.default_rng(0).random((3, 4), np.float32)
    save_file({"backbone.stem.weight": tensor}, other / "weights.safetensors")
    edit(other / "told.json", "normalization", "normalization")
    edit(other / "told.json", '"gt_known": 0.25', '"gt_known": 0.25, "expected_images": 3')
    tally = compared(golden, results, other)
    assert not tally.differences and tally.new == ["case/1-train/told.json: expected_images"]


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("run/localizer/model.safetensors", "run/weights.safetensors"),
        ("run/metrics.csv", "run/history.csv"),
        ("run/evaluation/test/records.npz", "run/records.npz"),
        ("run/evaluation/birds-1a2b/test-wsoleval/records.npz", "run/records.npz"),
        ("compared/runs/cam-75cd51e7-seed0/localizer/model.safetensors", "compared/runs/cam-seed0/weights.safetensors"),
        ("compared/runs/cam-75cd51e7-seed0/records-80e24035.npz", "compared/runs/cam-seed0/records.npz"),
        ("told.json", "told.json"),
        ("maps/heatmaps/disc-test-0.png", "maps/heatmaps/disc-test-0.png"),
        ("run/checkpoints/last.ckpt", None),
        (".cache/features/a/boxes.json", None),
        ("run/localizer/localizer.json", None),
        ("run/evaluation/test/metrics.json", None),  # `--json` has them under keys that stay
    ],
)
def test_results_are_kept_under_names_that_both_sides_share(golden, path: str, kept: str | None):
    assert golden.side.kept_as(path) == kept


def test_a_name_that_is_no_commit_is_said(golden, tmp_path: Path, capsys: pytest.CaptureFixture):
    assert golden.main(["no-such-commit", ".", "--work", str(tmp_path)]) == 2
    assert "no-such-commit" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_commit_is_equal_to_itself(tmp_path: Path):
    commit = "HEAD" if (ROOT / ".git").exists() else "."
    words = [commit, commit, "--quick", "--only=-bfloat16", "--images", "3", "--work", str(tmp_path)]
    done = subprocess.run([sys.executable, ROOT / "benchmarks" / "golden.py", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "are equal, bit for bit." in done.stdout and "hclnet-augmented-bfloat16/2-evaluate" in done.stdout
    assert not [p for p in tmp_path.iterdir() if p.name in ("tree", "scratch")]
