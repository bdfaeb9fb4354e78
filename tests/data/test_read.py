"""Which reader takes a path, and what is said where none does."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from PIL import Image

import hclnet.data
from hclnet.data import READERS, cub, folder, read
from hclnet.synthetic import PartsOptions, write


def test_every_reader_is_named_and_says_what_it_is():
    modules = [import_module(f"hclnet.data.{found.name}") for found in iter_modules(hclnet.data.__path__)]
    assert {m.__name__ for m in modules if hasattr(m, "recognize")} == {m.__name__ for m in READERS}
    for reader in READERS:
        assert reader.KIND and reader.LOOKED_FOR


def test_the_cub_layout_goes_before_class_folders(tmp_path: Path):
    # images/ and segmentations/ would make two classes.
    write(PartsOptions(classes=2, train=1, test=1, size=64), tmp_path)
    assert folder.recognize(tmp_path)
    assert read(tmp_path).kind == cub.KIND


def test_no_folder(tmp_path: Path):
    with pytest.raises(ValueError, match=r"There is no folder .*nowhere\. Give the path of a folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="There is no folder ~nobody-of-this-name"):
        read("~nobody-of-this-name/photos")


def test_a_file(tmp_path: Path):
    (tmp_path / "x.zip").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"x\.zip is a file and not a manifest.* unpack an archive"):
        read(tmp_path / "x.zip")


def test_nothing_that_a_reader_knows(tmp_path: Path):
    for k in range(11):
        (tmp_path / f"{k:02d}.csv").write_text("x")
    (tmp_path / "one").mkdir()
    with pytest.raises(ValueError) as error:
        read(tmp_path)
    message = str(error.value)
    for reader in READERS:
        assert f"{reader.KIND}: {reader.LOOKED_FOR}" in message
    assert "Found: 00.csv, 01.csv" in message and "07.csv and 4 more." in message


def test_an_empty_folder(tmp_path: Path):
    with pytest.raises(ValueError, match="Found: an empty folder"):
        read(tmp_path)


def test_held_out_images_alone(tmp_path: Path):
    for name in ("test/a", "test/b", "val/a", "val/b"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name / "1.png")
    dataset = read(tmp_path)
    assert dataset.classes == ("a", "b") and dataset.counts() == {"val": 2, "test": 2}


def test_one_folder_too_high(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "photos" / name / "1.png")
    with pytest.raises(ValueError, match=r"Do you mean .*photos\?"):
        read(tmp_path)
