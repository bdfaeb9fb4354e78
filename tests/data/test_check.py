"""The check of a data set finds what was put there, and nothing in what is sound."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hclnet.data import copies, read
from hclnet.data.check import Findings, as_json, examine
from hclnet.synthetic import PartsOptions, write
from hclnet.types import Sample


def picture(seed: int, size: tuple[int, int] = (96, 72)) -> Image.Image:
    """Of soft blobs, as a photograph is from afar."""
    values = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(values).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes with eight training and four test images each, all different."""
    for number, name in enumerate(
        [f"{s}/{c}/{k}.png" for s, n in (("train", 8), ("test", 4)) for c in "ab" for k in range(n)]
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(tmp_path / name)
    return tmp_path


def examined(root: Path) -> Findings:
    return examine(read(root))


def copied(findings: Findings) -> dict[str, list[tuple[str, ...]]]:
    kinds: dict[str, list[tuple[str, ...]]] = {}
    for group in findings.copies:
        kinds.setdefault(group.kind, []).append(tuple(s.id for s in group.samples))
    return kinds


def test_a_sound_data_set(root: Path):
    seen: list[tuple[int, int]] = []
    findings = examine(read(root), lambda done, total: seen.append((done, total)))
    assert findings.counts == {"train": {"a": 8, "b": 8}, "test": {"a": 4, "b": 4}}
    assert findings.problems == 0 and not findings.alike
    assert findings.remarks == ["fewer than 10 training images of a (8), b (8)"]
    assert seen == [(k, 24) for k in range(1, 25)]


def test_drawn_birds_are_sound(tmp_path: Path):
    write(PartsOptions(classes=3, train=10, test=4, size=96), tmp_path)
    findings = examined(tmp_path)
    assert findings.problems == 0 and not findings.alike and not findings.remarks


def test_broken_files(root: Path):
    (root / "train/a/0.png").write_bytes(b"")
    (root / "test/b/0.png").write_text("no image")
    findings = examined(root)
    assert [b.sample.id for b in findings.broken] == ["train/a/0.png", "test/b/0.png"]
    assert findings.problems == 2
    assert findings.counts["train"]["a"] == 8  # they are there, if broken


def test_copies(root: Path):
    def copy(source: str, to: str) -> None:
        (root / to).write_bytes((root / source).read_bytes())

    copy("train/a/0.png", "train/a/again.png")
    copy("train/a/1.png", "train/b/other.png")
    copy("train/a/2.png", "test/a/seen.png")
    copy("train/a/3.png", "test/b/both.png")
    copy("train/a/0.png", "train/a/thrice.png")
    assert copied(findings := examined(root)) == {
        "repeat": [("train/a/0.png", "train/a/again.png", "train/a/thrice.png")],
        "contradiction": [("train/a/1.png", "train/b/other.png")],
        "leak": [("train/a/2.png", "test/a/seen.png"), ("train/a/3.png", "test/b/both.png")],
    }
    assert all(copies.same_file for copies in findings.copies)
    assert findings.problems == 4 and not findings.alike


def test_copies_in_other_files(root: Path):
    # A PNG of a JPEG, and one that is only turned upright by its tag.
    picture(99).save(root / "train/a/photo.jpg")
    with Image.open(root / "train/a/photo.jpg") as photo:
        photo.save(root / "test/a/photo.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(0).transpose(Image.Transpose.ROTATE_90).save(root / "train/b/turned.png", exif=exif)
    findings = examined(root)
    assert copied(findings) == {
        "leak": [("train/a/photo.jpg", "test/a/photo.png")],
        "contradiction": [("train/a/0.png", "train/b/turned.png")],
    }
    assert not any(copies.same_file for copies in findings.copies)


def test_look_alikes_are_shown_and_are_no_error(root: Path):
    original = picture(0)
    original.resize((48, 36)).save(root / "test/a/smaller.png")
    original.save(root / "train/a/saved.jpg", quality=40)
    original.crop((1, 1, 96, 72)).save(root / "test/b/cropped.png")
    findings = examined(root)
    assert findings.problems == 0
    pairs = [{a.id, b.id} for a, b in findings.alike]
    for copy in ("test/a/smaller.png", "train/a/saved.jpg", "test/b/cropped.png"):
        assert {"train/a/0.png", copy} in pairs
    names = {"train/a/0.png", "test/a/smaller.png", "train/a/saved.jpg", "test/b/cropped.png"}
    assert all(pair <= names for pair in pairs)


def test_brightness_and_color_make_a_difference(root: Path):
    original = np.asarray(picture(0)).astype(int)
    Image.fromarray((original * 0.6).astype(np.uint8)).save(root / "test/a/dark.png")
    Image.fromarray(original[..., ::-1].astype(np.uint8)).save(root / "test/a/other colors.png")
    assert not examined(root).alike


def test_the_list_of_look_alikes_ends(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(copies, "MOST_ALIKE", 7)
    for k in range(9):
        Image.new("RGB", (40, 40), (k, k, k)).save(root / f"train/a/blank{k}.png")
    assert len(examined(root).alike) == 7


@pytest.mark.parametrize("rows", [1, 16, 1000])
def test_the_search_finds_what_comparing_all_pairs_finds(monkeypatch: pytest.MonkeyPatch, rows: int):
    random = np.random.default_rng(0)
    scenes = random.integers(0, 256, (30, 16, 16, 3))
    small = scenes[random.integers(0, 30, 200)] + random.integers(-20, 21, (200, 1, 1, 1))
    small = np.clip(small + random.integers(-2, 3, small.shape), 0, 255).astype(np.uint8)
    hashes = np.packbits(small[..., 0].reshape(200, 256) > small[..., 1].reshape(200, 256), axis=1)
    whole = [
        (Sample(str(k), Path(str(k)), 0, "train"), copies.Picture((16, 16), b"", bytes([k]), hashes[k], small[k]))
        for k in range(200)
    ]
    pairs = [
        (str(i), str(j))
        for i in range(200)
        for j in range(i + 1, 200)
        if np.unpackbits(hashes[i] ^ hashes[j]).sum() <= 24
        and np.abs(small[i].astype(int) - small[j].astype(int)).mean() <= 6
    ]
    assert len(pairs) > 50
    monkeypatch.setattr(copies, "_ROWS", rows)
    assert [(a.id, b.id) for a, b in copies.look_alikes(whole)] == pairs


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    write(PartsOptions(classes=2, train=10, test=2, size=64), tmp_path)
    return tmp_path


def set_line(root: Path, name: str, number: int, text: str) -> None:
    lines = (root / name).read_text().splitlines()
    lines[number - 1] = f"{number} {text}"
    (root / name).write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ("-5 0 30 30", "box -5 0 25 30 reaches outside of the image, 64 x 64"),
        ("40 10 30 20", "box 40 10 70 30 reaches outside"),
        ("10 10 0 20", "box 10 10 10 30 has no area"),
        ("10 10 -3 20", "box 10 10 7 30 has no area"),
        ("0.1 0.2 0.5 0.6", "box 0.1 0.2 0.6 0.8 is within 0 and 1: a fraction of the image?"),
        ("nan 10 3 20", "box nan 10 nan 30 is not finite"),
        ("100 100 10 10", "box 100 100 110 110 is outside of the image"),
    ],
)
def test_boxes_that_do_not_fit(birds: Path, box: str, reason: str):
    set_line(birds, "bounding_boxes.txt", 3, box)
    findings = examined(birds)
    assert len(findings.boxes) == 1 and reason in findings.boxes[0].reason
    assert findings.boxes[0].sample.id == read(birds).samples[2].id


def test_a_pixel_more_is_rounding(birds: Path):
    set_line(birds, "bounding_boxes.txt", 3, "-0.5 0 65 64.9")
    (mask,) = read(birds).ground_truth.masks[read(birds).samples[2].id].foreground
    Image.new("L", (64, 64), 255).save(mask)
    assert examined(birds).problems == 0


def test_boxes_are_of_the_upright_image(birds: Path):
    sample = read(birds).samples[2]
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(0, (64, 100)).save(sample.path, exif=exif)  # upright it is 100 x 64
    set_line(birds, "bounding_boxes.txt", 3, "0 0 100 64")
    Image.new("L", (100, 64), 255).save(read(birds).ground_truth.masks[sample.id].foreground[0])
    assert examined(birds).problems == 0


def test_masks_that_do_not_fit(birds: Path):
    dataset = read(birds)
    masks = [dataset.ground_truth.masks[s.id].foreground[0] for s in dataset.samples]
    Image.new("L", (32, 64), 255).save(masks[0])
    Image.new("L", (64, 64)).save(masks[1])
    masks[2].write_bytes(b"no mask")
    corner = Image.new("L", (64, 64))
    corner.putpixel((0, 0), 255)
    corner.save(masks[3])
    with Image.open(masks[4]) as mask:
        mask.point(lambda v: v // 255).save(masks[4])  # 0 and 1 are as good as 0 and 255
    with Image.open(masks[5]) as mask:
        mask.resize((160, 160)).save(masks[5])  # and so is any size of the same shape
    reasons = {f.sample.id: f.reason for f in examined(birds).masks}
    assert list(reasons) == [s.id for s in dataset.samples[:4]]
    for told, reason in zip(
        (
            "is 32 x 64, another shape than that of the image, 64 x 64",
            "is empty",
            "is not an image",
            "and the box differ",
        ),
        reasons.values(),
    ):
        assert told in reason


def test_remarks(tmp_path: Path):
    for number, name in enumerate(("train/a/1.png", "train/b/1.png", "test/a/2.png")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(tmp_path / name)
    assert examined(tmp_path).remarks == ["no test image of b", "fewer than 10 training images of a (1), b (1)"]
    (tmp_path / "test/a/2.png").unlink()
    assert "there are only training images: none to test on" in examined(tmp_path).remarks


def test_images_without_boxes(birds: Path):
    lines = (birds / "bounding_boxes.txt").read_text().splitlines()
    (birds / "bounding_boxes.txt").write_text("\n".join(lines[2:]) + "\n")
    findings = examined(birds)
    assert (
        findings.remarks == ["2 images have no box; they are scored for classification only"] and not findings.problems
    )


def test_json(root: Path):
    (root / "train/a/7.png").write_bytes(b"")
    (root / "test/a/3.png").write_bytes((root / "train/a/0.png").read_bytes())
    picture(1).resize((48, 36)).save(root / "test/b/smaller.png")
    (root / "notes.txt").write_text("x")
    dataset = read(root)
    told = json.loads(json.dumps(as_json(dataset, examine(dataset))))
    assert told["images"] == 25 and told["counts"]["test"] == {"a": 4, "b": 5} and told["problems"] == 2
    assert told["broken"][0]["id"] == "train/a/7.png" and told["broken"][0]["class"] == "a"
    assert told["leaks"] == [{"ids": ["train/a/0.png", "test/a/3.png"], "same_file": True}]
    assert told["contradictions"] == told["repeats"] == told["boxes"] == told["masks"] == []
    assert told["alike"] == [["train/a/1.png", "test/b/smaller.png"]]
    assert any("1 .txt" in remark for remark in told["remarks"])
