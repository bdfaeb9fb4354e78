"""Every benchmark runs, on a handful of drawn images, and prints numbers that can be right."""

from __future__ import annotations

import json
import re
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from hclnet.cli.demo import run_demo
from hclnet.data import read
from hclnet.localizer.localizer import Localizer
from hclnet.synthetic import PartsOptions
from hclnet.training import learn_missing
from hclnet.workflows.plan import parse_spec
from hclnet.workflows.settings import make_config

Printed = Callable[..., list[str]]
TESTS = Path(__file__).parent
BENCHMARKS = TESTS.parents[1] / "benchmarks"


def cells(lines: list[str]) -> list[list[str]]:
    """The rows of the Markdown table among these lines, without its head."""
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines if line.startswith("|")]
    start = next(k for k, row in enumerate(rows) if set(row[0]) == {"-"})
    assert all(len(row) == len(rows[start]) for row in rows)
    return rows[start + 1 :]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `hclnet demo` leaves, of a few small birds."""
    out = tmp_path_factory.mktemp("compared")
    run_demo(out, PartsOptions(classes=2, train=3, test=1, size=64, body_cue=1.0), epochs=1, workers=1)
    return out


def test_no_benchmark_is_without_a_test():
    scripts = (path for path in BENCHMARKS.glob("*.py") if "if __name__ ==" in path.read_text(encoding="utf-8"))
    names = sorted(path.stem for path in scripts)
    told = "".join(path.read_text(encoding="utf-8") for path in TESTS.glob("test_*.py"))
    assert len(names) >= 10
    assert not [name for name in names if not re.search(rf'printed\(\s*"{name}"|"{name}\.py"', told)]


def test_box_rules(printed: Printed, trained: Path, birds: Path):
    rows = cells(printed("box_rules", birds, trained))
    assert [row[:4] for row in rows] == [["64 px", "hclnet", maps, "1"] for maps in ("addition", "l1", "max")]
    for row in rows:
        best = float(row[4])
        auto, otsu, fixed = (float(cell.split()[0]) for cell in row[5:])
        assert 0 <= auto <= 100 and 0 <= otsu <= 100 and fixed <= best, row  # one threshold is not above the best one


def test_box_rules_of_a_run_that_has_no_foreground(printed: Printed, trained: Path, birds: Path, tmp_path: Path):
    """It learns what is missing, in the precision that it looks in, and leaves the run as it was."""
    bare = shutil.copytree(trained, tmp_path / "bare")
    weights = bare / "localizer" / "model.safetensors"
    save_file({k: v for k, v in load_file(weights).items() if not k.startswith("foreground.")}, weights)
    before = weights.read_bytes()
    found = printed("box_rules", birds, bare)
    assert weights.read_bytes() == before
    localizer = Localizer.load(bare)
    assert learn_missing(localizer, read(birds).split("train"), localizer.views)
    localizer.save(bare / "localizer")
    assert weights.read_bytes() != before and found == printed("box_rules", birds, bare)


def test_center_gaussian(printed: Printed, birds: Path, tmp_path: Path):
    lines = printed("center_gaussian", birds, "--keep", tmp_path / "maps")
    assert [line.split(":")[0] for line in lines] == ["hclnet", "wsoleval"]
    assert all(line.endswith("6 images") and 0 <= float(line.split()[2]) <= 100 for line in lines)
    kept = [np.load(path) for path in (tmp_path / "maps").rglob("*.npy")]
    assert len(kept) == 6 and all(np.unravel_index(map.argmax(), map.shape) == (111, 111) for map in kept)


def test_precision(printed: Printed, birds: Path, tmp_path: Path):
    few = ("--methods", "cam", "--set", "size=64", "--set", "epochs=1", "--set", "width=8", "--set", "scales=1")
    rows = cells(printed("precision", birds, "--out", tmp_path, "--preset", "quick", *few))
    both = ("float32", "bfloat16")
    assert [row[:4] for row in rows] == [[birds.name, "cam", trained, used] for trained in both for used in both]
    assert rows[0][-2:] == ["100.0", "100.0"] and all(0 <= float(cell) <= 100 for row in rows for cell in row[-2:])
    for run in ("cam-float32", "cam-bfloat16"):
        assert json.loads((tmp_path / birds.name / run / "environment.json").read_text())["precision"] == run[4:]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert cells(printed("precision", birds, "--out", tmp_path, "--preset", "quick", *few)) == rows
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}


def test_convolution(printed: Printed):
    lines = printed("convolution", "--channels", 8, "--width", 16, "--batch", 2, "--times", 1, "--sizes", "64,96")
    assert [line.split()[:2] for line in lines[2:]] == [["64", "4x4"], ["96", "6x6"]]
    for line in lines[2:]:
        plain, fast = map(float, line.split()[-2:])
        assert 0 < plain < 1e-5 and 0 < fast < 1e-5  # of the largest value: the same numbers but for rounding


def test_reading(printed: Printed):
    rows = cells(printed("reading", "--width", 80, "--times", 1))
    assert [row[0] for row in rows][:2] == ["PNG", "PNG, 16-bit gray"] and len(rows) == 6
    assert all(float(cell) >= 0 for row in rows for cell in row[1:])


def test_scoring(printed: Printed, tmp_path: Path):
    few = ("--count", 1, "--rounds", 1, "--sides", 64, "--maps", 5, "--folder", tmp_path)
    lines = printed("scoring", *few)
    assert [line.split()[0] for line in lines if line.endswith("x")] == ["peaks", "random"]
    assert any(line.startswith("5 maps of 224 px") for line in lines)
    assert sum("intervals of all" in line for line in lines) == 2
    assert not any(tmp_path.iterdir())


def test_without_training(printed: Printed, birds: Path):
    rows = cells(printed("without_training", birds, "--every", 3, "--scales", "1,[1,1.5]", "--rules", "auto,fixed:0.2"))
    assert [row[:2] for row in rows] == [[s, r] for s in ("1", "[1, 1.5]") for r in ("auto", "fixed:0.2")]
    assert all(float(cell) in (0, 50, 100) for row in rows for cell in row[2:3])


def test_the_rows_of_the_ablations_are_settings_that_there_are(birds: Path):
    tables = runpy.run_path(str(BENCHMARKS / "ablations.py"))["TABLES"]
    for specs in tables.values():
        for name, own in map(parse_spec, specs):
            make_config(birds, name, **{"size": 224, "tune": "heads", **own})
    assert sum(map(len, tables.values())) > 30


@pytest.mark.slow
def test_ablations(printed: Printed, birds: Path, tmp_path: Path):
    small = ("--size", 64, "--epochs", 1, "--out", tmp_path)
    lines = printed("ablations", birds, "--only", "augmentation,fusion,features", *small)
    assert [line for line in lines if line.startswith("## ")] == ["## augmentation", "## fusion", "## features"]
    assert sum(line.startswith("| minus hclnet") for line in lines) == 3
    assert len(list((tmp_path / "runs").iterdir())) == 4  # augmentation and fusion need one between them
    assert {path.stem for path in tmp_path.glob("*.md")} >= {"augmentation", "fusion", "features"}
    with pytest.raises(SystemExit):
        printed("ablations", birds, "--only", "lokos", *small)


@pytest.mark.slow
def test_claims(printed: Printed, compared: Path):
    lines = printed("claims", compared)
    assert lines[0] == f"{compared}: 1 seeds"
    rows = cells(lines)
    assert [row[0] for row in rows] == ["HCLNet for ACoL", "HCLNet for CAM"]
    by_method = {row["method"]: row for row in json.loads((compared / "compare.json").read_text())}
    for row, baseline in zip(rows, ("acol", "cam")):
        apart = 100 * (by_method["hclnet"]["top1_cls"] - by_method[baseline]["top1_cls"])
        assert float(row[1].split()[0].replace("−", "-")) == pytest.approx(apart, abs=0.05)


@pytest.mark.slow
def test_readme_picture(printed: Printed, compared: Path, tmp_path: Path):
    printed("readme_picture", compared, tmp_path / "new" / "picture.png", "--images", 2)
    with Image.open(tmp_path / "new" / "picture.png") as picture:
        assert picture.size == (84 + 2 * 205 - 5, 3 * 205 - 5)
        drawn = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert (drawn == (0xFF, 0x5D, 0x2E)).all(1).sum() > 100  # boxes


def test_readme_photographs(printed: Printed, tmp_path: Path):
    # Stand-ins of the photographs' shapes: what is found in them does not matter.
    for name, size in (("chelsea.png", (90, 60)), ("coffee.png", (90, 60)), ("astronaut.png", (60, 60))):
        Image.effect_noise(size, 90).convert("RGB").save(tmp_path / name)
    with pytest.raises(SystemExit):
        printed("readme_photographs", tmp_path, tmp_path / "new" / "picture.png")
    Image.effect_noise((90, 60), 90).convert("RGB").save(tmp_path / "rocket.jpg")
    printed("readme_photographs", tmp_path, tmp_path / "new" / "picture.png")
    with Image.open(tmp_path / "new" / "picture.png") as picture:
        assert picture.size == (3 * (390 + 6) + 260, 260 + 34)
        assert (np.asarray(picture.convert("RGB")).reshape(-1, 3) == (0xFF, 0x5D, 0x2E)).all(1).sum() > 100


@pytest.mark.slow
def test_parts_coverage(printed: Printed, tmp_path: Path):
    few = ("--size", 64, "--epochs", 1, "--classes", 2, "--train", 3, "--test", 1, "--seeds", 1)
    rows = cells(printed("parts_coverage", tmp_path, "--cues", "0,1", "--methods", "cam,hclnet", *few))
    assert [row[:2] for row in rows] == [[cue, method] for cue in "01" for method in ("cam", "hclnet")]
    assert all(0 <= float(cell.split()[0]) <= 100 for row in rows for cell in row[2:])
    assert len(read(tmp_path / "cue-1" / "data").samples) == 8


@pytest.mark.slow
def test_first_run(printed: Printed, birds: Path):
    lines = printed("first_run", birds, "--size", 64, "--epochs", 1, "--method", "cam")
    told = dict(line.split(": ") for line in lines if not line.startswith(" "))
    assert {"train", "evaluate", "train + evaluate"} <= set(told)
    assert 0 < float(told["evaluate"].split()[0]) < float(told["train + evaluate"].split()[0])


@pytest.mark.slow
def test_training_speed(printed: Printed, birds: Path):
    def rows_of(lines: list[str]) -> dict[str, list[str]]:
        rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line)
        return {what: cells for what, *cells in rows}

    small = ("--precisions", "float32", "--times", 1)
    for setting in ("size=64", "epochs=1", "scales=1", "coarse=0"):
        small += ("--set", setting)
    lines = printed("training_speed", birds, *small)
    rows = rows_of(lines)
    parts = [float(cells[0]) for cells in rows.values() if len(cells) == 2 and cells[1].endswith("%")]
    assert len(parts) >= 4 and sum(parts) == pytest.approx(float(rows["all"][0]), abs=0.5)
    (resident,) = [line for line in lines if "resident" in line]
    assert 0.1 < float(resident.split()[-2]) < 4
    backbone, step = rows["backbone at 64 px"], next(cells for what, cells in rows.items() if "step of heads" in what)
    assert 0.05 < float(backbone[1]) < 0.2 and 0.05 < float(step[1]) < 1  # GFLOP
    of_all = rows_of(printed("training_speed", birds, *small, "--set", "tune=all", "--parts-only"))
    step_of_all = next(cells for what, cells in of_all.items() if "step of all" in what)
    # Forwards, and the gradients of weights and inputs, of which many are depthwise convolutions'.
    assert float(step_of_all[1]) == pytest.approx(float(step[1]) + 3 * float(backbone[1]), rel=0.15)
    *_, row, median = filter(None, printed("training_speed", birds, *small, "--at-once", 2))
    assert float(row.split("|")[4]) > 0.5 and median.startswith("Median ratio: ")


@pytest.mark.slow
def test_two_commits(printed: Printed, birds: Path):
    small = ("--rounds", 1, "--set", "size=64", "--set", "epochs=1", "--set", "scales=1")
    lines = printed("two_commits", ".", ".", "--data", birds, "--images", birds / "images", *small)
    rows = cells(lines)
    assert [row[0] for row in rows] == ["train", "locate"]
    for row in rows:
        assert all(float(value) > 0 for value in (*row[1:3], *row[4:6]))
        assert row[3].split()[0] == row[3].split("[")[1].split()[0]  # of one round


def test_two_commits_locate_with_a_run_that_is_there(
    modules: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    module, called = modules("two_commits"), []
    monkeypatch.setattr(module, "timed", lambda tree, work, *words: called.append(words) or (1.0, 2.0))
    assert module.times(tmp_path, tmp_path, ["DATA"], Path("p"), Path("RUN")) == {"locate": (1.0, 2.0)}
    assert called == [("locate", Path("p"), "--model", Path("RUN"), "--out", tmp_path / "boxes")]


def test_the_table_of_two_commits(modules: Callable[[str], ModuleType]):
    rounds = [[{"train": (a, 2 * a)}, {"train": (b, b)}] for a, b in ((1.0, 2.0), (2.0, 3.0), (4.0, 2.0))]
    *_, row = modules("two_commits").table(rounds)
    assert row == "| train | 2.0 | 2.0 | 1.50 [0.50 to 2.00] | 4.0 | 2.0 | 0.75 [0.25 to 1.00] |"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read where Linux has it")
def test_soak(printed: Printed, tmp_path: Path):
    lines = printed("soak", "--images", 40, "--shard-size", 15, "--out", tmp_path / "memory.png")
    assert lines[-3].startswith("40 images in 3 shards")
    parts = [float(value) for value in lines[-2].partition(": ")[2].split(", ")]
    assert len(parts) >= 2 and all(10 < value < 10_000 for value in parts)
    with Image.open(tmp_path / "memory.png") as picture:
        assert picture.width > 500


def test_many_samples(printed: Printed):
    lines = printed("many_samples", "--images", 3000)
    assert len(lines) == 8 and lines[0].startswith("3,000 samples as objects: ")
    assert lines[1].startswith("3,000 samples as columns: ") and lines[3].startswith("... in 12 batches of an epoch: ")


def test_half_features(printed: Printed, trained: Path, birds: Path):
    rows = cells(printed("half_features", birds, trained))
    assert [row[:3] for row in rows] == [[str(trained), half, "6"] for half in ("float16", "bfloat16")]
    for _, _, images, boxes, labels, least in rows:
        assert 0 <= int(labels) <= int(images) and 0 <= int(boxes) <= int(images)
        assert 0 <= float(least) <= 1 and (int(boxes) > 0 or float(least) == 1)


@pytest.mark.slow
def test_exported(printed: Printed, birds: Path, tmp_path: Path):
    few = ("--preset", "fast", "--set", "size=64", "--set", "scales=1", "--set", "epochs=1", "--set", "stages=1")
    arguments = ("--work", tmp_path, "--methods", "hclnet", "--classes", 2, "--train", 3)
    rows = cells(printed("exported", birds, *arguments, *few))
    forms = ["eager", "onnx", "openvino"]
    assert [row[1:4] for row in rows] == [
        *(["hclnet", form, "float32"] for form in forms),
        *(["hclnet", form, precision] for precision in ("float16", "int8") for form in forms[1:]),
    ]  # fmt: skip
    for row in rows:
        size, milliseconds, speed, maps, *shares = map(float, row[4:])
        assert size > 1 and milliseconds > 0 and speed > 0 and all(0 <= share <= 100 for share in shares)
        if row[3] == "float32":
            assert maps <= 1e-4 and shares[:3] == [100, 100, 100]
    assert float(rows[-2][4]) < float(rows[-4][4]) < float(rows[1][4])  # of ONNX: int8, float16, float32


def test_timm_models(printed: Printed, tmp_path: Path):
    lines = printed("timm_models", "visformer", "inception_v3", "--out", tmp_path / "table.md")
    works, refused = (line for line in lines if line.startswith("| ") and not line.startswith("| module"))
    assert works.startswith("| visformer | visformer_tiny | ") and works.count("|") == 11
    assert refused.startswith("| inception_v3 | inception_v3 | ") and "refused: " in refused and refused.endswith(". |")
    assert lines[-1] == "1 of 2 work, 1 are refused, 0 fail."
    assert lines[-1] in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_small_transformer(printed: Printed, tmp_path: Path):
    few = ("--size", 64, "--classes", 2, "--images", 5, "--epochs", 2, "--methods", "cam")
    rows = cells(printed("small_transformer", "--work", tmp_path, *few))
    assert [row[0] for row in rows] == ["the classifier itself", "cam"]
    assert all(0 <= float(cell) <= 100 for row in rows for cell in row[1:])


@pytest.mark.slow
def test_inference(printed: Printed, birds: Path):
    few = ("--images", birds, "--megapixels", "0.01,0.02", "--threads", 1, "--count", 2, "--rounds", 2)
    rows = cells(printed("inference", *few, "--methods", "cam", "--files", "onnx float32"))
    names = ["cam, eager", "cam, onnx float32"]
    for megapixels in ("0.01", "0.02"):
        found = [row for row in rows if row[0] == megapixels]
        assert [row[2] for row in found][-2:] == names and {row[1] for row in found} == {"1"}
        assert found[0][4] == "1.00 (1.00 to 1.00)"
        for row in found:
            assert float(row[3]) > 0 and 97 <= sum(int(cell.split()[0]) for cell in row[-3:]) <= 103
