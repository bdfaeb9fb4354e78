"""What Pillow does not read is told in a sentence: what it is, and what to do."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hclnet.data import read
from hclnet.data.broken import find_broken
from hclnet.data.check import examine
from hclnet_runtime.data.images import image_size, open_image, pages_of


def tiff(channels: int, bits: int = 8, fmt: int = 1, photometric: int = 1, order: str = "<") -> bytes:
    """A TIFF of 6 x 5 pixels with one strip, as microscopes and satellites write them and Pillow does not."""
    data = np.zeros(6 * 5 * channels, dtype=f"{'f' if fmt == 3 else 'u'}{bits // 8}").tobytes()
    # fmt: off
    tags = [(256, 3, [6]), (257, 3, [5]), (258, 3, [bits] * channels), (259, 3, [1]), (262, 3, [photometric]),
            (273, 4, [0]), (277, 3, [channels]), (278, 3, [5]), (279, 4, [len(data)]), (339, 3, [fmt] * channels)]
    # fmt: on
    after, entries, blobs = 8 + 2 + 12 * len(tags) + 4, b"", b""
    total = after + sum(2 * len(values) for _, kind, values in tags if kind == 3 and len(values) > 2)
    for tag, kind, values in tags:
        values = [total] if tag == 273 else values
        raw = b"".join(struct.pack(order + ("H" if kind == 3 else "I"), value) for value in values)
        entries += struct.pack(f"{order}HHI", tag, kind, len(values))
        if len(raw) > 4:
            entries += struct.pack(f"{order}I", after + len(blobs))
            blobs += raw
        else:
            entries += raw.ljust(4, b"\0")
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(f"{order}IH", 8, len(tags)) + entries + bytes(4) + blobs + data


DICOM = bytes(128) + b"DICM" + bytes(400)
NIFTI = struct.pack("<i", 348) + bytes(340) + b"n+1\0" + bytes(99)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("five.tif", tiff(5), r"five\.tif is a TIFF of 5 channels of 8 bits \(whole numbers\), which hclnet does not"),
        ("two.tif", tiff(2, 16), r"two\.tif is a TIFF of 2 channels of 16 bits"),
        ("big endian.tif", tiff(7, 16, order=">"), r"big endian\.tif is a TIFF of 7 channels of 16 bits"),
        ("float.tif", tiff(3, 32, 3, 2), r"float\.tif is a TIFF of 3 channels of 32 bits \(floating point\)"),
        ("double.tif", tiff(1, 64, 3), r"double\.tif is a TIFF of 1 channel of 64 bits"),
        ("scan.dcm", DICOM, r"scan\.dcm is a DICOM file, .* Save it as PNG of 8 or 16 bits"),
        ("scan.png", DICOM, r"scan\.png is a DICOM file"),
        ("IM0001", DICOM, r"IM0001 is a DICOM file"),
        ("brain.nii", NIFTI, r"brain\.nii is a NIfTI volume"),
        ("page.png", b"%PDF-1.4 ...", r"page\.png is a PDF\. Save its pictures as PNG"),
        ("logo.png", b'<?xml version="1.0"?>\n<svg width="3">', r"logo\.png is an SVG drawing\. Save it as PNG"),
        ("cut.tif", tiff(5)[:20], r"cut\.tif "),
        ("text.jpg", b"no image", r"text\.jpg is not an image in any format that Pillow reads"),
    ],
)
def test_what_it_is_and_what_to_do(tmp_path: Path, name: str, data: bytes, message: str):
    (tmp_path / name).write_bytes(data)
    for look in (open_image, image_size):
        with pytest.raises(ValueError, match=message) as error:
            look(tmp_path / name)
        assert str(error.value).endswith(".") and "\n" not in str(error.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for k in range(3):
            Image.new("RGB", (9, 9), (k, 0, 0)).save(tmp_path / label / f"{k}.png")
    return tmp_path


def test_in_a_folder_of_classes_they_are_told_of(folder: Path):
    (folder / "a" / "scan.dcm").write_bytes(DICOM)
    (folder / "a" / "volume.nii").write_bytes(NIFTI)
    (folder / "b" / "five.tif").write_bytes(tiff(5))
    dataset = read(folder)
    assert any("1 .dcm" in note and "1 .nii" in note for note in dataset.notes)
    assert [f.sample.id for f in find_broken(dataset.samples)] == ["b/five.tif"]


def test_of_several_pages_the_first_is_seen_and_it_is_said(folder: Path):
    pages = [Image.new("RGB", (9, 9), (0, 40 * k, 0)) for k in range(1, 5)]
    pages[0].save(folder / "a" / "stack.tif", save_all=True, append_images=pages[1:])
    pages[0].save(folder / "a" / "moving.gif", save_all=True, append_images=pages[1:])
    assert pages_of(folder / "a" / "stack.tif") == 4 and pages_of(folder / "a" / "moving.gif") == 1
    assert open_image(folder / "a" / "stack.tif").getpixel((0, 0)) == (0, 40, 0)
    data = bytearray((folder / "a" / "stack.tif").read_bytes())
    place = 8 + 2 + 12 * int.from_bytes(data[8:10], "little")  # of where the second page is
    data[place : place + 4] = b"\xff\xff\xff\x7f"
    (folder / "a" / "damaged stack.tif").write_bytes(data)
    assert pages_of(folder / "a" / "damaged stack.tif") == 1
    (told,) = [line for line in examine(read(folder)).remarks if "pages" in line]
    assert told.startswith("1 TIFF file has several pages, such as a/stack.tif (4): the first is used.")


@pytest.mark.parametrize("name", ["1.dcm", "IM0001", "scan.ima"])
def test_a_folder_of_classes_that_holds_only_dicom_is_told_so(tmp_path, name):
    for label in ("ill", "well"):
        (tmp_path / label).mkdir()
        (tmp_path / label / name).write_bytes(bytes(128) + b"DICM" + bytes(64))
    with pytest.raises(ValueError, match=r"(ill|well)/[^ ]* is a DICOM file, .* Save it as PNG of 8 or 16 bits"):
        read(tmp_path)


def test_texts_and_empty_files_are_not_taken_for_pictures(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("of a visit")
    (tmp_path / "a" / "empty").touch()
    with pytest.raises(ValueError, match=r"Found: a/\.$"):
        read(tmp_path)
