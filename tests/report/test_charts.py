import base64

import numpy as np
import pytest

from hclnet.report import learning_charts, threshold_chart, threshold_series
from hclnet.report.draw import drawn_chart, heat_colors


def curve(peak, height):
    return np.maximum(0, height - np.abs(np.arange(256) - peak) / 255)


def test_best_and_rule_are_marked():
    one = threshold_series("cam", [curve(51, 0.8)], "otsu3", 0.75, [40, 51, 60, 80])
    best, rule = one.marks
    assert (best.kind, best.x, best.y, best.text) == ("best", 0.2, pytest.approx(0.8), "80.0% at 0.20")
    assert (rule.kind, rule.y) == ("rule", 0.75) and rule.x == pytest.approx(55.5 / 255)
    assert rule.low < rule.x < rule.high and rule.text == "75.0% at 0.19 to 0.25 (otsu3)"
    assert one.low == () and len(one.x) == len(one.y) == 256


def test_a_fixed_rule_is_a_point():
    rule = threshold_series("cam", [curve(51, 0.8)], "fixed:0.2", 0.8, [51, 51, 51]).marks[1]
    assert rule.low == rule.high == rule.x == 0.2 and rule.text == "80.0% at 0.20 (fixed:0.2)"


def test_over_seeds_the_line_is_the_median_in_a_band():
    one = threshold_series("cam", [curve(51, h) for h in (0.5, 0.9, 0.6)], "otsu3", 0.6, [51])
    assert one.y[51] == pytest.approx(0.6) and one.low[51] == pytest.approx(0.5) and one.high[51] == pytest.approx(0.9)
    chart = threshold_chart([one], seeds=3)
    assert "median of 3 seeds" in chart.caption and "median of" not in threshold_chart([one]).caption
    assert drawn_chart(chart)["series"][0]["band"].endswith("Z")


def rows(*losses, terms=("A", "B")):
    return [
        {"epoch": str(i + 1), "lr": "0.1", "loss": str(v), **{f"loss_{t}": str(v / 2) for t in terms}, "top1": "0.5"}
        for i, v in enumerate(losses)
    ]


def test_learning_curves_have_every_term_of_the_loss():
    loss, top1 = learning_charts(rows(7.5, 2.0, 1.0))
    assert [s.name for s in loss.series] == ["all", "branch A", "branch B"]
    assert loss.series[0].y == [7.5, 2.0, 1.0] and loss.series[1].y == [3.75, 1.0, 0.5] and loss.x_range == (1.0, 3.0)
    assert top1.series[0].y == [0.5, 0.5, 0.5] and top1.percent


def test_a_loss_of_one_term_is_one_line_and_one_epoch_is_no_curve():
    assert [s.name for s in learning_charts(rows(3.0, 1.0, terms=("A",)))[0].series] == ["all"]
    assert learning_charts(rows(3.0)) == () and learning_charts([]) == ()


def test_a_chart_fits_its_frame():
    drawn = drawn_chart(learning_charts(rows(7.5, 2.0, 1.0))[0])
    assert [t["text"] for t in drawn["y_ticks"]] == ["0", "2", "4", "6", "8"]
    assert drawn["y_ticks"][-1]["at"] == 100 and [t["text"] for t in drawn["x_ticks"]] == ["1", "2", "3"]
    # 7.5 of 8 at the first of three epochs: 1/16 from the top of 1000.
    assert drawn["series"][0]["line"].startswith("M0.0 62.5L500.0 750.0L")
    assert len({(s["hue"], s["dash"]) for s in drawn["series"]}) == 3


def test_forty_lines_differ_in_color_or_dashes():
    many = threshold_chart([threshold_series(f"m{k}", [curve(9, 0.5)], "otsu3", 0.5, [9]) for k in range(40)])
    assert len({(s["hue"], s["dash"]) for s in drawn_chart(many)["series"]}) == 40


def test_heat_gets_lighter_with_every_level():
    colors = np.frombuffer(base64.b64decode(heat_colors()), np.uint8).reshape(256, 3)
    lightness = colors @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -1.5).all() and lightness[0] < 2 and lightness[-1] > 230
