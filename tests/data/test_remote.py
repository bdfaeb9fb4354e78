"""Files by their addresses: fetched, named, and refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from hclnet.data.remote import at_hand, beside, ending, folder_of, is_address, place


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("s3://bucket/a.jpg", True),
        ("https://example.org/a.jpg?x=1", True),
        ("file:///data/a.jpg", True),
        ("data/a.jpg", False),
        ("C:\\data\\a.jpg", False),
        ("c://data/a.jpg", False),
        (Path("s3://bucket/a.jpg"), False),
    ],
)
def test_what_is_an_address(name: str | Path, expected: bool):
    assert is_address(name) == expected
    assert isinstance(place(str(name)), str) == expected


@pytest.mark.parametrize(
    ("folder", "name", "expected"),
    [
        ("s3://bucket/lists", "a.jpg", "s3://bucket/lists/a.jpg"),
        ("s3://bucket/lists", "../photos/./a.jpg", "s3://bucket/photos/a.jpg"),
        ("s3://bucket", "more\\a.jpg", "s3://bucket/more/a.jpg"),
        ("file:///data/lists", "../a.jpg", "file:///data/a.jpg"),
        ("s3://bucket/lists", "gs://other/a.jpg", "gs://other/a.jpg"),
        ("s3://bucket/lists", "/data/a.jpg", Path("/data/a.jpg")),
        ("/data", "gs://other/a.jpg", "gs://other/a.jpg"),
    ],
)
def test_names_in_a_list(folder: str, name: str, expected: str | Path):
    assert beside(folder, name) == expected


def test_parts_of_an_address():
    address = "https://example.org/lists/all.parquet?version=1.2/3"
    assert ending(address) == ".parquet" and folder_of(address) == "https://example.org/lists"


def test_a_copy_is_there_for_a_while(tmp_path: Path):
    (tmp_path / "a.bin").write_bytes(bytes(3_000_000))
    fsspec.filesystem("memory").pipe("/bucket/a.bin", b"12345")
    with at_hand(tmp_path / "a.bin") as file:
        assert file == tmp_path / "a.bin"
    with at_hand((tmp_path / "a.bin").as_uri(), 3_000_000) as file:
        assert file != tmp_path / "a.bin" and file.suffix == ".bin" and file.stat().st_size == 3_000_000
    with at_hand("memory://bucket/a.bin") as file:
        assert file.read_bytes() == b"12345"
    assert not file.exists()
    with (
        pytest.raises(ValueError, match=r"^memory://bucket/a\.bin is no list$"),
        at_hand("memory://bucket/a.bin") as file,
    ):
        raise ValueError(f"{file} is no list")
    assert not file.exists()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("memory://bucket/gone.jpg", "memory://bucket/gone.jpg is not there, or can't be reached."),
        ("nix://bucket/a.jpg", "nix://bucket/a.jpg can't be read: Protocol not known: nix."),
        (
            "memory://bucket/long.jpg",
            "memory://bucket/long.jpg is longer than the 10 bytes that hclnet reads of a file.",
        ),
    ],
)
def test_what_cannot_be_fetched_is_said(address: str, message: str):
    fsspec.filesystem("memory").pipe("/bucket/long.jpg", bytes(11))
    with pytest.raises(ValueError) as error, at_hand(address, 10):
        pass
    assert str(error.value) == message
