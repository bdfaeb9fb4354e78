"""Names of pictures: each its own on every file system, and none too long."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from hclnet.formats.names import Names


def named(*wishes: str, taken: tuple[str, ...] = ()) -> list[str]:
    names = Names(taken)
    return [names.free(wish) for wish in wishes]


def test_names_are_kept_where_they_are_free():
    assert named("a", "b/a", "b.c/a.tar") == ["a", "b/a", "b.c/a.tar"]


def test_equal_names_get_a_number():
    assert named("a", "a", "a-2", "a") == ["a", "a-2", "a-2-2", "a-3"]
    assert named("a", "x/a", taken=("a", "A-2")) == ["a-3", "x/a"]


@pytest.mark.timeout(20)
def test_ten_thousand_of_one_name_take_no_time():
    names = named(*["IMG_1"] * 10_000)
    assert names[-1] == "IMG_1-10000" and len(set(names)) == 10_000


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "A"),
        ("Straße", "STRASSE"),
        (unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")),
        ("Sub/a", "sub/A"),
    ],
)
def test_what_a_mac_or_windows_takes_for_one_gets_a_number(one: str, other: str):
    assert named(one, other) == [one, f"{other}-2"]


@pytest.mark.parametrize("letter", ["m", "ü", "日", os.fsdecode(b"\xe9")])
def test_a_name_that_is_too_long_is_shortened_and_stays_its_own(tmp_path: Path, letter: str):
    long = letter * (251 // len(os.fsencode(letter)))
    names = named(long, long + "x", f"{long}/{long}", f"{long}/b")
    assert len(set(names)) == 4 and named(long) == names[:1]
    for name in names:
        file = tmp_path / f"{name}-1000.part.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def test_a_folder_called_like_a_picture_is_not_in_its_way():
    assert named("a", "a.jpg/b", "a.PNG/b.jpg") == ["a", "a.jpg_/b", "a.PNG_/b.jpg"]
