"""The page in a real Chromium: what it draws, how it is operated, how fast it opens."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hclnet.metrics import containment, kind_of_box
from hclnet.report import Page, image_maps, render, write
from hclnet.report.render import worst_first
from hclnet_runtime.boxes import component_tree, iou, normalize, scale, to_levels
from report import synthetic
from report.chromium import ARGUMENTS, contrasts, find_chromium, playwright

pytestmark = pytest.mark.slow

LAPTOP, PHONE = {"width": 1366, "height": 768}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser():
    path = find_chromium()
    with playwright().sync_playwright() as driver:
        one = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield one
        one.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Page:
    return synthetic.page(tmp_path_factory.mktemp("birds"), count=30)


@pytest.fixture(scope="module")
def file(page, tmp_path_factory):
    return write(page, tmp_path_factory.mktemp("three") / "report.html")


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    return write(synthetic.page(folder / "birds", count=30, methods=1), folder / "report.html")


@pytest.fixture
def visit(browser) -> Iterator:
    """Opens a file; at the end nothing may have been complained of or fetched."""
    contexts, complaints, fetched, opened = [], [], [], []

    def to(path, viewport=LAPTOP, **settings):
        contexts.append(browser.new_context(viewport=viewport, reduced_motion="reduce", **settings))
        tab = contexts[-1].new_page()
        tab.set_default_timeout(20_000)
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: fetched.append(request.url))
        tab.goto(path.as_uri())
        wait(tab, "document.querySelector('.stage img').complete")
        opened.append(path.as_uri())
        return tab

    yield to
    for context in contexts:
        context.close()
    assert not complaints
    assert not [url for url in fetched if not url.startswith("data:") and url not in opened]


def cells(tab) -> list[dict]:
    """The cells with a predicted box: image, place in its row, box in map pixels, IoU, kind."""
    return tab.evaluate(
        """[...document.querySelectorAll('.list .card')].flatMap((card) =>
          [...card.querySelectorAll('.cell')].filter((cell) => cell.dataset.box !== undefined).map((cell, k) => {
            const lines = cell.querySelectorAll('.found .line');
            const rect = lines[0], number = (name) => Number(rect.getAttribute(name));
            return {
              image: Number(card.dataset.image), k, box: cell.dataset.box, iou: Number(cell.dataset.iou),
              kind: cell.dataset.kind, text: cell.textContent,
              drawn: rect.parentElement.style.display === 'none' ? null
                : [number('x'), number('y'), number('x') + number('width'), number('y') + number('height')],
            };
          }))"""
    )


def show_all(tab) -> None:
    """Every card comes into view once, so that all are drawn."""
    for card in tab.query_selector_all(".list .card"):
        card.scroll_into_view_if_needed()
        tab.wait_for_timeout(30)


def wait(tab, condition: str) -> None:
    """Until a condition holds. Playwright's own waiting evaluates text in the page, which the page's policy forbids."""
    for _ in range(400):
        if tab.evaluate(condition):
            return
        time.sleep(0.05)
    raise AssertionError(f"after 20 s still not: {condition}")


def frame(tab) -> None:
    """What an event asked for is drawn in the next frame."""
    tab.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def images(tab) -> list[int]:
    return tab.evaluate("[...document.querySelectorAll('.list .card')].map((card) => Number(card.dataset.image))")


def levels(page: Page, k: int, image: int) -> np.ndarray:
    return synthetic.levels_of(page.columns[k].maps[image].grid, page.columns[k].upsampling)


def test_maps_masks_and_boxes_are_pythons_at_every_level(page, file, visit):
    tab = visit(file)
    for k, column in enumerate(page.columns):
        for image in (0, 1, 2, 7):
            ours = levels(page, k, image)
            theirs = tab.evaluate(f"Array.from(Embedded.maps({image}, {k}).levels)")
            np.testing.assert_array_equal(np.array(theirs).reshape(ours.shape), ours)
            found = tab.evaluate(
                f"Array.from({{length: 256}}, (_, t) => Maps.largestBox(Embedded.maps({image}, {k}).levels, 224, t))"
            )
            expected = component_tree(ours).largest_boxes().tolist()
            assert [b or [0, 0, 0, 0] for b in found] == expected
            assert found[column.maps[image].level] == column_box(page, k, image)


def test_maps_of_another_normalization_are_pythons(tmp_path, visit):
    page = synthetic.page(tmp_path / "birds", count=4, methods=1)
    column, ours = page.columns[0], []
    for image, how in enumerate(("max", "pas", "ivr:35", "minmax")):
        grid = column.maps[image].grid
        large = F.interpolate(torch.from_numpy(grid)[None, None], (224, 224), mode="bilinear", align_corners=False)
        ours.append(to_levels(normalize(large[0, 0].numpy(), how)))
        branches = column.maps[image].branches / 65535
        column.maps[image] = image_maps(grid, branches, ours[-1], "bilinear", column.maps[image].level, how)
    tab = visit(write(dataclasses.replace(page, columns=(dataclasses.replace(column, upsampling="bilinear"),)),
                      tmp_path / "report.html"))  # fmt: skip
    for image, expected in enumerate(ours):
        theirs = tab.evaluate(f"Array.from(Embedded.maps({image}, 0).levels)")
        np.testing.assert_array_equal(np.array(theirs).reshape(expected.shape), expected)


def column_box(page: Page, k: int, image: int) -> list[int]:
    records = page.columns[k].records
    width, height = records.sizes[image].tolist()
    return np.rint(scale(records.boxes[image : image + 1], (width, height), (224, 224)))[0].astype(int).tolist()


def test_the_largest_component_is_pythons_on_any_map(file, visit):
    tab, rng = visit(file), np.random.default_rng(0)
    for values in (2, 3, 200):
        for _ in range(40):
            side = int(rng.integers(1, 14))
            some = rng.integers(0, values, (side, side)).astype(np.uint8)
            t = int(rng.integers(0, values))
            found = tab.evaluate(f"Maps.largestBox({json.dumps(some.ravel().tolist())}, {side}, {t})")
            assert (found or [0, 0, 0, 0]) == component_tree(some).largest_boxes()[t].tolist()


def test_at_the_box_rule_the_records_are_drawn(page, file, visit):
    tab = visit(file)
    show_all(tab)
    seen = cells(tab)
    assert images(tab) == worst_first(page.columns)[:12] and len(seen) == 36
    for one in seen:
        column = page.columns[one["k"]]
        assert one["box"] == " ".join(map(str, column_box(page, one["k"], one["image"])))
        assert one["drawn"] == column_box(page, one["k"], one["image"])
        assert one["iou"] == column.records.iou[one["image"]]
        assert f"IoU {one['iou']:.2f}, {one['kind']}" in one["text"]
        assert ("✗" in one["text"]) == bool(column.records.rank[one["image"]] > 0)


def test_the_threshold_slider_redraws_boxes_ious_and_kinds_at_once(page, file, visit):
    tab = visit(file)
    show_all(tab)
    tab.focus("#threshold")
    start = int(tab.input_value("#threshold"))
    for key, t in (("ArrowRight", start + 1), ("ArrowLeft", start), ("Home", 0), ("End", 254), ("PageDown", None)):
        tab.keyboard.press(key)
        frame(tab)
        t = int(tab.input_value("#threshold")) if t is None else t
        assert int(tab.input_value("#threshold")) == t and not tab.is_checked("#at-rule")
        show_all(tab)
        for one in cells(tab):
            expected = component_tree(levels(page, one["k"], one["image"])).largest_boxes()[t]
            assert one["drawn"] == (expected.tolist() if expected[2] else None)
            records = page.columns[one["k"]].records
            size = tuple(records.sizes[one["image"]].tolist())
            true = scale(page.gt_boxes[records.ids[one["image"]]], size, (224, 224))
            overlap = float(iou(expected[None], true).max())
            assert overlap == records.level_iou[one["image"], t]
            assert one["iou"] == pytest.approx(overlap, abs=1e-12)
            assert one["kind"] == kind_of_box(overlap, *containment(expected, true))
        # The chart's cursor and the legend go along.
        assert tab.evaluate("parseFloat(document.querySelector('.cursor').style.left)") == pytest.approx(
            t / 2.55, abs=0.01
        )
        at = (page.columns[1].records.level_iou[:, t] >= 0.5).mean()
        assert tab.inner_text("[data-accuracy-of='1']") == f"{100 * at:.1f}%"
    assert tab.inner_text("#threshold-value") == f"{t / 255:.2f}"
    tab.select_option("#judge", "1")
    assert tab.inner_text("#threshold-value") == f"{t / 255:.2f} · {100 * at:.1f}% right"
    tab.select_option("#judge", "-1")
    tab.focus("#at-rule")
    tab.keyboard.press("Space")
    wait(tab, "document.querySelector('.cursor').hidden")
    assert tab.inner_text("#threshold-value") == "otsu3, fixed:0.2"
    show_all(tab)
    assert all(one["drawn"] == column_box(page, one["k"], one["image"]) for one in cells(tab))


def test_the_opacity_slider_fades_the_heatmap(file, visit):
    tab = visit(file)

    def opacity():
        return float(tab.evaluate("getComputedStyle(document.querySelector('canvas.heat')).opacity"))

    tab.focus("#opacity")
    tab.keyboard.press("Home")
    assert opacity() == 0
    tab.keyboard.press("End")
    assert opacity() == 1
    tab.keyboard.press("ArrowLeft")
    assert opacity() == 0.95 and tab.inner_text("#opacity-value") == "95%"


def test_filters_by_kind_class_and_name_and_their_counts(page, single, visit, tmp_path):
    tab = visit(single)
    one = page.columns[0]  # the first method of both pages is the same
    kinds = tab.evaluate("Data.columns[0].kind.map((k) => Data.kinds[k])")
    wrong = one.records.rank > 0

    def status():
        return tab.inner_text("#status")

    assert status() == "1 to 24 of 30 images"
    for kind in ("right", "part only", "too large", "shifted", "background"):
        count = kinds.count(kind)
        assert tab.inner_text(f"label:has(input[value='{kind}']) .count") == str(count)
        tab.check(f"input[value='{kind}']", force=True)
        if count:
            assert {kinds[i] for i in images(tab)} == {kind} and status().endswith(
                f" of {count} image" + "s" * (count > 1)
            )
        else:
            assert status() == "No image matches these filters." and images(tab) == []
        tab.uncheck(f"input[value='{kind}']", force=True)
    tab.check("input[value='right']", force=True)
    tab.check("input[value='too large']", force=True)
    assert set(images(tab)) == {i for i in range(30) if kinds[i] in ("right", "too large")}
    tab.check("#wrong", force=True)
    assert set(images(tab)) == {i for i in range(30) if kinds[i] in ("right", "too large") and wrong[i]}
    tab.click("#reset")
    tab.select_option("#label", "1")
    assert set(images(tab)) == {i for i in range(30) if i % 4 == 1}
    assert tab.inner_text("label:has(#wrong) .count") == str(sum(wrong[i] for i in range(1, 30, 4)))
    tab.select_option("#label", "-1")
    tab.fill("#text", "BIRD 2")
    assert {one.records.ids[i][:6] for i in images(tab)} == {"bird 2"}
    tab.click("#reset")
    tab.select_option("#order", "best")
    ious = [one.records.iou[i] for i in images(tab)]
    assert ious == sorted(one.records.iou, reverse=True)[:24]


def test_judged_by_one_method_the_order_and_the_kinds_are_its_own(page, file, visit):
    tab = visit(file)
    tab.select_option("#judge", "2")
    assert images(tab) == np.argsort(page.columns[2].records.iou, kind="stable")[:12].tolist()
    tab.select_option("#order", "apart")
    spread = np.ptp([column.records.iou for column in page.columns], axis=0)
    assert [spread[i] for i in images(tab)] == sorted(spread, reverse=True)[:12]
    tab.select_option("#order", "worst")
    tab.select_option("#judge", "-1")
    tab.check("input[value='too large']", force=True)
    columns = tab.evaluate("Data.columns.map((column) => column.kind.map((k) => Data.kinds[k]))")
    any_of = {i for i in range(30) if "too large" in [kinds[i] for kinds in columns]}
    assert any_of and set(images(tab)) == set(sorted(any_of, key=worst_first(page.columns).index)[:12])


def test_branches_fusion_and_complement_side_by_side(page, file, visit):
    tab = visit(file)

    def titles():
        return tab.eval_on_selector_all(".card:first-child .name", "nodes => nodes.map((node) => node.textContent)")

    def painted():
        return tab.evaluate(
            """[...document.querySelectorAll('.card:first-child canvas')].map((canvas) =>
              Array.from(canvas.getContext('2d').getImageData(0, 0, 224, 224).data))"""
        )

    tab.select_option("#judge", "2")
    image = images(tab)[0]
    tab.check("input[value='fusion']", force=True)
    assert titles() == ["Image", "Branch A", "Branch B", "Branch C", "Fused"] and images(tab)[0] == image
    assert "hclnet (branches=3)" in tab.inner_text("[data-for-view='fusion']")
    show_all(tab)
    colors = np.array(tab.evaluate("Array.from(COLORS)")).reshape(256, 3)
    fused = np.array(painted()[3]).reshape(224, 224, 4)
    np.testing.assert_array_equal(fused[..., :3], colors[levels(page, 2, image)])
    tab.select_option("#judge", "0")
    tab.check("input[value='complement']", force=True)
    assert titles() == ["CAM", "1 − CAM", "CAM < 0.7", "Image × (1 − CAM)", "Image, erased"]
    show_all(tab)
    image = images(tab)[0]
    cam, complement, kept, dimmed, cut = (np.array(p).reshape(224, 224, 4) for p in painted())
    a = page.columns[0].maps[image].branches[0] / 65535
    erased = np.kron(a < 0.7, np.ones((16, 16), dtype=bool))
    np.testing.assert_array_equal(cut[..., 3], np.where(erased, 0, 255))
    np.testing.assert_array_equal(kept[..., :3], colors[np.where(erased, 255, 0)])
    # What the complement leaves at a place and how far it dims it add up.
    level = {tuple(color): t for t, color in reversed(list(enumerate(colors.tolist())))}
    at = [(y, x) for y in range(0, 224, 37) for x in range(0, 224, 37)]
    for y, x in at:
        assert tuple(cam[y, x, :3]) == tuple(colors[dimmed[y, x, 3]])
        assert abs(level[tuple(cam[y, x, :3])] + level[tuple(complement[y, x, :3])] - 255) <= 2


def test_by_keyboard_alone(file, visit):
    tab = visit(file)
    reached = []
    for _ in range(40):
        tab.keyboard.press("Tab")
        reached.append(
            tab.evaluate("document.activeElement.id || document.activeElement.name || document.activeElement.className")
        )
    order = ["skip", "theme", "view", "judge", "label", "order", "text", "kind", "wrong", "reset"]
    order += ["opacity", "at-rule", "threshold", "open"]
    places = [reached.index(name) for name in order]
    assert places == sorted(places)
    # What has the focus can be seen to have it.
    tab.evaluate("document.querySelector('.open').focus()")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Shift+Tab")
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.keyboard.press("Enter")
    assert tab.is_visible("#enlarged") and tab.evaluate("document.activeElement.closest('dialog') !== null")
    name = tab.inner_text("#enlarged-id")
    tab.focus("#close")
    tab.keyboard.press("ArrowRight")
    assert tab.inner_text("#enlarged-id") != name
    tab.keyboard.press("ArrowLeft")
    assert tab.inner_text("#enlarged-id") == name and tab.is_disabled("#earlier")
    # The sliders are at hand in there, and their arrow keys do not turn the page.
    tab.focus("#enlarged #threshold")
    tab.keyboard.press("ArrowRight")
    assert tab.inner_text("#enlarged-id") == name and not tab.is_checked("#at-rule")
    tab.keyboard.press("Escape")
    tab.wait_for_selector(".hold #threshold")
    assert not tab.is_visible("#enlarged")
    assert tab.evaluate("document.activeElement.className") == "open"


def test_every_control_has_a_name_and_every_first_picture_a_text(file, single, visit):
    for path in (file, single):
        tab = visit(path)
        nameless = tab.evaluate(
            """[...document.querySelectorAll('button, input, select, dialog, nav, [role=region]')].filter((node) => !(
              node.labels?.length || node.getAttribute('aria-label') || node.getAttribute('aria-labelledby')
              || (node.tagName === 'BUTTON' && node.textContent.trim()))).map((node) => node.outerHTML)"""
        )
        assert nameless == []
        assert all(
            tab.eval_on_selector_all(".cells", "n => n.map((c) => c.querySelector('img').alt.includes('bird '))")
        )
        assert tab.get_attribute("#status", "role") == "status"


@pytest.mark.parametrize("viewport", [LAPTOP, PHONE], ids=["laptop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_width_and_reads_well_in_both_schemes(file, single, visit, viewport, scheme):
    for path in (file, single):
        tab = visit(path, viewport, color_scheme=scheme)
        for view in ("fusion", "complement", "methods"):
            tab.check(f"input[value='{view}']", force=True)
            assert tab.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
            outside = tab.evaluate(
                f"""[...document.querySelectorAll('main *, header *')].filter((node) =>
                  !node.closest('.scroll table, svg') && node.getBoundingClientRect().right > {viewport["width"] + 1}
                  && getComputedStyle(node).clipPath === 'none').map((node) => node.outerHTML.slice(0, 120))"""
            )
            assert outside == []
        tab.click(".open >> nth=0")
        assert tab.evaluate(
            "document.querySelector('dialog').scrollWidth <= document.querySelector('dialog').clientWidth"
        )
        tab.keyboard.press("Escape")
        assert contrasts(tab) == {}


def test_the_reader_chooses_light_or_dark(file, visit):
    tab = visit(file, color_scheme="light")

    def paper():
        return tab.evaluate("getComputedStyle(document.body).backgroundColor")

    light = paper()
    tab.check("input[value='dark']", force=True)
    dark = paper()
    assert dark != light
    tab.reload()
    assert paper() == dark and tab.is_checked("input[value='dark']")
    tab.check("input[value='auto']", force=True)
    assert paper() == light
    tab.emulate_media(color_scheme="dark")
    assert paper() == dark
    tab.check("input[value='light']", force=True)
    assert paper() == light


def test_true_and_predicted_boxes_differ_without_color(file, visit):
    tab = visit(file)
    dashes = tab.evaluate(
        """['true', 'found'].map((name) =>
          getComputedStyle(document.querySelector(`.stage .${name} .line`)).strokeDasharray)"""
    )
    assert dashes[0] != "none" and dashes[1] == "none"


def test_pages_turn_and_the_last_has_the_rest(file, visit):
    tab = visit(file)
    turned = [images(tab)]
    for status in ("13 to 24 of 30 images", "25 to 30 of 30 images"):
        tab.click("[data-turn='1'] >> nth=0")
        assert tab.inner_text("#status") == status
        turned.append(images(tab))
    assert sorted(chain(*turned)) == list(range(30)) and tab.is_disabled("[data-turn='1'] >> nth=0")
    tab.click("[data-turn='-1'] >> nth=1")
    assert images(tab) == turned[1]


def test_images_that_are_not_embedded_are_listed_with_their_boxes(tmp_path, visit):
    page = synthetic.page(tmp_path / "birds", count=12, methods=1, pictures=4)
    tab = visit(write(page, tmp_path / "report.html"))
    show_all(tab)
    seen = cells(tab)
    assert len(seen) == 12
    assert tab.eval_on_selector_all(".missing", "nodes => nodes.length") == 8
    assert all(one["drawn"] == column_box(page, 0, one["image"]) for one in seen)


def test_without_true_boxes_there_are_heatmaps_and_predictions(tmp_path, visit):
    page = synthetic.page(tmp_path / "birds", count=6, methods=1, boxed=False, charts=())
    tab = visit(write(page, tmp_path / "report.html"))
    show_all(tab)
    assert len(cells(tab)) == 6 and tab.query_selector(".true") is None  # in the key neither
    tab.focus("#threshold")
    tab.keyboard.press("End")
    frame(tab)
    assert tab.inner_text("#threshold-value") == "1.00"
    tab.check("#wrong", force=True)
    assert set(images(tab)) == set(np.flatnonzero(page.columns[0].records.rank > 0).tolist())


@pytest.mark.parametrize("embedded", [1000, 5000])
def test_five_thousand_images_open_fast(tmp_path, visit, monkeypatch, embedded):
    monkeypatch.setattr(render, "thumbnail", lru_cache(render.thumbnail))  # 50 files stand for 5,000
    page = synthetic.tiled(synthetic.page(tmp_path / "birds", count=50, methods=1), 100)
    path = write(dataclasses.replace(page, pictures=embedded), tmp_path / "report.html")
    tab = visit(path)
    client = tab.context.new_cdp_session(tab)
    client.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy():
        """Seconds of processor time that the page has taken; the clock on the wall also counts what else is running."""
        return {m["name"]: m["value"] for m in client.send("Performance.getMetrics")["metrics"]}["TaskDuration"]

    before = busy()
    tab.reload()
    wait(tab, "document.querySelector('.stage img').complete")
    opening = busy() - before
    ready = tab.evaluate("performance.getEntriesByName('hclnet-ready')[0].startTime") / 1000
    megabytes = path.stat().st_size / 1e6
    print(f"{embedded} of 5000 embedded: {megabytes:.1f} MB; {opening:.2f} s of work, interactive after {ready:.2f} s")
    assert tab.inner_text("#status") == "1 to 24 of 5000 images"
    assert opening < 2 and megabytes < 12e-3 * embedded + 5
    before = busy()
    tab.select_option("#order", "best")
    tab.fill("#text", "bird 7 ")
    wait(tab, "document.querySelector('#status').textContent.endsWith(' of 100 images')")
    assert busy() - before < 2
