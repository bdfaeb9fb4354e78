"""A folder of shards: of which images it is, and whether it can be gone on with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hclnet.data.listing import Entry, Listing, digest_of, stream_images, stream_manifest, write_listing
from hclnet.formats.journal import FILE as JOURNAL
from hclnet.formats.journal import OtherResults, differences
from hclnet.formats.shards import HEADER, read_header, shard_files
from hclnet.storage import write_json
from hclnet_runtime.text import shown

_LIST = "located-list.parquet"


@dataclass(frozen=True, slots=True)
class Source:
    """Which images.

    Attributes:
        arguments: files, folders, globs.
        manifest: that names them instead.
    """

    arguments: tuple[str, ...]
    manifest: Path | None

    def check(self) -> None:
        """Raises:
        ValueError: there are none, or images are named in two ways.
        """
        if self.arguments and self.manifest is not None:
            raise ValueError("Images and a manifest exclude each other: name one of them.")
        if not self.arguments and self.manifest is None:
            raise ValueError("No image is named.")

    def header(self) -> dict[str, Any]:
        if self.manifest is not None:
            return {"manifest": os.path.abspath(self.manifest), "sha256": digest_of(self.manifest)}  # noqa: PTH100
        return {"arguments": [os.path.abspath(os.path.expanduser(one)) for one in self.arguments]}  # noqa: PTH100, PTH111

    def root(self) -> str | None:
        """The folder that names in files for other tools are relative to."""
        if self.manifest is not None:
            return os.path.dirname(os.path.abspath(self.manifest))  # noqa: PTH100, PTH120
        with suppress(ValueError):
            paths = [os.path.abspath(os.path.expanduser(one)) for one in self.arguments]  # noqa: PTH100, PTH111
            return os.path.commonpath([p if os.path.isdir(p) else os.path.dirname(p) for p in paths])  # noqa: PTH112, PTH120
        return None

    def entries(self, out: Path, notes: list[str]) -> Iterator[Entry]:
        return stream_images(self.arguments, notes, out) if self.manifest is None else stream_manifest(self.manifest)


def check_folder(out: Path, header: dict[str, Any], overwrite: bool) -> None:
    """Find out whether the folder is empty or has results of the same request.

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
        return
    unlike = differences(before, header)
    for key in ("images", "shard_size"):
        if before.get(key) != header[key]:
            unlike.append("other images" if key == "images" else f"shard_size {before.get(key)}, not {header[key]}")
    if not unlike:
        return
    if not overwrite:
        raise OtherResults(
            f"{shown(out)} has results of {'; '.join(unlike)}. Name another folder with --out, or delete them with "
            "--overwrite."
        )
    for file in (*shard_files(out), out / JOURNAL, out / _LIST, out / HEADER):  # its name last: what is left has one
        file.unlink(missing_ok=True)


def open_listing(out: Path, source: Source, header: dict[str, Any]) -> tuple[Listing, list[str]]:
    """The list of images, made now or by an earlier call, and what could not be read now."""
    notes: list[str] = []
    if not (out / HEADER).exists():
        if not write_listing(out / _LIST, source.entries(out, notes), header["shard_size"]):
            (out / _LIST).unlink()
            raise ValueError(notes[0] if notes else "No image is named.")
        write_json(out / HEADER, header, indent=1)
    return Listing(out / _LIST), notes
