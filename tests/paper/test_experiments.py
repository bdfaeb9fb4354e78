"""The files of the paper's tables and figures: all methods and figures in them exist, and the numbers add up."""

from __future__ import annotations

import pytest

from hclnet.configs import experiment_names
from hclnet.metrics import METRICS
from hclnet.paper.experiments import FigureOf, TableOf, read_experiment
from hclnet.settings import read_preset
from hclnet.workflows.plan import parse_spec
from hclnet.workflows.settings import make_config

TABLES = [name for name in experiment_names() if isinstance(read_experiment(name), TableOf)]


def test_the_experiments():
    assert experiment_names() == ["table1", "table2", "table3", "table4", "fig1", "fig3", "fig6"]
    with pytest.raises(ValueError, match=r"no experiment 'table5' of the paper; it has table1, .*fig6"):
        read_experiment("table5")


@pytest.mark.parametrize("name", experiment_names())
def test_methods_and_recipes_exist(name: str):
    experiment = read_experiment(name)
    preset = read_preset(experiment.preset)
    for spec in experiment.specs.values():
        method, own = parse_spec(spec)
        config = make_config("x", method, **{**preset, **own})
        assert config.backbone == "vgg16" and config.tune == "all" and config.inference.box == "fixed:0.2"


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_figures_that_there_are(name: str):
    table = read_experiment(name)
    assert set(table.columns) | set(table.beside) <= set(METRICS) and not set(table.columns) & set(table.beside)
    for row in table.rows:
        assert set(row.paper) <= set(table.columns)
        assert all(0 < error < 100 for error in row.paper.values())
        if {"top1_cls", "top5_cls"} <= set(row.paper):
            assert row.paper["top5_cls"] < row.paper["top1_cls"]
        if {"top1_cls", "top1_loc"} <= set(row.paper):
            assert row.paper["top1_loc"] > row.paper["top1_cls"]  # of an accuracy of both


def test_the_margins_that_the_paper_tells_of():
    """Section 4 names them: what it says of its tables is what stands in ours, up to its own rounding."""
    one, two = ({row.name: row.paper for row in read_experiment(t).rows} for t in ("table1", "table2"))
    ours = one["HCLNet (addition)"]
    assert one["ACoL"]["top1_loc"] - ours["top1_loc"] == pytest.approx(5.13)
    assert one["CAM"]["top5_loc"] - ours["top5_loc"] == pytest.approx(6.78)
    assert one["ADL"]["top1_cls"] - ours["top1_cls"] == pytest.approx(12.62)
    assert two["ACoL"]["top1_cls"] - two["HCLNet (l1-norm)"]["top1_cls"] == pytest.approx(4.0)
    assert two["CAM"]["top1_loc"] - two["HCLNet (addition)"]["top1_loc"] == pytest.approx(1.58)
    four = {row.name: row.paper for row in read_experiment("table4").rows}
    assert four["Threshold, max"]["top1_loc"] - four["C-CAM, max"]["top1_loc"] == pytest.approx(2.73)
    assert four["Threshold, max"]["top1_loc"] - four["Threshold, addition"]["top1_loc"] == pytest.approx(2.54)


def test_one_training_of_each_method_serves_table_4():
    keys = set()
    for spec in read_experiment("table4").specs.values():
        method, own = parse_spec(spec)
        keys.add(str(make_config("x", method, **own).training_key()))
    assert len(keys) == 2


def test_figures_show_methods_that_they_have():
    for name in experiment_names():
        experiment = read_experiment(name)
        if isinstance(experiment, FigureOf):
            shown = {panel.split(":")[1] for panel in experiment.panels if ":" in panel}
            assert shown == set(experiment.specs)
