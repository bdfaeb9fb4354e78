"""`hclnet reproduce`, on a few drawn birds: what it trains, what it uses again, what it writes."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hclnet.data import read
from hclnet.paper import read_experiment, reproduce
from hclnet.paper.pages import tex, value_text
from hclnet.paper.tables import table_of

RECIPE: dict[str, Any] = {"preset": "quick", "size": 64, "epochs": 1, "device": "cpu"}
compare = importlib.import_module("hclnet.workflows.compare")


@pytest.fixture(scope="module")
def out(birds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where table 4 has been reproduced."""
    folder = tmp_path_factory.mktemp("paper")
    reproduce("table4", birds, folder, seeds=2, **RECIPE)
    return folder


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    started: list[str] = []
    train_on = compare.train_on

    def counted(*args: Any, label: str = "", **kwargs: Any) -> Any:
        started.append(label)
        return train_on(*args, label=label, **kwargs)

    monkeypatch.setattr(compare, "train_on", counted)
    return started


def test_table_4_is_two_trainings_a_seed(out: Path):
    assert len(list((out / "runs").iterdir())) == 4
    names = {path.name for path in (out / "table4").iterdir()}
    assert names == {
        "table4.html", "table4.md", "table4.tex", "table4.json", "compare.json", "classes.csv", "report.html",
        ".hclnet.lock",
    }  # fmt: skip


def test_the_papers_figures_stand_beside_ours_as_errors(out: Path):
    content = json.loads((out / "table4" / "table4.json").read_text(encoding="utf-8"))
    rows = json.loads((out / "table4" / "compare.json").read_text(encoding="utf-8"))
    first, second = content["rows"][:2]
    assert first["name"] == "Threshold, max" and second["paper"] == {
        "top1_cls": 21.51, "top5_cls": 6.73, "top1_loc": 51.35, "top5_loc": 44.39
    }  # fmt: skip
    own = [row["gt_known"] for row in rows if (row["method"], row["settings"]) == ("hclnet", {"fusion": "max"})]
    assert len(own) == 2 and "gt_known" not in second["ours"]  # the paper's table has no such column
    own = sorted(100 - 100 * row["top1_loc"] for row in rows if row["run"] in second["runs"] and row["fusion"] == "max")
    assert second["ours"]["top1_loc"] == pytest.approx([np.median(own), own[0], own[-1]])
    assert second["margins"]["paper"]["top1_loc"] == -2.73 and "top5_cls" not in second["margins"]["paper"]
    value, low, high = next(r["difference"]["top1_loc"] for r in rows if r["run"] in second["runs"])
    assert second["margins"]["ours"]["top1_loc"] == pytest.approx([-100 * value, -100 * high, -100 * low])
    assert "margins" not in first and content["preset"] == "quick"


def test_without_true_boxes_there_is_classification_only(out: Path):
    rows = json.loads((out / "table4" / "compare.json").read_text(encoding="utf-8"))
    known = ("method", "settings", "seed", "images", "top1_cls", "top5_cls", "intervals", "recipe", "run")
    bare = [{key: row[key] for key in known} for row in rows]
    content = table_of(read_experiment("table4"), bare, "my photos")
    assert set(content["rows"][0]["ours"]) == {"top1_cls", "top5_cls"} and content["beside"] == {}
    assert content["rows"][0]["paper"]["top1_loc"] == 54.08
    assert "my photos has no ground-truth boxes: classification only" in content["units"]


def test_every_output_says_whose_figures_they_are(out: Path, birds: Path):
    for suffix in ("html", "md", "tex"):
        text = (out / "table4" / f"table4.{suffix}").read_text(encoding="utf-8")
        plain = " ".join(text.split())
        assert f"measured by hclnet on {tex(birds.name) if suffix == 'tex' else birds.name}," in plain
        assert "quoted from the paper" in plain and "Protocol hclnet" in plain and "21.51" in plain
        assert "21.51 % error and with addition" in plain or "21.51\\% error" in plain
        for name in ("Threshold, max", "C-CAM, l1-norm"):
            assert name in plain
    html = (out / "table4" / "table4.html").read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)=\"(?!data:|#|report\.html)", html)


def test_every_document_says_which_data_it_is_of(out: Path, birds: Path):
    about = json.loads((out / "table4" / "table4.json").read_text(encoding="utf-8"))["data"]
    rows = json.loads((out / "table4" / "compare.json").read_text(encoding="utf-8"))
    assert all(row["data"] == about for row in rows)
    assert about["path"] == str(birds) and about["split"] == "test"
    assert about["images"] == about["images_expected"] == len(read(birds).split("test"))
    html = (out / "table4" / "table4.html").read_text(encoding="utf-8")
    assert f"{birds}, test: {about['images']} images, fingerprint {about['fingerprint'][:8]}" in html
    figure_of = reproduce("fig3", birds, out, images="2", **RECIPE)
    assert figure_of.content["data"] == json.loads(figure_of.files[-1].read_text(encoding="utf-8"))["data"] == about


def test_latex_is_balanced_and_its_rows_have_all_columns(out: Path):
    text = (out / "table4" / "table4.tex").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    bare = "\n".join(lines).replace("\\{", "").replace("\\}", "")
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    assert not re.search(r"(?<!\\)[%#]|(?<![\\$])_", bare)
    body = [line for line in lines if line.endswith("\\\\") and "multicolumn" not in line]
    assert len(body) == 1 + 12 + 10 and {line.count("&") for line in body} == {7}
    begun, ended = (re.findall(rf"\\{word}{{(\w+)}}", bare) for word in ("begin", "end"))
    assert begun == ended[::-1] == ["table", "tabular"]


def test_again_it_trains_nothing_and_a_figure_shares_its_runs(out: Path, birds: Path, trainings: list[str]):
    reproduce("table4", birds, out, seeds=2, **RECIPE)
    done = reproduce("fig3", read(birds), out, images="2", **RECIPE)  # a data set that is read already
    assert trainings == []
    with Image.open(out / "fig3" / "fig3.png") as picture:
        assert picture.width == 4 * 248 + 8 and picture.height > 2 * 240
    assert [one["id"] for one in done.content["images"]] and "randomly chosen test images (seed 0)" in done.content[
        "chosen"
    ]
    assert (out / "fig3" / "fig3.html").read_text(encoding="utf-8").count("data:image/png;base64,") == 1


def test_figure_1_counts_kinds_of_boxes_and_covered_parts(out: Path, birds: Path, trainings: list[str]):
    done = reproduce("fig1", birds, out, images="1", **RECIPE)
    assert len(trainings) == 1  # CAM's
    kinds, parts = done.content["measured"]
    for values in kinds["rows"].values():
        assert sum(value for value, *_ in values[:5]) == pytest.approx(100)
    for values in (*kinds["rows"].values(), *parts["rows"].values()):
        assert all(0 <= low <= value <= high <= 100 for value, low, high in values)
    assert parts["heads"][:2] == ["coverage head", "coverage body"] and set(parts["rows"]) == {"CAM", "HCLNet"}
    html = (out / "fig1" / "fig1.html").read_text(encoding="utf-8")
    assert "Kinds of localization errors" in html and "Coverage of the maps" in html


def test_images_that_are_asked_for(out: Path, birds: Path):
    ids = [sample.id for sample in read(birds).split("test")]
    done = reproduce("fig3", birds, out, images=f"{ids[1]}, {ids[0]}", **RECIPE)
    assert [one["id"] for one in done.content["images"]] == [ids[1], ids[0]]
    for images, unknown in ((f"{ids[0]},nobody", "nobody"), ("", ""), ("-3", "-3")):
        with pytest.raises(ValueError, match=f"There is no image '{unknown}' in .* Give --images a number"):
            reproduce("fig3", birds, out / "other", images=images, **RECIPE)
    assert not (out / "other").exists()  # it is said before anything is trained
    training = next(sample.id for sample in read(birds).split("train"))
    with pytest.raises(ValueError, match=r"is not one of the \d+ images that were scored"):
        reproduce("fig3", birds, out, images=training, **RECIPE)


@pytest.mark.parametrize(
    ("value", "digits", "signed", "text"),
    [
        (None, 1, False, "-"),
        (22.11, 2, False, "22.11"),
        (-6.59, 2, True, "-6.59"),
        ([22.04, 20.96, 23.4], 1, False, "22.0 [21.0 to 23.4]"),
        ([0.0, 0.0, 0.0], 1, True, "+0.0"),
        ([1.5, -0.5, 3.25], 1, True, "+1.5 [-0.5 to +3.2]"),
    ],
)
def test_figures(value: Any, digits: int, signed: bool, text: str):
    assert value_text(value, digits, signed) == text


def test_what_latex_would_take_for_its_own():
    assert tex("a_b & 5 % “x” {y} \\z") == r"a\_b \& 5 \% ``x'' \{y\} \textbackslash{}z"


def test_it_is_a_verb_of_the_package_too():
    import hclnet

    assert hclnet.reproduce is reproduce
