"""Reports that the verbs write, from a tiny training to the page."""

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

import hclnet
from hclnet.cli.app import app
from hclnet.data import read
from hclnet.localizer.evaluation import evaluate_localizer
from hclnet.report.maps import ImageMaps, taps, upsampled_levels
from hclnet.synthetic import PartsOptions, write

RECIPE = {"size": 64, "epochs": 2, "output_stride": 16, "device": "cpu"}
SET = ["--size", "64", "--epochs", "2", "--device", "cpu"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    write(PartsOptions(classes=3, train=4, test=3, size=64), folder)
    return folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "hclnet"
    hclnet.train(data, out, "hclnet", **RECIPE)
    return out


def embedded(path):
    """The data in a report."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text())[1])


def test_training_leaves_its_curves_and_a_few_pictures(run):
    page, text = embedded(run / "report.html"), (run / "report.html").read_text()
    assert 'id="loss-chart"' in text and "branch B" in text and 'id="top1-chart"' in text
    assert 'id="results"' not in text and 'id="threshold-chart"' not in text  # a few images are no score
    assert len(page["images"]["id"]) == 9 and "the 9 test images" in text and f"hclnet evaluate {run}" in text


def test_evaluation_writes_a_report_beside_the_records(run, data):
    result = hclnet.evaluate(run, box="fixed:0.3")
    assert result.report == result.folder / "report.html" == run / "evaluation" / "test" / "report.html"
    page, text = embedded(result.report), result.report.read_text()
    assert page["images"]["id"] == result.records.ids
    (column,) = page["columns"]
    assert (column["name"], column["rule"], column["branches"]) == ("hclnet", "fixed:0.3", 2)
    assert set(column["level"]) == {76} and column["iou"] == result.records.iou.tolist()
    assert f"{100 * result.metrics['gt_known']:.1f}" in text and 'id="threshold-chart"' in text
    low, high = result.metrics["intervals"]["gt_known"]
    assert 'id="loss-chart"' in text and f"{100 * low:.1f} to {100 * high:.1f}" in text


def test_without_a_report_there_is_none(run, data, tmp_path):
    result = hclnet.evaluate(run, out=tmp_path / "scores", report=False)
    assert result.report is None and (result.folder / "records.npz").exists()
    assert not (result.folder / "report.html").exists()
    hclnet.train(data, tmp_path / "run", "cam", report=False, **RECIPE)
    assert not (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize(
    "inference",
    [
        {},
        {"upsampling": "bicubic"},
        {"fusion": "max", "upsample_first": True},
        {"fusion": "l1", "upsample_first": True, "branch_normalization": "relu"},
    ],
)
def test_the_maps_kept_give_the_boxes_that_were_scored(run, data, inference):
    localizer = hclnet.load(run, "cpu").with_inference(box="otsu3", **inference)
    dataset = read(data)
    kept: list[ImageMaps] = []
    samples = dataset.split("test")
    (records,) = evaluate_localizer(localizer, samples, dataset.ground_truth, keep=lambda _, one: kept.append(one))
    from hclnet_runtime.boxes import component_tree, scale
    from report.test_maps import corrected

    for i, maps in enumerate(kept):
        rows, columns = (taps(n, 224, localizer.inference.upsampling) for n in maps.grid.shape)
        levels = corrected(upsampled_levels(maps.grid, rows, columns), maps.corrections)
        box = component_tree(levels).largest_boxes()[maps.level]
        width, height = records.sizes[i].tolist()
        np.testing.assert_allclose(scale(box[None], (224, 224), (width, height))[0], records.boxes[i])
        assert maps.branches.shape == (2, *maps.grid.shape) and maps.branches.max() == 65535


def test_keeping_maps_changes_no_record_and_every_variant_has_its_own_level(run, data):
    localizer, dataset = hclnet.load(run, "cpu"), read(data)
    variants = [localizer.inference.model_copy(update={"box": box}) for box in ("fixed:0.2", "otsu3", "fixed:0.4")]
    kept: list[list[ImageMaps]] = [[], [], []]
    samples = dataset.split("test")
    with_maps = evaluate_localizer(
        localizer, samples, dataset.ground_truth, variants, keep=lambda k, m: kept[k].append(m)
    )
    without = evaluate_localizer(localizer, samples, dataset.ground_truth, variants)
    for a, b in zip(with_maps, without):
        np.testing.assert_array_equal(a.boxes, b.boxes)
        np.testing.assert_array_equal(a.level_iou, b.level_iou)
    assert {m.level for m in kept[0]} == {51} and {m.level for m in kept[2]} == {102}
    assert [len(part) for part in kept] == [9, 9, 9] and kept[0][0].grid is kept[1][0].grid


def test_under_another_protocol_the_page_says_whose_boxes_the_slider_draws(run, tmp_path):
    result = hclnet.evaluate(run, out=tmp_path, protocol="wsoleval")
    assert "Protocol wsoleval" in result.report.read_text() and "unlike the protocol" in result.report.read_text()
    assert "unlike the protocol" not in hclnet.evaluate(run, out=tmp_path).report.read_text()
    page = embedded(hclnet.evaluate(run, out=tmp_path, protocol="wsoleval").report)
    assert page["columns"][0]["iou"] == result.records.iou.tolist() and list(page["taps"]) == ["4-224-bicubic"]


def test_comparison_reports_all_methods_over_seeds_with_pictures_of_the_first(data, tmp_path):
    methods = ["cam", "hclnet", "hclnet:fusion=max"]
    rows = hclnet.compare(data, methods, tmp_path, seeds=2, **RECIPE)
    page, text = embedded(tmp_path / "report.html"), (tmp_path / "report.html").read_text()
    assert [c["name"] for c in page["columns"]] == ["cam", "hclnet", "hclnet (fusion=max)"]
    assert (
        "cam and hclnet on" in text
        and "lowest to highest of 2 seeds" in text
        and "Pictures and filters are of seed 0." in text
    )
    first = [row for row in rows if row["seed"] == 0]
    for column, row in zip(page["columns"], first):
        shares = [iou >= 0.5 for iou in column["iou"]]
        assert sum(shares) / len(shares) == pytest.approx(row["gt_known"])
    assert not list(tmp_path.glob("runs/*/report.html"))


def test_the_command_line_ends_with_the_reports_path(run, data, tmp_path):
    runner = CliRunner()

    def last(*words):
        result = runner.invoke(app, list(words), catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout.split()[-1]

    out = tmp_path / "r"
    assert last("train", str(data), "--method", "cam", "--out", str(out), *SET) == str(out / "report.html")
    assert last("evaluate", str(out)) == str(out / "evaluation" / "test" / "report.html")
    assert not last("evaluate", str(out), "--no-report").endswith("report.html")
    both = ["compare", str(data), "--methods", "cam", *SET, "--out", str(tmp_path / "c")]
    assert last(*both) == str(tmp_path / "c" / "report.html")
    (tmp_path / "c" / "report.html").unlink()
    assert not last(*both, "--no-report").endswith("report.html") and not (tmp_path / "c" / "report.html").exists()
