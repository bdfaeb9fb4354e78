"""A picture that comes out is not a whole file: what checksums and the mark of an end say."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from hclnet.data import read
from hclnet.data.broken import find_broken
from hclnet.data.check import examine
from hclnet.metrics.masks import read_mask
from hclnet.types import MaskFiles
from hclnet.workflows.locate import locate_files
from hclnet_runtime.data import images
from hclnet_runtime.data.images import check_image, load_square, open_image
from hclnet_runtime.data.whole import Damaged, check_whole

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)).resize((300, 200))


def encoded(kind: str = "PNG", image: Image.Image = NOISE, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def as_png(parts: list[tuple[bytes, bytes]]) -> bytes:
    """With right checksums of the chunks."""
    out = b"\x89PNG\r\n\x1a\n"
    for kind, data in parts:
        out += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return out


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def text_after_pixels() -> bytes:
    parts = chunks(encoded())
    return as_png([*parts[:-1], (b"tEXt", b"Comment\0taken on a rainy day"), parts[-1]])


def with_wrong_adler() -> bytes:
    parts = chunks(encoded())
    packed = b"".join(data for kind, data in parts if kind == b"IDAT")
    return as_png([parts[0], (b"IDAT", flipped(packed, len(packed) - 1)), parts[-1]])


def with_wrong_pixels() -> bytes:
    """One pixel another, and everything right but the checksum of the pixels."""
    parts = chunks(encoded())
    raw = zlib.decompress(b"".join(data for kind, data in parts if kind == b"IDAT"))
    packed = zlib.compress(flipped(raw, 5000))[:-4] + struct.pack(">I", zlib.adler32(raw))
    return as_png([parts[0], (b"IDAT", packed), parts[-1]])


def animated(at: int) -> bytes:
    """Damaged in its second frame."""
    data = encoded(save_all=True, append_images=[Image.new("RGB", (300, 200), "lime")])
    return flipped(data, data.index(b"fdAT") + at)


def padded(data: bytes, lost: int) -> bytes:
    """Of a download that stopped: its room was there before it."""
    return data[:-lost] + bytes(lost)


def claiming(side: int, progressive: bool) -> bytes:
    """A JPEG whose header has another size than its pixels."""
    data = bytearray(encoded("JPEG", NOISE.resize((64, 64)), progressive=progressive))
    frame = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    return bytes(data)


PNG = encoded()
FAULTS = {
    "a bit in the pixels.png": (flipped(PNG, len(PNG) // 2), "the checksum of its chunk IDAT is wrong"),
    "sixty zeros.png": (PNG[:9000] + bytes(60) + PNG[9060:], "the checksum of its chunk IDAT is wrong"),
    "a bit in the header.png": (flipped(PNG, 19), "the checksum of its chunk IHDR is wrong"),
    "a bit in the palette.png": (
        flipped(palette := encoded(image=NOISE.quantize(8)), palette.index(b"PLTE") + 9),
        "the checksum of its chunk PLTE is wrong",
    ),
    "a bit in a text.png": (flipped(text := text_after_pixels(), text.index(b"rainy")), "its chunk tEXt is wrong"),
    "a bit in the second frame.png": (animated(30), "the checksum of its chunk fdAT is wrong"),
    "no end.png": (PNG[:-12], "it is cut off: it has no end"),
    "cut off.png": (PNG[:9000], "it is cut off in its chunk IDAT"),
    "cut off in the checksum.png": (PNG[:-2], "the checksum of its chunk IEND is wrong"),
    "really a png.jpg": (flipped(PNG, len(PNG) // 2), "the checksum of its chunk IDAT is wrong"),
    "cut off.jpg": (encoded("JPEG")[:-300], "it is cut off: its end marker is missing"),
    "zeros at the end.jpg": (padded(encoded("JPEG", quality=95), 9000), "its end marker is missing"),
    "progressive.jpg": (padded(encoded("JPEG", progressive=True), 4000), "its end marker is missing"),
}
PIXELS = {
    "wrong adler.png": (with_wrong_adler(), "the checksum of its pixels is wrong"),
    "wrong pixels.png": (with_wrong_pixels(), "the checksum of its pixels is wrong"),
}


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_too_short_for_the_size_that_it_claims(tmp_path: Path, progressive: bool):
    (tmp_path / "x.jpg").write_bytes(claiming(20_000, progressive))
    for opened in (open_image, check_image, lambda p: load_square(p, 32)):
        with pytest.raises(
            ValueError, match=r"x\.jpg is damaged: it is too short for the 20,000 x 20,000 pixels that it"
        ):
            opened(tmp_path / "x.jpg")
    for mode in ("L", "RGB", "CMYK"):
        Image.new(mode, (5000, 3000)).save(tmp_path / "x.jpg", progressive=progressive, quality=1)  # as short as can be
        check_image(tmp_path / "x.jpg")


def test_a_jpeg_with_scans_without_end(tmp_path: Path):
    data = encoded("JPEG", NOISE.resize((64, 64)), progressive=True)
    last = data.rindex(b"\xff\xda")
    for copies, opens in ((50, True), (200, False)):
        (tmp_path / "x.jpg").write_bytes(data[:-2] + data[last:-2] * copies + b"\xff\xd9")
        if opens:
            assert open_image(tmp_path / "x.jpg").size == (64, 64)
        else:
            with pytest.raises(ValueError, match=r"x\.jpg is damaged: it has more than 100 scans, which would take"):
                open_image(tmp_path / "x.jpg")


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_damaged_is_named_whoever_opens_it(tmp_path: Path, name: str):
    data, reason = FAULTS[name]
    (tmp_path / name).write_bytes(data)
    for opened in (open_image, check_image, lambda p: load_square(p, 32)):
        with pytest.raises(ValueError) as error:
            opened(tmp_path / name)
        assert str(error.value).startswith(f"{tmp_path / name} is damaged: ") and reason in str(error.value)
        assert str(error.value).endswith(". Copy or download it again.")


def test_some_of_them_come_out_as_pictures(tmp_path: Path):
    """Else these tests would be of nothing."""
    decoded = 0
    for data, _ in (*FAULTS.values(), *PIXELS.values()):
        try:
            Image.open(io.BytesIO(data)).load()
            decoded += 1
        except (OSError, SyntaxError):
            pass
    assert decoded >= 4


@pytest.mark.parametrize("name", PIXELS)
def test_the_checksum_of_the_pixels_is_verified_where_images_are_checked(tmp_path: Path, name: str):
    data, reason = PIXELS[name]
    (tmp_path / name).write_bytes(data)
    assert open_image(tmp_path / name).size == (300, 200)
    with pytest.raises(ValueError, match=f"is damaged: {reason}"):
        check_image(tmp_path / name)


@pytest.mark.parametrize("compression", ["tiff_deflate", "tiff_adobe_deflate"])
def test_a_tiff_by_deflate(tmp_path: Path, compression: str):
    data = encoded("TIFF", compression=compression)
    path = tmp_path / "x.tif"
    path.write_bytes(data)
    check_image(path)
    with Image.open(path) as image:
        place, length = image.tag_v2[273][0], image.tag_v2[279][0]
    path.write_bytes(flipped(data, place + length - 1))
    check_whole(path)
    with pytest.raises(Damaged, match="the checksum of its pixels is wrong"):
        check_whole(path, pixels=True)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}), ("PNG", {"interlace": 1}), ("PNG", {"save_all": True, "append_images": [NOISE.rotate(180)]}),
        ("JPEG", {}), ("JPEG", {"progressive": True}), ("JPEG", {"exif": b"Exif\0\0" + b"\xff\xda\xff" * 99}),
        ("JPEG", {"restart_marker_rows": 1}), ("MPO", {"save_all": True, "append_images": [NOISE]}), ("GIF", {}),
        ("WEBP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("BMP", {}), ("PPM", {}), ("JPEG2000", {}),
        ("AVIF", {}),
    ],
)  # fmt: skip
def test_what_is_whole_is_not_refused(tmp_path: Path, kind: str, options: dict):
    for after in (b"", b"\0" * 5000, b"a video behind the picture, as phones write it"):
        (tmp_path / "x.img").write_bytes(encoded(kind, **options) + after)
        check_whole(tmp_path / "x.img", pixels=True)


def test_the_mark_of_the_end_may_lie_across_what_is_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data = encoded("JPEG")
    (tmp_path / "x.jpg").write_bytes(data)
    for at_once in (1, 7, 64, 1000, 1001):
        monkeypatch.setattr("hclnet_runtime.data.whole._AT_ONCE", at_once)
        check_whole(tmp_path / "x.jpg")
        (tmp_path / "x.png").write_bytes(PNG)
        check_whole(tmp_path / "x.png", pixels=at_once > 7)


def test_large_chunks_of_metadata_are_whole_too(tmp_path: Path):
    info = PngImagePlugin.PngInfo()
    info.add_text("profile", "x" * 3_000_000)
    (tmp_path / "x.png").write_bytes(encoded(pnginfo=info))
    check_whole(tmp_path / "x.png", pixels=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of five images; of one each the pixels are damaged, in two ways."""
    for label in ("a", "b"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for k in range(5):
            NOISE.rotate(7 * k + ord(label)).save(tmp_path / "data" / label / f"{k}.png")
    whole = (tmp_path / "data/a/2.png").read_bytes()
    (tmp_path / "data/a/2.png").write_bytes(flipped(whole, len(whole) // 2))
    (tmp_path / "data/b/4.png").write_bytes(with_wrong_pixels())
    return tmp_path / "data"


def test_they_are_found_before_a_training_and_by_the_check(folder: Path):
    dataset = read(folder)
    reasons = {f.sample.id: f.reason for f in find_broken(dataset.samples)}
    assert list(reasons) == ["a/2.png", "b/4.png"] and all("is damaged: the checksum" in r for r in reasons.values())
    findings = examine(dataset)
    assert {f.sample.id: f.reason for f in findings.broken} == reasons and findings.problems == 2


def test_what_was_whole_by_an_earlier_rule_is_looked_at_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HCLNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("hclnet.data.broken.check_image", lambda path: None)
    monkeypatch.setattr("hclnet.data.broken._RULE", Image.__version__)  # as version 0.1 kept it
    samples = read(folder).samples
    monkeypatch.setattr(images, "check_whole", lambda path: None)
    assert not find_broken(samples, seconds=0)
    monkeypatch.undo()
    monkeypatch.setenv("HCLNET_CACHE", str(tmp_path / "cache"))
    assert len(find_broken(samples)) == 2


def test_locate_leaves_them_out_by_name(folder: Path, trained: Path, tmp_path: Path):
    located = locate_files(folder, trained, tmp_path / "out", save=())
    assert len(located.localizations) == 8 and len(located.left_out) == 2
    assert "2.png is damaged: " in located.left_out[0] and "4.png is damaged: " in located.left_out[1]


def test_a_damaged_mask_is_refused(tmp_path: Path):
    mask = encoded(image=NOISE.convert("1").convert("L"))
    (tmp_path / "m.png").write_bytes(flipped(mask, len(mask) // 2))
    with pytest.raises(ValueError, match=r"m\.png can't be read: the checksum of its chunk IDAT is wrong"):
        read_mask(MaskFiles((tmp_path / "m.png",)), 32, 0.5, 0)
