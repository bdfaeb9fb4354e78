"""The page in a real Chromium, served by `hclnet review`: keys, mouse, reloads, kills, two windows."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hclnet.review.decisions import Decision, Decisions, Marked
from hclnet.review.rest import share_of_rest
from hclnet_runtime.boxes.geometry import iou
from report.chromium import ARGUMENTS, contrasts, find_chromium, playwright
from review import folders

pytestmark = pytest.mark.slow

LAPTOP, PHONE = {"width": 1366, "height": 768}, {"width": 390, "height": 844}
SIZE = (320, 240)


class Served:
    """`hclnet review` of a folder, as a process."""

    def __init__(self, folder: Path, *options: str) -> None:
        words = [sys.executable, "-u", "-m", "hclnet", "review", str(folder), *options]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = []
        for line in self.process.stdout:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+/\S+", line):
                self.address = found[0]
                return
        raise AssertionError("".join(said))

    def end(self, number: int = signal.SIGINT) -> str:
        """Stop it; what it said."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        said = self.process.communicate(timeout=30)[0]
        assert number == signal.SIGKILL or self.process.returncode == 0, said
        return said


@pytest.fixture(scope="module")
def browser():
    path = find_chromium()
    with playwright().sync_playwright() as driver:
        one = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield one
        one.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def start(folder: Path, *options: str) -> Served:
        started.append(Served(folder, *options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


@pytest.fixture
def visit(browser) -> Iterator[Callable]:
    """Opens a page; at the end nothing may have been complained of or asked for elsewhere."""
    contexts, complaints, asked = [], [], []

    def to(served: Served, viewport=LAPTOP, expected: tuple[str, ...] = (), **settings):
        contexts.append(browser.new_context(viewport=viewport, reduced_motion="reduce", **settings))
        tab = contexts[-1].new_page()
        tab.set_default_timeout(20_000)
        wanted = (*expected, "nothing else")
        tab.on("console", lambda m: None if any(w in m.text for w in wanted) else complaints.append(m.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: asked.append((request.url, served.address)))
        tab.goto(served.address)
        shown(tab)
        return tab

    yield to
    for context in contexts:
        context.close()
    assert not complaints
    assert not [url for url, address in asked if not url.startswith((address, "data:"))]


def wait(tab, condition: str) -> None:
    """Until a condition holds. Playwright's own waiting evaluates text in the page, which the page's policy forbids."""
    for _ in range(400):
        if tab.evaluate(condition):
            return
        time.sleep(0.025)
    raise AssertionError(f"after 10 s still not: {condition}; the page says {tab.inner_text('body')[:600]}")


def shown(tab, image: int | None = None) -> int:
    """Until an image is on the screen, with all that belongs to it; its number."""
    wait(
        tab,
        "document.querySelector('#picture').complete && document.querySelector('#stage').dataset.image !== undefined",
    )
    if image is not None:
        wait(tab, f"document.querySelector('#stage').dataset.image === '{image}'")
    return int(tab.get_attribute("#stage", "data-image"))


def another(tab, before: int) -> int:
    """Until another image is on the screen; its number."""
    wait(tab, f"document.querySelector('#stage').dataset.image !== '{before}'")
    return shown(tab)


def count(tab, text: str) -> None:
    wait(tab, f"document.querySelector('#count').textContent === '{text}'")


def boxes(tab) -> list[list[float]]:
    return [
        [float(v) for v in text.split()]
        for text in tab.eval_on_selector_all(".box", "n => n.map((b) => b.dataset.box)")
    ]


def press(tab, *keys: str) -> None:
    for key in keys:
        tab.keyboard.press(key)


def decided(folder: Path, image: int) -> tuple[str, list[list]]:
    """What the journal on the disk says of an image."""
    journal = Decisions(folder)
    rows = [json.loads(line) for line in (folder / "located.jsonl").read_text().splitlines()[1:]]
    found = journal[rows[image]["path"]]
    journal.close()
    return ("", []) if found is None else (found.verdict, [[o.label, *o.box] for o in found.objects])


def written(folder: Path, image: int, verdict: str) -> list[list]:
    """Its boxes, when the journal has this verdict of an image."""
    for _ in range(200):
        if decided(folder, image)[0] == verdict:
            return decided(folder, image)[1]
        time.sleep(0.025)
    raise AssertionError(f"image {image} is {decided(folder, image)}, not {verdict}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folders.made(tmp_path, 30)


def ranked(folder: Path) -> list[int]:
    """The images, the least certain first."""
    rows = [json.loads(line) for line in (folder / "located.jsonl").read_text().splitlines()[1:]]
    return sorted(range(len(rows)), key=lambda k: (rows[k]["objects"][0]["agreement"], k))


def test_decisions_by_keys(folder, serve, visit):
    served = serve(folder)
    tab = visit(served, expected=("ERR_CONNECTION",))  # at the end
    order = ranked(folder)
    first = shown(tab)
    assert first == order[0] and tab.inner_text("#name") == f"hare/{first:04}.jpg"
    count(tab, "0 of 30")
    model = boxes(tab)[0]
    press(tab, "Enter")
    second = shown(tab, order[1])
    assert written(folder, first, "accepted") == [["hare", *model]]
    press(tab, "Delete")
    third = shown(tab, order[2])
    assert written(folder, second, "rejected") == []
    press(tab, "n")
    fourth = shown(tab, order[3])
    assert written(folder, third, "empty") == []
    count(tab, "3 of 30")
    # Next and previous decide nothing.
    press(tab, "ArrowRight")
    fifth = another(tab, fourth)
    assert fifth != fourth and tab.is_visible("#drawn")  # every fifth is drawn
    press(tab, "ArrowLeft")
    shown(tab, fourth)
    assert not tab.is_visible("#drawn") and decided(folder, fourth)[0] == ""
    press(tab, "ArrowLeft")
    shown(tab, third)
    assert tab.inner_text("#verdict") == "nothing here" and boxes(tab) == []
    # Undo, one thing after the other, each at the image that it was done to.
    press(tab, "u")
    shown(tab, third)
    wait(tab, "document.querySelectorAll('.box').length === 1")
    press(tab, "Control+z")
    shown(tab, second)
    assert decided(folder, second)[0] == "" and decided(folder, third)[0] == ""
    count(tab, "1 of 30")
    press(tab, "u")
    shown(tab, first)
    count(tab, "0 of 30")
    press(tab, "u")
    wait(tab, "document.querySelector('#hint').textContent.includes('nothing to undo')")
    # Keys that come faster than the answers are heeded in order.
    press(tab, "Enter", "n", "Enter", "Delete", "n", "Enter")
    count(tab, "6 of 30")
    assert served.end().splitlines()[-1].startswith("6 of 30 images decided, 1 without a right box left out")
    results = json.loads((folder / "reviewed.json").read_text())
    assert len(results) == 5 and all(one["reviewed"] for one in results)
    assert {o["source"] for one in results for o in one["objects"]} == {"model"}
    assert (folder / "reviewed.coco.json").is_file()


def test_boxes_by_keys(folder, serve, visit):
    tab = visit(serve(folder))
    image = shown(tab)
    before = boxes(tab)[0]
    step = 0.005 * 320
    press(tab, "e", "ArrowRight", "ArrowDown", "ArrowDown")
    assert boxes(tab)[0] == pytest.approx(np.add(before, [step, 2 * step, step, 2 * step]))
    assert written(folder, image, "open")[0][1:] == pytest.approx(boxes(tab)[0])
    press(tab, "Tab", "Shift+ArrowLeft", "Shift+ArrowUp")  # the corner at the top left, by pixels
    moved = np.add(before, [step - 1, 2 * step - 1, step, 2 * step])
    assert boxes(tab)[0] == pytest.approx(moved)
    press(tab, *["Tab"] * 4, "ArrowRight", "Escape")  # the corner at the bottom right
    moved[2] += step
    assert boxes(tab)[0] == pytest.approx(moved)
    assert tab.evaluate("document.activeElement === document.body")
    press(tab, "Enter")
    assert written(folder, image, "accepted")[0][1:] == pytest.approx(moved)
    # Drawn anew, in the middle; then a second one; the first rejected.
    image = shown(tab, ranked(folder)[1])
    press(tab, "d", "Enter")
    wait(tab, "document.querySelector('#objects').textContent.includes('drawn by you')")
    assert boxes(tab) == [[80, 60, 240, 180]]
    press(tab, "Escape", "a", "Enter", "Escape")
    wait(tab, "document.querySelectorAll('.box').length === 2")
    press(tab, "b")
    assert tab.get_attribute(".box.selected", "data-index") == "0"
    press(tab, "3")
    wait(tab, "document.querySelector('.box.selected .tag').textContent === 'hare'")
    press(tab, "1")
    wait(tab, "document.querySelector('.box.selected .tag').textContent === 'badger'")
    press(tab, "b", "Delete")
    wait(tab, "document.querySelectorAll('.box').length === 1")
    press(tab, "Enter")
    assert written(folder, image, "accepted") == [["badger", 80, 60, 240, 180]]
    # Another class from the list; and one that is not in it.
    image = shown(tab, ranked(folder)[2])
    press(tab, "c")
    tab.keyboard.type("fo")
    press(tab, "Enter")
    wait(tab, "document.querySelector('.box .tag').textContent === 'fox'")
    press(tab, "c")
    tab.keyboard.type("pine <b>marten</b>")
    press(tab, "Enter")
    wait(tab, "document.querySelector('.box .tag').textContent === 'pine <b>marten</b>'")
    press(tab, "Enter")
    assert written(folder, image, "accepted")[0][0] == "pine <b>marten</b>"


def test_the_mouse(folder, serve, visit):
    tab = visit(serve(folder))
    image = shown(tab)
    frame = tab.locator("#stage").bounding_box()
    scale = frame["width"] / SIZE[0]

    def at(x, y):
        return frame["x"] + x * scale, frame["y"] + y * scale

    def begin_drawing():
        tab.click("[data-do='draw']")
        tab.locator("#stage.drawing").wait_for()  # it comes after what is being saved

    def drag(a, b):
        tab.mouse.move(*at(*a))
        tab.mouse.down()
        tab.mouse.move(*at((a[0] + b[0]) / 2, (a[1] + b[1]) / 2))
        tab.mouse.move(*at(*b))
        tab.mouse.up()

    x0, y0, x1, y1 = boxes(tab)[0]
    drag(((x0 + x1) / 2, (y0 + y1) / 2), ((x0 + x1) / 2 + 20, (y0 + y1) / 2 - 10))
    assert written(folder, image, "open")[0][1:] == pytest.approx([x0 + 20, y0 - 10, x1 + 20, y1 - 10], abs=0.01)
    drag((x1 + 20, y1 - 10), (x1 + 60, y1 + 30))
    wait(tab, "document.querySelector('#objects').textContent.includes('changed by you')")
    assert boxes(tab)[0] == pytest.approx([x0 + 20, y0 - 10, x1 + 60, y1 + 30], abs=0.01)
    middle = (y0 - 10 + y1 + 30) / 2
    drag((x0 + 20, middle), (x0 - 500, middle))  # the left side, beyond the edge
    assert boxes(tab)[0] == pytest.approx([0, y0 - 10, x1 + 60, y1 + 30], abs=0.01)
    begin_drawing()
    drag((250, 200), (40, 30))  # from the bottom right
    wait(tab, "document.querySelector('#objects').textContent.includes('drawn by you')")
    assert boxes(tab)[0] == pytest.approx([40, 30, 250, 200], abs=0.01)
    begin_drawing()
    drag((100, 100), (100.5, 100.5))  # a slip of the hand is no box
    assert boxes(tab)[0] == pytest.approx([40, 30, 250, 200], abs=0.01)
    press(tab, "Escape")
    tab.click("[data-do='label']")
    tab.click("#class-list li >> text=badger")
    wait(tab, "document.querySelector('.box .tag').textContent === 'badger'")
    tab.click("[data-do='accept']")
    second = shown(tab, ranked(folder)[1])
    ((label, *box),) = written(folder, image, "accepted")
    assert label == "badger" and box == pytest.approx([40, 30, 250, 200], abs=0.01)
    # After a click Enter accepts, and does not click again.
    tab.click("[data-do='reject']")
    third = shown(tab, ranked(folder)[2])
    press(tab, "Enter")
    assert written(folder, third, "accepted") and written(folder, second, "rejected") == []
    tab.click("[data-do='next']")
    tab.click("[data-do='previous']")
    tab.click("[data-do='empty']")
    tab.click("[data-do='undo']")
    count(tab, "3 of 30")


def test_keys_that_are_faster_than_a_save_wait_for_it(folder, serve, visit):
    tab = visit(serve(folder))
    image = shown(tab)
    saves = []

    def hold(route):
        if route.request.method == "PUT" and not saves:
            saves.append(route)
        else:
            route.continue_()

    tab.route("**/api/images/*", hold)
    press(tab, "e", "ArrowRight")
    for _ in range(500):
        if not saves:
            tab.wait_for_timeout(20)
    press(tab, "Escape", "d", "Enter")  # a box in the middle, not the image accepted
    saves[0].continue_()
    wait(tab, "document.querySelector('#objects').textContent.includes('drawn by you')")
    assert boxes(tab) == [[80, 60, 240, 180]]
    assert written(folder, image, "open")[0][1:] == [80, 60, 240, 180]


def test_the_heatmap_and_its_levels(folder, serve, visit):
    tab = visit(serve(folder))
    image = shown(tab)
    wait(tab, "!document.querySelector('#level').disabled && document.querySelector('#level-value').textContent")
    assert not tab.is_visible("#heat")
    press(tab, "h")
    wait(tab, "document.querySelector('#heat').complete && document.querySelector('#heat').naturalWidth === 56")
    press(tab, "h")
    assert not tab.is_visible("#heat")
    true = np.array([folders.true_box(image, SIZE)], dtype=float)
    assert iou(np.array(boxes(tab)), true)[0, 0] < 0.5
    tab.focus("#level")
    tab.evaluate("document.querySelector('#level').value = 126")
    press(tab, "ArrowRight")
    assert tab.inner_text("#level-value") == "0.50"
    at_127 = boxes(tab)
    assert iou(np.array(at_127), true)[0, 0] > 0.9
    press(tab, "]")
    smaller = boxes(tab)
    press(tab, "[", "[")
    larger = boxes(tab)
    widths = [box[0][2] - box[0][0] for box in (smaller, at_127, larger)]
    assert widths == sorted(widths) and len(set(widths)) == 3
    press(tab, "Enter")  # also while the slider has the focus
    assert written(folder, image, "accepted")[0][1:] == pytest.approx(larger[0])
    second = another(tab, image)
    press(tab, "n")
    another(tab, second)
    press(tab, "ArrowLeft")
    shown(tab, second)
    press(tab, "]")
    wait(tab, "document.querySelector('#hint').textContent === 'There is no box. D draws one.'")


def test_without_a_heatmap_it_says_how_to_get_one(tmp_path, serve, visit):
    tab = visit(serve(folders.made(tmp_path, 6, heatmaps=False)))
    assert "--save overlays,heatmaps" in tab.inner_text("#without-heat") and not tab.is_visible("#level")
    assert "hclnet calibrate runs/mine --data" in tab.inner_text("#rule") and not tab.is_visible("[data-do='rule']")
    press(tab, "h", "]")
    wait(tab, "document.querySelector('#hint').textContent.includes('no heatmap')")
    assert not tab.is_visible("#heat")


def test_reload_and_kill_in_the_middle_lose_nothing(folder, serve, visit):
    served = serve(folder)
    tab = visit(served, expected=("ERR_CONNECTION",))
    order = ranked(folder)
    first = shown(tab)
    press(tab, "e", "ArrowRight")
    moved = boxes(tab)[0]
    written(folder, first, "open")
    tab.reload()
    assert shown(tab) == first and boxes(tab)[0] == moved and tab.inner_text("#verdict") == "changed, not decided"
    press(tab, "Enter")
    shown(tab, order[1])
    tab.reload()
    shown(tab, order[1])
    count(tab, "1 of 30")
    press(tab, "u")  # what was done before the reload
    shown(tab, first)
    assert tab.inner_text("#verdict") == "changed, not decided"
    press(tab, "Enter")
    shown(tab, order[1])
    press(tab, "n")
    shown(tab, order[2])
    served.end(signal.SIGKILL)
    assert decided(folder, first)[0] == "accepted" and decided(folder, order[1])[0] == "empty"
    press(tab, "Enter")
    wait(tab, "!document.querySelector('#alert').hidden")
    assert "What you decided before is kept" in tab.inner_text("#alert") and shown(tab) == order[2]
    assert decided(folder, order[2])[0] == ""
    again = serve(folder)
    tab = visit(again)
    shown(tab, order[2])
    count(tab, "2 of 30")
    press(tab, "w")
    wait(tab, "document.querySelector('#hint').textContent.includes('reviewed.json')")
    assert len(json.loads((folder / "reviewed.json").read_text())) == 2
    assert again.end(signal.SIGTERM).splitlines()[-1].startswith("2 of 30 images decided:")


def test_two_windows_and_two_commands(folder, serve, visit):
    served = serve(folder)
    one, two = visit(served), visit(served, expected=("409",))
    image = shown(one)
    assert shown(two) == image
    press(one, "n")
    written(folder, image, "empty")
    press(two, "Enter")
    wait(two, "!document.querySelector('#alert').hidden")
    assert "changed in another window" in two.inner_text("#alert")
    assert two.inner_text("#verdict") == "nothing here" and shown(two) == image
    assert decided(folder, image)[0] == "empty"
    press(two, "u")
    wait(two, "document.querySelector('#hint').textContent.includes('nothing to undo')")
    second = subprocess.run(
        [sys.executable, "-m", "hclnet", "review", folder], capture_output=True, text=True, timeout=60
    )
    assert second.returncode == 2 and "is in use by process" in second.stderr


@pytest.mark.parametrize("token", ["wrong", ""])
def test_a_wrong_token(folder, serve, browser, token: str):
    served = serve(folder)
    tab = browser.new_page()
    base = served.address.rsplit("/", 2)[0]
    answer = tab.goto(f"{base}/{token}")
    assert answer.status == 403 and "Open the one that `hclnet review` has printed last." in tab.inner_text("body")
    tab.close()


def test_orders_choices_and_the_overview(folder, serve, visit):
    tab = visit(serve(folder))
    rows = [json.loads(line) for line in (folder / "located.jsonl").read_text().splitlines()[1:]]
    tab.select_option("#by", "name")
    shown(tab, 0)
    tab.select_option("#label", "=fox")
    shown(tab, 1)
    assert tab.inner_text("#chosen") == "10 of 30 images." and tab.inner_text("#count") == "0 of 10"
    tab.select_option("#label", "")
    tab.select_option("#by", "class")
    wait(tab, "document.querySelector('#name').textContent.startsWith('badger')")
    tab.focus("#score")
    press(tab, "End")
    wait(tab, "document.querySelector('#end').hidden === false")
    assert tab.inner_text("#end-text") == "No image is in this choice."
    assert tab.inner_text("#chosen") == "0 of 30 images."
    press(tab, "Home")
    wait(tab, "document.querySelector('#end').hidden")
    sure = sum(row["objects"][0]["score"] >= 0.55 for row in rows)
    tab.evaluate("document.querySelector('#score').value = 0.54")
    press(tab, "ArrowRight")
    wait(tab, f"document.querySelector('#chosen').textContent === '{sure} of 30 images.'")
    press(tab, "Home")
    tab.select_option("#by", "size")
    count(tab, "0 of 30")
    press(tab, "Enter", "n")
    count(tab, "2 of 30")
    press(tab, "g")
    assert tab.eval_on_selector_all("#thumbnails button", "n => n.length") == 30
    assert tab.eval_on_selector_all(".mark", "n => n.map((m) => m.textContent).filter(Boolean)") == ["✓", "∅"]
    wait(tab, "document.querySelector('#thumbnails img').naturalWidth > 0")
    tab.click("#thumbnails button[data-image='7']")
    shown(tab, 7)
    press(tab, "n")
    written(folder, 7, "empty")
    press(tab, "?")
    assert tab.is_visible("#keys") and "accept" in tab.inner_text("#keys")
    press(tab, "n", "Escape")  # a key in a dialog decides nothing
    count(tab, "3 of 30")


def test_to_the_end_every_fifth_is_drawn(folder, serve, visit):
    tab = visit(serve(folder))
    before = shown(tab)
    for k in range(30):
        assert tab.is_visible("#drawn") == (k % 5 == 4)
        press(tab, "Enter" if before % 3 != 2 else "Delete")
        count(tab, f"{k + 1} of 30")
        before = another(tab, before) if k < 29 else before
    wait(tab, "!document.querySelector('#end').hidden")
    assert tab.inner_text("#end-text") == "All images of this choice are reviewed."
    assert tab.inner_text("#rest") == "There is no box left that you have not looked at."
    tab.click("[data-do='rule']")
    wait(tab, "document.querySelector('#rule').textContent.includes('best fixed level')")
    assert "On 20 images with your boxes" in tab.inner_text("#rule") and "20 were accepted" in tab.inner_text("#rule")
    press(tab, "ArrowLeft")
    wait(tab, "document.querySelector('#end').hidden")


def test_how_good_the_rest_is(tmp_path, serve, visit):
    folder = folders.made(tmp_path, 90)
    order = ranked(folder)
    journal, rows = Decisions(folder), (folder / "located.jsonl").read_text().splitlines()[1:]
    for k in order[-19:]:  # the most certain, which an order does not pass
        row = json.loads(rows[k])
        marked = Marked(row["objects"][0]["label"], tuple(row["objects"][0]["box"]), 0)
        journal.add(row["path"], Decision("accepted", (marked,), 0, "random"), "w")
    journal.close()
    tab = visit(serve(folder))
    assert tab.inner_text("#rest") == "Not known yet." and "19 of the 20" in tab.inner_text("#rest-detail")
    assert tab.is_visible("#drawn")  # the twentieth
    press(tab, "n")
    count(tab, "20 of 90")
    low, high = (round(100 * share) for share in share_of_rest(19, 20, 70))
    assert tab.inner_text("#rest") == f"Of the boxes that you have not looked at, {low} to {high}\u00a0% are right."
    assert "19 of 20 that were drawn at random from among them" in tab.inner_text("#rest-detail")
    press(tab, "u")
    wait(tab, "document.querySelector('#rest').textContent === 'Not known yet.'")


def test_five_thousand_images(tmp_path, serve, visit):
    """50 pictures stand for 5,000."""
    root, out = tmp_path / "photos", tmp_path / "located"
    size, rows = (1600, 1200), []
    for k in range(50):
        folders.draw(root / f"{k}.jpg", size, k)
        folders.heat(out / "heatmaps" / f"{k}.png", size, k)
    for k in range(5000):
        file = root / f"{k:04}-of.jpg"
        os.link(root / f"{k % 50}.jpg", file)
        box = folders.true_box(k % 50, size)
        row = folders.row(file, root, size, [("fox", box, 0.5, (k % 14) / 13)], "fox", True)
        rows.append(row | {"name": str(k % 50)})
    tab = visit(serve(folders.write(out, rows)))
    shown(tab)
    count(tab, "0 of 5000")
    press(tab, "h")
    took = []
    before = shown(tab)
    for k in range(25):
        tab.wait_for_timeout(150)  # a person looks
        began = time.perf_counter()
        press(tab, "Enter")
        before = another(tab, before)
        took.append(time.perf_counter() - began)
        count(tab, f"{k + 1} of 5000")
    print(f"the next image: median {np.median(took):.3f} s, longest {max(took):.3f} s")
    assert np.median(took) < 0.3
    press(tab, "g")
    wait(tab, "document.querySelector('#thumbnails img').naturalWidth > 0")
    made = tab.eval_on_selector_all("#thumbnails button", "n => n.length")
    assert made < 1000
    tab.evaluate("document.querySelector('#overview').scrollTop = 1e6")
    wait(tab, f"document.querySelectorAll('#thumbnails button').length > {made}")


def test_hostile_names_and_files(tmp_path, serve, visit):
    names = [
        "<img src=x onerror=document.title='owned'>.jpg",
        "a b#c?&%41.jpg",
        "ü/'\"`${1}.jpg",
        "new\nline.jpg",
        "x" * 150 + ".jpg",
    ]
    names += [os.fsdecode(b"caf\xe9.jpg"), "gone.jpg", "turned.jpg"]
    folder = folders.made(tmp_path, len(names), names=names)
    (tmp_path / "photos" / "gone.jpg").unlink()
    file = tmp_path / "photos" / "turned.jpg"
    with Image.open(file) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.copy().save(file, exif=exif)
    served = serve(folder)
    tab = visit(served, expected=("400", "ERR_CONNECTION"))
    tab.select_option("#by", "name")
    seen = set()
    image = shown(tab, names.index(min(names)))
    for k in range(len(names)):
        seen.add(tab.evaluate("document.querySelector('#name').textContent"))
        if "gone" in names[image]:
            wait(tab, "document.querySelector('#alert').textContent.includes('gone')")
        press(tab, "Enter")
        count(tab, f"{k + 1} of {len(names)}")
        image = another(tab, image) if k < len(names) - 1 else image
    assert len(seen) == len(names) and "owned" not in tab.title()
    assert tab.evaluate("document.querySelector('#name').children.length") == 0
    served.end()
    found = json.loads((folder / "reviewed.json").read_text())
    assert sorted(one["path"] for one in found) == sorted(str(tmp_path / "photos" / name) for name in names)


@pytest.mark.parametrize("viewport", [LAPTOP, PHONE], ids=["laptop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_width_and_reads_well_in_both_schemes(folder, serve, visit, viewport, scheme):
    tab = visit(serve(folder), viewport, color_scheme=scheme)
    wait(tab, "document.querySelector('#level-value').textContent")
    assert tab.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    outside = tab.evaluate(
        f"""[...document.querySelectorAll('header *, main *')].filter((node) =>
          node.getBoundingClientRect().right > {viewport["width"] + 1}).map((node) => node.outerHTML.slice(0, 120))"""
    )
    assert outside == []
    accept = tab.locator("[data-do='accept']").bounding_box()
    stage = tab.locator("#stage").bounding_box()
    assert accept["y"] + accept["height"] <= viewport["height"] and stage["width"] > 200
    nameless = tab.evaluate(
        """[...document.querySelectorAll('button, input, select, dialog, progress')].filter((node) => !(
          node.labels?.length || node.getAttribute('aria-label') || node.getAttribute('aria-labelledby')
          || (node.tagName === 'BUTTON' && node.textContent.trim()))).map((node) => node.outerHTML)"""
    )
    assert nameless == []
    assert contrasts(tab) == {}
