"""A folder of shards: of which images it is, and whether it can be gone on with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hclnet.data.listing import Entry, Listing, digest_of, stream_images, stream_manifest, write_listing
from hclnet.data.named import fixed_part
from hclnet.data.remote import at_hand, folder_of, is_address, local, without_query
from hclnet.formats.journal import FILE as JOURNAL
from hclnet.formats.journal import OtherResults, differences
from hclnet.formats.shards import HEADER, read_header, shard_files
from hclnet.storage import write_json
from hclnet_runtime.text import shown

_LIST, _NEW = "located-list.parquet", "located-list.new.parquet"
MISSING = "located-missing.parquet"
"""What Ray has to locate; there while it does."""
_OURS = frozenset({_LIST, _NEW, MISSING, HEADER, JOURNAL})


@dataclass(frozen=True, slots=True)
class Source:
    """Which images.

    Attributes:
        arguments: files, folders, globs.
        manifest: that names them instead; absolute, or an address.
        file: the manifest on this machine.
    """

    arguments: tuple[str, ...]
    manifest: str | None
    file: Path | None = None

    @classmethod
    def of(cls, arguments: tuple[str, ...], manifest: str | Path | None) -> Source:
        """Raises:
        ValueError: the manifest is a `file://` of another machine.
        """
        if manifest is not None and is_address(manifest):
            address = os.fspath(manifest)
            manifest = local(address)
            if manifest is None:
                return cls(arguments, address)
        if manifest is None:
            return cls(arguments, None)
        return cls(arguments, os.path.abspath(manifest), Path(manifest))  # noqa: PTH100, links are kept

    @contextmanager
    def at_hand(self) -> Iterator[Source]:
        """With the manifest on this machine.

        Raises:
            ValueError: it can't be fetched; or as the block does.
        """
        if self.manifest is None or self.file is not None:
            yield self
            return
        with at_hand(self.manifest) as file:
            yield replace(self, file=file)

    def check(self, out: Path) -> None:
        """Raises:
        ValueError: there are none, images are named in two ways, or results in `out` would replace the manifest.
        """
        if self.arguments and self.manifest is not None:
            raise ValueError("Images and a manifest exclude each other: name one of them.")
        if not self.arguments and self.manifest is None:
            raise ValueError("No image is named.")
        given = self.file
        own = out.resolve()
        if given and any(one.name in _OURS and one.parent.resolve() == own for one in (given, given.resolve())):
            raise ValueError(f"{shown(given)} has the name of a file of the results. Name another --out.")

    @property
    def _absolute(self) -> list[str]:
        return [
            one if is_address(one) else os.path.abspath(os.path.expanduser(one))  # noqa: PTH100, PTH111
            for one in self.arguments
        ]

    def header(self) -> dict[str, Any]:
        """What tells these images from others."""
        if self.file is not None:
            return {"manifest": without_query(self.manifest or ""), "sha256": digest_of(self.file)}
        return {"arguments": self._absolute}

    def root(self) -> str | None:
        """The folder that names in files for other tools are relative to."""
        if self.manifest is not None:
            return str(self._home)
        if any(map(is_address, self.arguments)):
            return None
        with suppress(ValueError):
            fixed = [fixed_part(Path(one)) for one in self._absolute]
            return os.path.commonpath([p.parent if p.is_file() else p for p in fixed])
        return None

    def entries(self, notes: list[str]) -> Iterator[Entry]:
        if self.file is None:
            return stream_images(self.arguments, notes)
        return stream_manifest(self.file, self._home)

    @property
    def _home(self) -> str | Path:
        """The folder of the manifest."""
        given = self.manifest or ""
        return folder_of(given) if is_address(given) else Path(given).parent


def check_folder(out: Path, header: dict[str, Any], overwrite: bool) -> bool:
    """Whether the folder has results of another request, which are to be dropped.

    Raises:
        OtherResults: it has others.
    """
    before = read_header(out / HEADER)
    if before is None:
        if (out / JOURNAL).exists():
            raise OtherResults(
                f"{shown(out)} has results that were located without --shard-size. Name another folder with --out."
            )
        if shard_files(out):
            raise OtherResults(
                f"{shown(out / 'shards')} has files and no {HEADER} beside it. Name another folder with --out."
            )
        return False
    unlike = differences(before, header)
    for key in ("images", "shard_size"):
        if before.get(key) != header[key]:
            unlike.append("other images" if key == "images" else f"shard_size {before.get(key)}, not {header[key]}")
    if not unlike:
        return False
    if not overwrite:
        raise OtherResults(
            f"{shown(out)} has results of {'; '.join(unlike)}. Name another folder with --out, or delete them with "
            "--overwrite."
        )
    return True


def open_listing(out: Path, source: Source, header: dict[str, Any], stale: bool) -> tuple[Listing, list[str]]:
    """The list of images, made now or by an earlier call, and what could not be read now.

    Args:
        out: the folder.
        source: which images.
        header: of the request.
        stale: whether the folder has results of another one. They are dropped once the new list is there.

    Raises:
        ValueError: there is no image, or the list can't be read.
        Unwritable: it can't be written.
    """
    notes: list[str] = []
    if stale or not (out / HEADER).exists():
        if not write_listing(out / _NEW, source.entries(notes), header["shard_size"]):
            (out / _NEW).unlink()
            raise ValueError(notes[0] if notes else "No image is named.")
        for file in (*shard_files(out), out / JOURNAL, out / HEADER) if stale else ():  # the last names what is left
            file.unlink(missing_ok=True)
        (out / _NEW).replace(out / _LIST)
        write_json(out / HEADER, header, indent=1)
    return Listing(out / _LIST), notes
