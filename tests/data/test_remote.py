"""Files by their addresses: fetched, named, and refused with a sentence."""

from __future__ import annotations

import errno
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from hclnet.data.remote import SCHEMES, at_hand, beside, ending, folder_of, is_address, local, place
from hclnet.storage import Unwritable
from hclnet.workflows.asked import Attempt


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
    key = "s3://bucket/what?/a?.jpg"
    assert ending(key) == ".jpg" and folder_of(key) == "s3://bucket/what?"
    assert ending("s3://bucket/a.jpg?versionId=x/y.z") == ".jpg"


def test_a_copy_is_there_for_a_while(tmp_path: Path):
    (tmp_path / "a.bin").write_bytes(bytes(3_000_000))
    fsspec.filesystem("memory").pipe("/bucket/a.bin", b"12345")
    with at_hand(tmp_path / "a.bin") as file:
        assert file == tmp_path / "a.bin"
    with at_hand((tmp_path / "a.bin").as_uri(), 3_000_000) as file:
        assert file == tmp_path / "a.bin"
    with at_hand("memory://bucket/a.bin") as file:
        assert file.read_bytes() == b"12345" and file.suffix == ".bin"
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
        (
            "nix://bucket/a.jpg",
            f"nix://bucket/a.jpg can't be read: nix:// is none of what hclnet fetches from: {', '.join(SCHEMES)}.",
        ),
        (
            "file://server/a.jpg",
            "file://server/a.jpg names no file of this machine. Write three slashes: file:///folder/a.jpg.",
        ),
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


@pytest.mark.parametrize(
    "chain",
    [
        "reference://a.jpg::{}",
        "reference://{}",
        "simplecache::{}",
        "simplecache://a::{}",
        "filecache://{}",
        "dir://a.jpg::{}",
        "zip://a.jpg::{}",
        "github://owner:name@main/a.jpg",
        "git://a.jpg",
        "memory://a.jpg::{}",
    ],
)
@pytest.mark.parametrize("where", ["file", "memory"])
def test_an_address_never_makes_another_one_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chain: str, where: str
):
    ran = tmp_path / "ran"
    code = f"{{{{ cycler.__init__.__globals__.os.system('touch {ran}') }}}}"
    table = json.dumps({"version": 1, "templates": {"u": code}, "refs": {"a.jpg": ["{{u}}"]}}).encode()
    (tmp_path / "e.json").write_bytes(table)
    fsspec.filesystem("memory").pipe("/bucket/e.json", table)
    opened: list[str] = []
    for kind in (LocalFileSystem, MemoryFileSystem):
        for name in ("_open", "cat_file"):
            before = getattr(kind, name)

            def noted(self: object, path: str, *rest: object, before: Callable[..., object] = before, **more: object):
                opened.append(path)
                return before(self, path, *rest, **more)

            monkeypatch.setattr(kind, name, noted)
    table_at = (tmp_path / "e.json").as_uri() if where == "file" else "memory://bucket/e.json"
    with pytest.raises((ValueError, OSError)), at_hand(chain.format(table_at)) as file:
        file.read_bytes()
    assert not ran.exists() and not any(path.endswith("/e.json") and "::" not in path for path in opened)


def test_paths_as_addresses(tmp_path: Path):
    for name in ("a b.jpg", "\u00e4%41?#.jpg", "a::b.jpg"):
        (tmp_path / name).write_bytes(b"1")
        with at_hand((tmp_path / name).as_uri()) as file:
            assert file == tmp_path / name and file.read_bytes() == b"1"
    assert local(f"FILE://localhost{tmp_path.as_uri().removeprefix('file://')}") == tmp_path
    assert local("s3://bucket/a.jpg") is None
    fsspec.filesystem("memory").pipe("/bucket/A?b.jpg", b"12")
    with at_hand("Memory://bucket/A?b.jpg") as file:
        assert file.read_bytes() == b"12"


class _Full(MemoryFileSystem):
    """A storage whose own disk is full."""

    def _open(self, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("at", ["mkdtemp", "write"])
def test_no_room_for_what_is_fetched_is_no_fault_of_the_image(monkeypatch: pytest.MonkeyPatch, at: str):
    fsspec.filesystem("memory").pipe("/bucket/a.jpg", b"12345")
    full = OSError(errno.ENOSPC, "No space left on device")

    def fails(*_: object, **__: object) -> None:
        raise full

    monkeypatch.setattr(tempfile, "mkdtemp", fails) if at == "mkdtemp" else monkeypatch.setattr(Path, "open", fails)
    attempt = Attempt("memory://bucket/a.jpg")
    with pytest.raises(Unwritable, match=r"can't be written: its disk is full"), attempt.kept(), at_hand(attempt.path):
        pass
    assert attempt.left_out is None


def test_a_storage_without_room_of_its_own_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fsspec.get_filesystem_class", lambda scheme: _Full)
    attempt = Attempt("s3://bucket/a.jpg")
    with attempt.kept(), at_hand(attempt.path):
        pass
    assert attempt.left_out == "s3://bucket/a.jpg can't be read: [Errno 28] No space left on device."


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("Denied.\nTraceback\n..."), "Denied"),
        (AttributeError("'NoneType' object has no attribute 'x'"), "the package for this kind of storage fails at it"),
        (KeyError("x"), "the package for this kind of storage fails at it"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_errors_of_a_storage_in_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str):
    def fails(scheme: str) -> None:
        raise error

    monkeypatch.setattr("fsspec.get_filesystem_class", fails)
    with pytest.raises(ValueError) as said, at_hand("s3://bucket/a.jpg"):
        pass
    assert str(said.value) == f"s3://bucket/a.jpg can't be read: {message}."


def test_errors_of_any_kind_name_the_address():
    class Odd(ValueError):
        def __init__(self, message: str, number: int) -> None:
            super().__init__(message, number)

    fsspec.filesystem("memory").pipe("/bucket/a.bin", b"12345")
    with pytest.raises(Odd) as error, at_hand("memory://bucket/a.bin") as file:
        raise Odd(f"{file} is odd", 3)
    assert error.value.args == ("memory://bucket/a.bin is odd", 3)
