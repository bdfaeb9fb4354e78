"""Folders with a file for each image: what is written again leaves nothing of before, and touches nothing of others."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

import hostile
from as_results import as_results
from hclnet.data.files import image_files
from hclnet.formats import WRITERS, Results, Target, tree, write_formats
from hclnet.storage import Unwritable


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return as_results(hostile.localizations(tmp_path / "photos"), ("fox",), tmp_path / "photos")


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() or path.is_symlink()}


@pytest.mark.parametrize("kind", ["yolo", "voc"])
def test_what_is_gone_goes_and_what_is_anothers_stays(kind: str, results: Results, tmp_path: Path):
    (folder,) = write_formats(results, [kind], Target(tmp_path / "out"))
    everything = files(folder)
    mine = {"notes.txt", "runs/best.pt", f"{'images' if kind == 'yolo' else 'JPEGImages'}/own.jpg"}
    for name in mine:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    write_formats(replace(results, images=results.images[:1]), [kind], Target(tmp_path / "out"))
    few = files(folder) - mine
    assert few < everything and all((folder / name).read_text() == "mine" for name in mine)
    assert not any("sub" in name or "dots" in name for name in few)
    assert all(one.file.is_file() for one in results.images), "the photographs themselves stay"
    write_formats(results, [kind], Target(tmp_path / "out"))
    assert files(folder) == everything | mine


def test_an_image_that_somebody_has_put_there_stays(results: Results, tmp_path: Path):
    (tmp_path / "out" / "yolo" / "images").mkdir(parents=True)
    (tmp_path / "out" / "yolo" / "images" / "a.jpg").write_text("mine")
    for _ in range(2):
        write_formats(results, ["yolo"], Target(tmp_path / "out"))
        assert (tmp_path / "out" / "yolo" / "images" / "a.jpg").read_text() == "mine"


@pytest.mark.parametrize("kind", ["yolo", "voc"])
def test_folders_that_are_called_like_files(kind: str, tmp_path: Path):
    names = (
        "a.jpeg",
        "x.txt.jpg",
        "y.xml.jpg",
        "deep/a.jpeg/b.jpeg",
        "deep/x.txt/c.jpg",
        "deep/y.xml/c.jpg",
        "deep/x.jpg",
    )
    photos = tmp_path / "photos"
    results = as_results(hostile.localizations(photos, names=names), (), photos)
    moved = [replace(one, name=one.name.removeprefix("deep/")) for one in results.images]
    (folder,) = write_formats(replace(results, images=tuple(moved)), [kind], Target(tmp_path / "out"))
    found = [path for path in folder.rglob("*") if path.suffix in (".jpg", ".jpeg") and path.is_file()]
    assert {path.resolve() for path in found} == {one.file.resolve() for one in results.images}


def test_an_image_that_somebody_put_in_the_place_of_a_link_stays(results: Results, tmp_path: Path):
    (folder,) = write_formats(results, ["yolo"], Target(tmp_path / "out"))
    (folder / "images" / "a.jpg").unlink()
    (folder / "images" / "a.jpg").write_text("mine")
    for images in (results.images, results.images[1:]):
        write_formats(replace(results, images=images), ["yolo"], Target(tmp_path / "out"))
        assert (folder / "images" / "a.jpg").read_text() == "mine"


def test_after_a_stop_nothing_of_before_is_left(results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (folder,) = write_formats(replace(results, images=results.images[:2]), ["yolo"], Target(tmp_path / "out"))
    few = files(folder)
    calls = []

    def stopped(self: tree.Tree, name: str, image: Path) -> None:
        calls.append(name)
        if len(calls) == 6:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(tree.Tree, "link", stopped)
        write_formats(results, ["yolo"], Target(tmp_path / "out"))
    assert files(folder) > few
    write_formats(replace(results, images=results.images[:2]), ["yolo"], Target(tmp_path / "out"))
    assert files(folder) == few


def test_images_that_are_not_there(results: Results, tmp_path: Path):
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    (folder,) = write_formats(results, ["yolo"], Target(tmp_path / "out"))
    assert not (folder / "images").exists() and len(list((folder / "labels").rglob("*.txt"))) == len(hostile.NAMES)


def test_where_there_are_no_links_images_are_copied(results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(*_: object, **__: object) -> None:
        raise OSError("a required privilege is not held")

    monkeypatch.setattr(Path, "symlink_to", refused)
    for _ in range(2):
        (folder,) = write_formats(results, ["yolo"], Target(tmp_path / "out"))
        found = [path for path in (folder / "images").rglob("*") if path.is_file()]
        assert len(found) == len(hostile.NAMES) and not any(path.is_symlink() for path in found)


def test_a_list_of_files_that_somebody_wrote_removes_nothing_outside(results: Results, tmp_path: Path):
    (folder,) = write_formats(results, ["yolo"], Target(tmp_path / "out"))
    (tmp_path / "dear.txt").write_text("dear")
    outside = {"../../dear.txt": "file", (tmp_path / "dear.txt").as_posix(): "file"}
    (folder / tree._MADE).write_text(json.dumps(outside))
    write_formats(results, ["yolo"], Target(tmp_path / "out"))
    assert (tmp_path / "dear.txt").is_file()
    (folder / tree._MADE).write_text("no list")
    write_formats(results, ["yolo"], Target(tmp_path / "out"))


def test_the_links_are_no_images_of_a_folder_above(results: Results, tmp_path: Path):
    write_formats(results, ["yolo", "voc"], Target(tmp_path / "out"))
    assert {path.relative_to(tmp_path / "photos").as_posix() for path in image_files(tmp_path)} == set(hostile.NAMES)


def test_a_file_where_the_folder_should_be(results: Results, tmp_path: Path):
    (tmp_path / "yolo").write_text("mine")
    with pytest.raises(Unwritable, match="yolo can't be written"):
        write_formats(results, ["yolo"], Target(tmp_path))


def test_names_that_no_format_can_hold(tmp_path: Path):
    """Bytes that are no Unicode, control characters: JSON keeps them, XML has escapes."""
    odd = (os.fsdecode(b"caf\xe9.jpg"), "bell\x07 and\nline.jpg")
    results = as_results(hostile.localizations(tmp_path / "photos", masks=True, names=odd), (), tmp_path / "photos")
    formats = [name for name in WRITERS if name != "parquet"]
    write_formats(results, formats, Target(tmp_path / "out"))
    names = [image.get("name") for image in ElementTree.parse(tmp_path / "out" / "cvat.xml").iter("image")]
    assert names[0] == "caf\\udce9.jpg" and names[1].startswith("bell\\x07 and")
    links = list((tmp_path / "out" / "yolo" / "images").iterdir())
    assert {path.resolve().name for path in links} == set(odd)
    with pytest.raises(ValueError, match="Parquet holds only names in Unicode"):
        write_formats(results, ["parquet"], Target(tmp_path / "out"))
