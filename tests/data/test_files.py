"""Which files are images, and how names are shown."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from hclnet.data.files import files_in, folders_in, image_files, is_image_name, is_own_results, shown


@pytest.mark.parametrize(
    ("name", "yes"),
    [("a.JPG", True), ("a b.webp", True), ("x.HEIC", True), ("._a.jpg", False), ("a.txt", False), ("jpg", False)],
)
def test_names(name: str, yes: bool):
    assert is_image_name(Path(name)) is yes


def test_the_memory_of_a_folder_does_not_grow_with_its_files(tmp_path: Path):
    peaks = []
    for count in (300, 6000):
        folder = tmp_path / str(count)
        folder.mkdir()
        for k in range(count):
            (folder / f"a rather long name of an image {k}.jpg").touch()
        tracemalloc.start()
        assert sum(1 for _ in files_in(folder)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]


def test_images_are_sorted_and_the_rest_is_not_there(tmp_path: Path):
    for name in ("b.png", "a/z.jpg", "a/y.txt", ".hidden/x.png", "c/.d/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert image_files(tmp_path) == [tmp_path / "a/z.jpg", tmp_path / "b.png"]
    assert {p.name for p in files_in(tmp_path)} == {"b.png", "z.jpg", "y.txt"}


def test_links_that_lead_nowhere_are_files_and_those_that_lead_out_are_not_followed(tmp_path: Path):
    a = tmp_path / "a"
    for folder in (a, tmp_path / "b"):
        folder.mkdir()
        (folder / "x.jpg").touch()
    links = {"itself.jpg": "itself.jpg", "gone.jpg": "gone", "long.jpg": "y" * 300, "through.jpg": "x.jpg/y"}
    for name, target in links.items():
        (a / name).symlink_to(target)
    for name, target in {"up": "..", "here": ".", "beside": "../b"}.items():
        (a / name).symlink_to(target)
    names = sorted([*links, "x.jpg"])
    assert image_files(a) == sorted([*(a / name for name in names), a / "beside" / "x.jpg"])
    assert len(image_files(tmp_path)) == len(names) + 1
    assert {p.name for p in folders_in(a)} == {"up", "here", "beside"}


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


OWN = [
    ("located.jsonl",),
    ("boxes.json", "overlays/a.png"),
    ("coco.json", "heatmaps/a.png"),
    ("boxes.json", "masks/a.png"),
    ("boxes.json", "coco.json"),
    ("config.yaml", "localizer/model.safetensors"),
    ("config.yaml", "checkpoints/last.ckpt"),
    ("localizer.json", "model.safetensors"),
    ("records.npz", "figures.json"),
    ("records.npz", "metrics.json"),
    ("compare.json", "classes.csv"),
]


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize("names", OWN, ids=" ".join)
def test_own_results(tmp_path: Path, names: tuple[str, ...]):
    touch(tmp_path / "class" / "deep" / "results", *names, "x.png", "more/y.png")
    touch(tmp_path / "class", "a.png")
    assert is_own_results(tmp_path / "class/deep/results") and not is_own_results(tmp_path / "class")
    left_out: list[Path] = []
    assert image_files(tmp_path, left_out) == [tmp_path / "class/a.png"]
    assert left_out == [tmp_path / "class/deep/results"]
    assert folders_in(tmp_path / "class/deep") == []


@pytest.mark.parametrize(
    "names",
    [
        ("boxes.json",),
        ("coco.json", "masks/a.png"),
        ("config.yaml",),
        ("figures.json",),
        ("metrics.json",),
        ("overlays/a.png",),
    ],
    ids=" ".join,
)
def test_what_only_looks_a_little_like_results(tmp_path: Path, names: tuple[str, ...]):
    assert not is_own_results(touch(tmp_path / "results", *names))
    assert touch(tmp_path / "results", "x.png") / "x.png" in image_files(tmp_path)


def test_the_folder_that_is_named_is_looked_into(tmp_path: Path):
    # `--out .`: pictures lie beside the classes, and only they are results.
    touch(tmp_path, "boxes.json", "overlays/a.png", "masks/a-1.png", "fox/a.png", "fox/masks/b.png")
    left_out: list[Path] = []
    assert image_files(tmp_path, left_out) == [tmp_path / "fox/a.png", tmp_path / "fox/masks/b.png"]
    assert sorted(left_out) == [tmp_path / "masks", tmp_path / "overlays"]
    assert folders_in(tmp_path) == [tmp_path / "fox"]
    assert image_files(tmp_path / "overlays") == [tmp_path / "overlays/a.png"]


@pytest.mark.parametrize(
    "name",
    ["@eaDir", "$RECYCLE.BIN", "$Recycle.Bin", "lost+found", "System Volume Information", "__MACOSX", "#recycle"],
)
def test_folders_of_systems(tmp_path: Path, name: str):
    touch(tmp_path, f"{name}/a.png", f"fox/{name}/a.png", "fox/b.png", f"{name} and more/c.png")
    left_out: list[Path] = []
    assert {p.name for p in files_in(tmp_path, left_out)} == {"b.png", "c.png"}
    assert sorted(left_out) == sorted([tmp_path / name, tmp_path / "fox" / name])
    assert [p.name for p in folders_in(tmp_path)] == sorted([f"{name} and more", "fox"])
