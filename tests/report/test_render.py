import base64
import dataclasses
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from hclnet.report import Page, write
from hclnet.report.render import choose, pieces, thumbnail, worst_first
from report import synthetic


class Elements(HTMLParser):
    """What a browser sees: tags with attributes, and the text of scripts by id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.scripts: dict[str, str] = {}
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        self.tags.append((f"/{tag}", {}))

    def handle_data(self, data):
        tag, attributes = self.tags[-1] if self.tags else ("", {})
        if tag == "script":
            key = attributes.get("id", "code")
            self.scripts[key] = self.scripts.get(key, "") + data
        elif tag != "style":
            self.words.append(data)

    @property
    def data(self) -> dict:
        return json.loads(self.scripts["data"])


def rendered(page: Page) -> str:
    return "".join(pieces(page))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return synthetic.page(tmp_path_factory.mktemp("birds"), count=30)


@pytest.fixture(scope="module")
def html(page):
    return rendered(page)


@pytest.fixture(scope="module")
def seen(html):
    return Elements(html)


def test_nothing_is_fetched_from_anywhere(html, seen):
    addresses = [v for _, attributes in seen.tags for k, v in attributes.items() if k in ("src", "href", "action")]
    assert all(v.startswith(("#", "data:")) for v in addresses)
    assert "@import" not in html and "url(" not in html and "fetch(" not in html
    # The only addresses are names of XML, which nothing fetches.
    assert set(re.findall(r"https?://[^\"' ]+", html)) == {"http://www.w3.org/2000/svg"}
    policy = next(a["content"] for t, a in seen.tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_the_policy_allows_exactly_this_script(html, seen):
    digest = base64.b64encode(hashlib.sha256(seen.scripts["code"].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html
    assert not [a for _, a in seen.tags for name in a if name.startswith("on")]


def test_what_people_wrote_stays_text(page, html, seen):
    hostile = synthetic.CLASSES[-1]
    assert hostile in page.classes and hostile not in html
    assert seen.data["classes"] == list(page.classes)
    assert "<img src=x" not in html and "Birds &amp; &lt;others&gt;" in html and "runs/&lt;first&gt;" in html
    assert "img" not in {tag for tag, _ in seen.tags}
    assert seen.data["images"]["id"] == page.columns[0].records.ids
    # JSON in a script can only end where the page ends it.
    assert html.count("</script>") == len(seen.scripts)


def test_the_page_carries_the_records(page, seen):
    data, records = seen.data, page.columns[0].records
    assert data["images"]["label"] == records.labels.tolist()
    assert data["images"]["size"] == records.sizes.tolist()
    for k, column in enumerate(page.columns):
        stored = data["columns"][k]
        assert stored["name"] == column.name and stored["rule"] == column.rule
        assert stored["iou"] == column.records.iou.tolist()
        assert stored["level"] == [maps.level for maps in column.maps]
        assert stored["branches"] == len(column.maps[0].branches)
        side = synthetic.SIDE
        on_image = np.array(stored["box"]).reshape(-1, 4) * np.tile(column.records.sizes, 2) / side
        np.testing.assert_allclose(on_image, column.records.boxes, atol=1e-9)
    assert [data["images"]["truth"][i] for i in range(3)] == [
        page.gt_boxes[name].ravel().tolist() for name in records.ids[:3]
    ]


def test_pictures_and_maps_come_worst_first(page, seen):
    slots = seen.data["images"]["slot"]
    order = sorted(range(30), key=slots.__getitem__)
    mean = np.mean([column.records.iou for column in page.columns], axis=0)
    assert order == sorted(range(30), key=mean.__getitem__)
    chunks = [json.loads(seen.scripts[f"pixels-{k}"]) for k in range(2)]
    assert [len(chunk) for chunk in chunks] == [24, 6]
    for place, i in ((0, order[0]), (29, order[29])):
        one = chunks[place // 24][place % 24]
        picture = Image.open(io.BytesIO(base64.b64decode(one["picture"])))
        width, height = page.columns[0].records.sizes[i]
        assert picture.format == "WEBP" and max(picture.size) <= 256
        assert picture.width / picture.height == pytest.approx(width / height, rel=0.05)
        for column, (grid, corrections, branches, span) in zip(page.columns, one["maps"]):
            maps = column.maps[i]
            np.testing.assert_array_equal(np.frombuffer(base64.b64decode(grid), "<f4"), maps.grid.ravel())
            assert base64.b64decode(corrections) == maps.corrections
            several = len(maps.branches) > 1
            assert (base64.b64decode(branches) == maps.branches.tobytes()) if several else branches == ""
            assert span == ""


def test_of_many_images_the_worst_and_a_seeded_sample_are_embedded(page):
    some = dataclasses.replace(page, pictures=10)
    chosen, order = choose(some), worst_first(page.columns)
    assert len(chosen) == 10 and chosen[:5] == order[:5] and set(chosen[5:]) <= set(order[5:])
    assert chosen == choose(some) == sorted(chosen, key=order.index)
    assert chosen != choose(dataclasses.replace(some, seed=1))
    seen = Elements(rendered(some))
    assert sorted(s for s in seen.data["images"]["slot"] if s >= 0) == list(range(10))
    assert seen.data["images"]["slot"].count(-1) == 20 and len(seen.data["columns"][0]["iou"]) == 30
    assert "10 of the 30 images: 5 with the lowest IoU (mean over the methods), and 5 drawn at random" in " ".join(
        " ".join(seen.words).split()
    )


def test_where_all_are_embedded_nothing_is_said_to_be_left_out(seen):
    assert "This file contains" not in " ".join(seen.words)


def test_without_truth_wrong_classes_come_first_and_there_are_no_kinds(tmp_path):
    page = synthetic.page(tmp_path / "birds", count=8, methods=1, boxed=False)
    records, order = page.columns[0].records, worst_first(page.columns)
    wrong = (records.rank > 0)[order]
    assert 0 < wrong.sum() < 8 and wrong.tolist() == sorted(wrong.tolist(), reverse=True)
    certain = records.top_scores[order, 0]
    assert (np.diff(certain[wrong]) <= 0).all() and (np.diff(certain[~wrong]) >= 0).all()
    seen = Elements(rendered(page))
    assert seen.data["columns"][0]["accuracy"] is None and set(seen.data["columns"][0]["kind"]) == {-1}
    assert set(seen.data["columns"][0]["iou"]) == {None}
    assert not [a for t, a in seen.tags if t == "input" and a.get("name") == "kind"]


def test_a_page_without_figures_or_charts_has_neither(page):
    bare = dataclasses.replace(page, results=None, charts=(), notes=("A sample <only>.",))
    seen = Elements(rendered(bare))
    ids = {a.get("id") for _, a in seen.tags}
    assert "results" not in ids and "threshold-chart" not in ids and "images" in ids
    assert "A sample <only>." in seen.words


def test_the_table_has_median_spread_and_the_best_of_each_column(page, seen):
    cells = [a["class"] for t, a in seen.tags if t == "td" and a.get("class", "").startswith("figure")]
    keys = list(page.results.lines[0].metrics)
    values = [[line.metrics[k][0] for line in page.results.lines] for k in keys]
    assert len(cells) == 3 * len(keys)  # where all are alike, none is the best
    assert sum("best" in c for c in cells) == sum(v.count(max(v)) for v in values if min(v) < max(v))
    median, low, _ = page.results.lines[0].metrics["top1_loc"]
    text = " ".join(seen.words)
    assert f"{100 * median:.1f}" in text and f"{100 * low:.1f} to {100 * median:.1f}" in text
    assert "Percent. Two seeds." in text


def test_the_file_is_written_whole_or_not_at_all(page, tmp_path):
    target = tmp_path / "report.html"
    target.write_text("before")
    gone = dataclasses.replace(page.columns[0].records, paths=["/nowhere/at all.jpg"] * 30)
    broken = dataclasses.replace(page, columns=(dataclasses.replace(page.columns[0], records=gone),))
    with pytest.raises(ValueError, match="no image file"):
        write(broken, target)
    assert target.read_text() == "before" and [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert write(page, target) == target
    assert target.read_text(encoding="utf-8") == rendered(page)


def test_thumbnails_are_upright_and_of_a_large_image_small(tmp_path):
    image = Image.new("RGB", (2000, 1000), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    image.save(tmp_path / "large.jpg", exif=exif)
    small = Image.open(io.BytesIO(base64.b64decode(thumbnail(tmp_path / "large.jpg"))))
    assert small.size == (128, 256)
