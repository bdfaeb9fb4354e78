"""What the server answers: only with the token, only to this machine, only what it is there for."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from hclnet.review.folder import open_folder
from hclnet.review.results import reviewed_results
from hclnet.review.server import application
from hclnet.review.session import Review
from hclnet_runtime.boxes.geometry import iou
from review import folders

HERE, THERE = "http://127.0.0.1:8000", "http://evil.example"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folders.made(tmp_path, 12)
    return tmp_path


@pytest.fixture
def client(place: Path) -> Iterator[TestClient]:
    review = Review(open_folder(place / "located"))
    written: list[Path] = [place / "located" / "reviewed.json"]
    yield TestClient(application(review, "token", lambda: written), HERE)
    review.close()


def change(
    verdict: str, boxes: list | None = None, revision: int = 0, window: str = "w", shown: object = "chosen"
) -> dict:
    return {"window": window, "revision": revision, "verdict": verdict, "objects": boxes or [], "shown": shown}


@pytest.mark.parametrize("path", ["", "static/main.js", "api/overview", "pictures/0", "nothing"])
def test_without_the_token_there_is_nothing(client: TestClient, path: str):
    for token in ("", "wrong", "token2", "toke", "TOKEN", "%74oke"):
        answer = client.get(f"/{token}/{path}")
        assert answer.status_code == 403 and "Open the one that `hclnet review` has printed last." in answer.text
    assert client.put("/wrong/api/images/0", json=change("empty")).status_code == 403


def test_another_host_is_refused_also_with_the_token(place: Path):
    """A page elsewhere whose name is turned to this machine (DNS rebinding)."""
    review = Review(open_folder(place / "located"))
    with TestClient(application(review, "token", list), THERE) as client:
        assert client.get("/token/api/overview").status_code == 400
    review.close()


@pytest.mark.parametrize(
    "path",
    ["static/../server.py", "static/..%2fserver.py", "static/%2e%2e/session.py", "static//etc/passwd", "pictures/-1",
     "pictures/..%2f..%2fetc%2fpasswd", "pictures/12", "heatmaps/99", "api/images/12", "static/", "pictures/0/../../x"],
)  # fmt: skip
def test_no_path_leads_out(client: TestClient, path: str):
    answer = client.get(f"/token/{path}")
    assert answer.status_code in (403, 404) and b"root:" not in answer.content and b"import" not in answer.content


def test_every_answer_forbids_what_comes_from_elsewhere(client: TestClient):
    for path in ("/token/", "/token/api/overview", "/wrong/", "/token/pictures/0"):
        headers = client.get(path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
        assert headers["Referrer-Policy"] == "no-referrer" and headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in headers


def test_the_page_names_only_files_that_are_there(client: TestClient):
    import re
    from importlib.resources import files

    static = files("hclnet.review").joinpath("static")
    named = set(re.findall(r'(?:src|href)="static/([^"]+)"', client.get("/token/").text))
    for file in static.iterdir():
        named |= set(re.findall(r'(?:from|import) "\./([^"]+)"', file.read_text()) if file.name.endswith(".js") else [])
        assert not re.findall(r"https?://(?!www\.w3\.org)", file.read_text()), file.name
    assert {file.name for file in static.iterdir()} == named - {"colors.css"} | {"index.html"}
    assert all(client.get(f"/token/static/{name}").status_code == 200 for name in named)


def test_an_image_says_what_was_found_and_what_is_decided(client: TestClient):
    one = client.get("/token/api/images/2").json()
    assert one["name"] == "hare/0002.jpg" and one["size"] == [320, 240] and one["verdict"] == "" and one["heatmap"]
    box = one["found"][0]["box"]
    assert one["objects"] == [{"label": "hare", "box": box, "of": 0}]
    answer = client.put("/token/api/images/2", json=change("accepted", one["objects"]))
    assert answer.status_code == 200 and answer.json()["image"]["verdict"] == "accepted"
    assert client.get("/token/api/overview").json()["verdict"][2] == "accepted"
    assert client.post("/token/api/undo", json={"window": "w"}).json()["image"] == one | {"revision": 2}
    assert client.post("/token/api/undo", json={"window": "w"}).json()["image"] is None


def test_two_windows_do_not_overwrite_each_other(client: TestClient):
    one = client.get("/token/api/images/0").json()
    assert client.put("/token/api/images/0", json=change("empty", window="a")).status_code == 200
    answer = client.put("/token/api/images/0", json=change("accepted", one["objects"], window="b"))
    assert answer.status_code == 409 and answer.json()["image"]["verdict"] == "empty"
    assert client.get("/token/api/images/0").json() == answer.json()["image"]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (change("accepted"), "An image that is accepted has a box"),
        (change("empty", [{"label": "fox", "box": [0, 0, 9, 9]}]), "rejected or empty has none"),
        (change("accepted", [{"label": "", "box": [0, 0, 9, 9]}]), "objects.0.label"),
        (change("accepted", [{"label": "fox", "box": [5, 5, 5, 9]}]), "at least half a pixel inside the image"),
        (change("accepted", [{"label": "fox", "box": [900, 5, 950, 9]}]), "inside the image"),
        (change("accepted", [{"label": "fox", "box": [0, 0, 9]}]), "objects.0.box"),
        (change("perhaps"), "verdict"),
        (change("empty") | {"more": 1}, "more"),
        (change("empty", shown={"by": "luck"}), "shown"),
        ([], "request"),
    ],
)
def test_what_is_no_decision_is_refused_in_a_sentence(client: TestClient, sent: object, said: str):
    answer = client.put("/token/api/images/0", json=sent)
    assert answer.status_code == 400 and said in answer.json()["error"]
    assert client.get("/token/api/images/0").json()["revision"] == 0


def test_numbers_that_are_none_and_text_that_is_no_json_are_refused(client: TestClient):
    for body in (b"", b"{", b'{"box": NaN}', json.dumps(change("empty")).encode()[:-1], b"\xff"):
        assert client.put("/token/api/images/0", content=body).status_code == 400
    nan = json.dumps(change("accepted", [{"label": "fox", "box": [0, 0, 1, 1]}])).replace(
        "[0, 0, 1, 1]", "[0, 0, NaN, 1]"
    )
    assert client.put("/token/api/images/0", content=nan).status_code == 400
    assert client.put("/token/api/images/0", content=b" " * (5 * 2**20)).status_code == 400


def test_a_box_is_cut_at_the_edges_of_its_image(client: TestClient):
    sent = change("accepted", [{"label": "fox", "box": [-5, 10, 400, 1000]}])
    assert client.put("/token/api/images/0", json=sent).json()["image"]["objects"][0]["box"] == [0, 10, 320, 240]


def test_pictures_are_upright_and_small_enough(client: TestClient, place: Path):
    image = Image.new("RGB", (4000, 1000), (200, 0, 0))
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned
    image.save(place / "photos" / "badger" / "0000.jpg", exif=exif)
    for path, size in (("pictures", (400, 1600)), ("thumbnails", (48, 192))):
        with Image.open(io.BytesIO(client.get(f"/token/{path}/0").content)) as picture:
            assert picture.format == "JPEG" and picture.size == size and 0x0112 not in picture.getexif()


def test_a_picture_that_is_gone_is_said_and_the_image_can_be_decided(client: TestClient, place: Path):
    (place / "photos" / "fox" / "0001.jpg").unlink()
    (place / "photos" / "hare" / "0002.jpg").write_bytes(b"no picture")
    assert "0001.jpg" in client.get("/token/pictures/1").json()["error"]
    assert client.get("/token/pictures/2").status_code == 400
    assert client.put("/token/api/images/1", json=change("rejected")).status_code == 200


def test_the_boxes_of_the_levels_are_those_of_the_heatmap(client: TestClient):
    (boxes,) = client.get("/token/api/images/2/levels").json()
    assert len(boxes) == 256 and boxes[255] == [0, 0, 0, 0]
    true = folders.true_box(2, (320, 240))
    assert iou(np.array(boxes[127:128]), np.array([true]))[0, 0] > 0.9
    widths = [box[2] - box[0] for box in boxes]
    assert widths == sorted(widths, reverse=True)
    with Image.open(io.BytesIO(client.get("/token/heatmaps/2").content)) as picture:
        assert picture.size == (folders.SIDE, folders.SIDE) and picture.mode == "P"


def test_heatmaps_of_8_bits_will_do(tmp_path: Path):
    out = folders.made(tmp_path, 1)
    (out / "heatmaps").rename(out / "heatmaps-8bit")
    file = out / "heatmaps-8bit" / "badger" / "0000.png"
    with Image.open(file) as image:
        fine = np.asarray(image)
    Image.fromarray((fine / 257).round().astype(np.uint8)).save(file)
    journal = out / "located.jsonl"
    journal.write_text(journal.read_text().replace('["heatmaps"]', '["heatmaps-8bit"]'))
    review = Review(open_folder(out))
    (boxes,) = review.heat_boxes(0)
    review.close()
    assert iou(np.array(boxes[127:128]), np.array([folders.true_box(0, (320, 240))]))[0, 0] > 0.9


def test_of_several_objects_each_has_its_own_levels(tmp_path: Path):
    size, root = (200, 100), tmp_path / "photos"
    folders.draw(root / "a.png", size, 0)
    two = [("fox", (10, 20, 50, 80), 0.9, 0.9), ("fox", (120, 20, 180, 80), 0.8, 0.5)]
    row = folders.row(root / "a.png", root, size, two, "fox", True)
    x = np.minimum(np.abs(np.arange(200) + 0.5 - 30), np.abs(np.arange(200) + 0.5 - 150))
    heat = (1 - x / 80).clip(0, 1)[None].repeat(100, 0)
    out = folders.write(tmp_path / "located", [row])
    (out / "heatmaps").mkdir()
    Image.fromarray((heat * 65535).astype(np.uint16)).save(out / "heatmaps" / "a.png")
    review = Review(open_folder(out))
    left, right = review.heat_boxes(0)
    review.close()
    assert left[200][2] < 60 and right[200][0] > 120 and left[5] == right[5]
    assert right[200][0] < 150 < right[200][2]


def test_without_heatmaps_the_page_is_told(tmp_path: Path):
    review = Review(open_folder(folders.made(tmp_path, 3, heatmaps=False)))
    with TestClient(application(review, "token", list), HERE) as client:
        assert client.get("/token/api/images/0").json()["heatmap"] is False
        assert client.get("/token/api/images/0/levels").json() == []
        assert client.get("/token/heatmaps/0").status_code == 404
        assert client.get("/token/api/overview").json()["heatmaps"] == 0
    review.close()


def test_the_rule_is_compared_on_the_boxes_of_the_person(client: TestClient):
    assert client.get("/token/api/rule").json() == {"images": 0, "unchanged": 0, "found": None}
    for k in range(12):
        one = client.get(f"/token/api/images/{k}").json()
        true = {"label": one["label"], "box": folders.true_box(k, (320, 240)), "of": 0}
        client.put(f"/token/api/images/{k}", json=change("accepted", [one["objects"][0] if k == 0 else true]))
    compared = client.get("/token/api/rule").json()
    assert compared["images"] == 12 and compared["unchanged"] == 1
    assert compared["found"]["rule_gt_known"] == pytest.approx(8 / 12)  # each third box is too small
    assert compared["found"]["gt_known"][0] == 1 and 0.3 < compared["found"]["threshold"] < 0.7
    assert compared["found"]["difference"][1] > 0


def test_results_say_whose_each_box_is(place: Path):
    folder = open_folder(place / "located")
    review = Review(folder)
    as_found = review.image(0)["objects"]
    moved = [{**review.image(1)["objects"][0], "box": [1, 2, 30, 40]}]
    renamed = [{**review.image(2)["objects"][0], "label": "wolf"}]
    drawn = [*review.image(3)["objects"], {"label": "fox", "box": [1, 2, 3, 4], "of": None}]
    from hclnet.review.session import Change

    for k, boxes in enumerate((as_found, moved, renamed, drawn)):
        review.decide(k, Change(**change("accepted", boxes)))
    review.decide(4, Change(**change("empty")))
    review.decide(5, Change(**change("rejected")))
    review.decide(6, Change(**change("open", moved)))
    results = reviewed_results(folder, review.made())
    review.close()
    by_name = {one.name: one for one in results.images}
    assert sorted(by_name) == ["badger/0000.jpg", "badger/0003.jpg", "fox/0001.jpg", "fox/0004.jpg", "hare/0002.jpg"]
    assert all(one.reviewed and one.file.is_file() for one in results.images)
    assert [o.source for o in by_name["badger/0000.jpg"].objects] == ["model"]
    assert by_name["badger/0000.jpg"].objects[0].agreement == folder.images[0].found[0].agreement
    assert [(o.source, o.score) for o in by_name["fox/0001.jpg"].objects] == [("person", None)]
    assert [(o.source, o.label) for o in by_name["hare/0002.jpg"].objects] == [("person", "wolf")]
    assert [o.source for o in by_name["badger/0003.jpg"].objects] == ["model", "person"]
    assert by_name["fox/0004.jpg"].objects == () and by_name["fox/0004.jpg"].label is None
    assert results.labels == (*folders.CLASSES, "wolf")


def test_folders_that_can_not_be_reviewed_are_refused_in_a_sentence(tmp_path: Path):
    with pytest.raises(ValueError, match=r"has no located\.jsonl"):
        open_folder(tmp_path)
    out = folders.made(tmp_path, 2)
    (tmp_path / "photos").rename(tmp_path / "moved")
    with pytest.raises(ValueError, match=r"None of the 2 images .* Say where they are with --images\."):
        open_folder(out)
    with pytest.raises(ValueError, match="there is no such folder"):
        open_folder(out, tmp_path / "nowhere")
    folder = open_folder(out, tmp_path / "moved")
    assert all(one.file.is_file() for one in folder.images) and folder.places == (tmp_path / "moved",)
    with pytest.raises(ValueError, match="has no image that was located"):
        open_folder(folders.write(tmp_path / "empty", []))


def test_a_journal_can_not_name_files_outside_of_its_folders(tmp_path: Path):
    secret = tmp_path / "secret.png"
    folders.draw(secret, (20, 20), 0)
    root = tmp_path / "photos"
    folders.draw(root / "a.png", (20, 20), 0)
    rows = []
    for path in (root / "a.png", root / ".." / "secret.png", secret):
        row = folders.row(root / "a.png", root, (20, 20), [("fox", (1, 1, 9, 9), 0.9, 0.9)], "fox", False)
        rows.append(row | {"path": str(path), "absolute": str(path)})
    out = folders.write(tmp_path / "located", rows)
    assert [one.file for one in open_folder(out).images] == [root / "a.png"]
    assert [one.file for one in open_folder(out, root).images] == [root / "a.png"]


def test_hostile_names_are_reviewed_like_others(tmp_path: Path):
    names = [
        "a b#c?.jpg",
        "<img src=x onerror=alert(1)>.jpg",
        "ü/%2e%2e/x.jpg",
        "new\nline.jpg",
        "'\"`${1}.jpg",
        "..jpg.jpg",
    ]
    names.append(os.fsdecode(b"caf\xe9.jpg"))
    out = folders.made(tmp_path, len(names), names=names)
    review = Review(open_folder(out))
    with TestClient(application(review, "token", list), HERE) as client:
        overview = client.get("/token/api/overview").json()
        assert overview["name"] == names
        for k in range(len(names)):
            assert client.get(f"/token/pictures/{k}").status_code == 200
            assert client.put(f"/token/api/images/{k}", json=change("empty")).status_code == 200
        odd = os.fsdecode(b"renard \xe9")
        sent = json.dumps(change("accepted", [{"label": odd, "box": [0, 0, 9, 9]}], revision=1))
        answer = client.put("/token/api/images/0", content=sent)
        assert answer.json()["image"]["objects"][0]["label"] == odd
        order = json.dumps({"by": "name", "label": odd})
        assert client.post("/token/api/ranked", content=order).json() == []
    review.close()
    again = Review(open_folder(out))
    assert len(again.made()) == len(names)
    again.close()
