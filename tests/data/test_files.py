"""Which files are images, and how names are shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hclnet.data.files import files_in, image_files, is_image_name, shown


@pytest.mark.parametrize(
    ("name", "yes"),
    [("a.JPG", True), ("a b.webp", True), ("x.HEIC", True), ("._a.jpg", False), ("a.txt", False), ("jpg", False)],
)
def test_names(name: str, yes: bool):
    assert is_image_name(Path(name)) is yes


def test_images_are_sorted_and_the_rest_is_not_there(tmp_path: Path):
    for name in ("b.png", "a/z.jpg", "a/y.txt", ".hidden/x.png", "c/.d/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert image_files(tmp_path) == [tmp_path / "a/z.jpg", tmp_path / "b.png"]
    assert {p.name for p in files_in(tmp_path)} == {"b.png", "z.jpg", "y.txt"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a b/ü日本.jpg", "a b/ü日本.jpg"),
        ("new\nline\t.jpg", "new\\nline\\t.jpg"),
        (os.fsdecode(b"caf\xe9"), "caf\\udce9"),
        ("\x1b[31mred", "\\x1b[31mred"),
    ],
)
def test_shown_on_one_line(name: str, text: str):
    assert shown(name) == text
    shown(name).encode()
    assert shown(Path(name)) == text
