"""Opening images as people have them: upright, RGB, and a sentence where that can't be."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hclnet.data.images import image_size, is_image_name, open_image, squash, upright_rgb

CORNERS = np.zeros((40, 60, 3), np.uint8)
CORNERS[:20, :30] = (250, 20, 20)  # red is top left, blue is bottom right
CORNERS[20:, 30:] = (20, 20, 250)


def colours(image: Image.Image) -> str:
    """What is seen top left and bottom right."""
    pixels = np.asarray(image).astype(int)
    return "".join("rgb"[int(pixels[y, x].argmax())] for y, x in ((4, 4), (-5, -5)))


@pytest.mark.parametrize(
    ("name", "yes"), [("a.JPG", True), ("a b.webp", True), ("._a.jpg", False), ("a.txt", False), ("jpg", False)]
)
def test_names(name: str, yes: bool):
    assert is_image_name(Path(name)) is yes


def test_squash_takes_the_whole_image():
    pixels = squash(Image.fromarray(CORNERS), 32)
    assert pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8
    assert colours(Image.fromarray(pixels)) == "rb"


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path: Path, suffix: str, orientation: int):
    # Stored turned, so that turning back by the tag makes it upright.
    stored = Image.fromarray(CORNERS)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    if orientation > 1:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{suffix}"
    stored.save(path, exif=exif, quality=95)
    image = open_image(path)
    assert image.mode == "RGB" and image.size == (60, 40)
    assert colours(image) == "rb"
    assert image_size(path) == (60, 40)


def test_sizes_come_from_the_header(tmp_path: Path):
    whole = io.BytesIO()
    Image.fromarray(CORNERS).resize((600, 400)).save(whole, "JPEG")
    (tmp_path / "x.jpg").write_bytes(whole.getvalue()[:1500])
    assert image_size(tmp_path / "x.jpg") == (600, 400)


def test_transparency_lies_on_white():
    image = Image.new("RGBA", (4, 2), (255, 0, 0, 0))
    image.putpixel((0, 0), (255, 0, 0, 255))
    pixels = np.asarray(upright_rgb(image))
    assert pixels[0, 0].tolist() == [255, 0, 0]
    assert pixels[1, 3].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.jpg", b"", r"empty\.jpg is empty \(0 bytes\)"),
        ("text.jpg", b"no image at all\n" * 9, r"text\.jpg is not an image"),
    ],
)
@pytest.mark.parametrize("opened", [open_image, image_size])
def test_what_is_no_image(tmp_path: Path, name: str, data: bytes, message: str, opened):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=message):
        opened(tmp_path / name)


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(ValueError, match=r"There is no image file .*gone\.png"):
        open_image(tmp_path / "gone.png")
