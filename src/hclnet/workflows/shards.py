"""Any number of images in, shards of boxes out: Parquet files of some thousands of images each.

What is on the disk at every moment, in the folder of results:

- `located-list.parquet`, the list of all images, written once, before the first is located;
- `located-shards.json`, what the shards have in common: model, settings, classes, which images;
- `shards/000000.parquet` and so on: finished shards, never opened again;
- `located.jsonl`, the journal of the shard in the making: a line for each of its images.

A shard is written under another name, synced, and renamed; only then its journal goes. So whatever stops the work, the
same call goes on at the first image that has no line. Memory does not grow with the number of images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import torch

from hclnet.config import InferenceSettings
from hclnet.data.listing import Entry, Listing
from hclnet.formats.journal import FILE as JOURNAL
from hclnet.formats.journal import FORMAT as JOURNAL_FORMAT
from hclnet.formats.journal import Journal, opened, read_journal
from hclnet.formats.rows import row_of
from hclnet.formats.shards import FORMAT, counts, read_rows, shard_file, shard_files, write_shard
from hclnet.formats.table import check_parquet
from hclnet.progress import bar
from hclnet.randomness import random_states_kept
from hclnet.stopping import Stopping
from hclnet.storage import check_writable, clear_parts, locked
from hclnet.types import Log
from hclnet.workflows.asked import Asked, Attempt, ask
from hclnet.workflows.shard_folder import Source, check_folder, open_listing
from hclnet_runtime.request import as_arguments, as_count
from hclnet_runtime.text import shown

SHARD_SIZE = 10_000
"""Images of a shard by default."""

_LARGEST = 1_000_000  # all lines of a shard are in memory


@dataclass(frozen=True, slots=True)
class Shards:
    """What `locate_shards` left.

    Attributes:
        folder: of the results.
        images: how many there are.
        left_out: how many of them could not be located; their rows say why.
        already: how many of the located ones were located by an earlier call.
        notes: what of the arguments could not be read, when the list was made.
    """

    folder: Path
    images: int
    left_out: int
    already: int
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        """The shards, in order."""
        return shard_files(self.folder)


@random_states_kept()
def locate_shards(
    images: str | Path | Sequence[str | Path] = (),
    model: str | Path | None = None,
    out: str | Path = "located",
    *,
    manifest: str | Path | None = None,
    shard_size: int = SHARD_SIZE,
    top: int = 1,
    device: str | torch.device = "auto",
    log: Log | None = None,
    max_objects: int = 1,
    classes: Iterable[str] | None = None,
    class_text: str | None = None,
    retry: bool = False,
    overwrite: bool = False,
    classifier: str | None = None,
    weights: str | Path | None = None,
    classes_file: str | Path | None = None,
    learn_from: str | Path | None = None,
    size: int | None = None,
    **inference: Unpack[InferenceSettings],
) -> Shards:
    """Box any number of images, and write the boxes into shards; see `hclnet.formats.shards` for their columns.

    The images are listed once. The same call later goes on with that list; finished shards are skipped.

    Args:
        images: files, folders, globs; a file that is named twice is located twice.
        model: as of `locate_files`, and so are the arguments that are not listed here.
        out: the folder of results.
        manifest: in place of `images`, a table that names them: Parquet or CSV with a column `path`, or a text file
            with a name in each line. Relative names are relative to its folder.
        shard_size: images of a shard.
        retry: locate once more what was left out of finished shards, such as the images of a drive that was away.
        overwrite: drop what another model, other settings or other images have left in `out`, in place of refusing.

    Raises:
        ValueError: nothing to box, or a setting that does not exist; results of another model, of other settings or
            images are in `out`; another process works there; or it can't be written.
        Unwritable: there is no room left. What was located is in the shards and in the journal.
    """
    check_parquet()
    top, max_objects = as_count("top", top), as_count("max_objects", max_objects)
    shard_size, out = as_count("shard_size", shard_size), Path(out)
    if shard_size > _LARGEST:
        raise ValueError(f"shard_size={shard_size}: a shard has at most {_LARGEST:,} images. Name fewer.")
    source = Source(
        tuple(map(str, as_arguments(images) if images else ())), None if manifest is None else Path(manifest)
    )
    source.check(out)
    of_images = source.header()
    asked = ask(
        model,
        device,
        top=top,
        max_objects=max_objects,
        classes=classes,
        class_text=class_text,
        classifier=classifier,
        weights=weights,
        classes_file=classes_file,
        learn_from=learn_from,
        size=size,
        **inference,
    )
    check_writable(out / "shards")
    if learn_from is not None:
        asked.learn_from(learn_from, log)
    header = {**asked.header(FORMAT), "images": of_images, "shard_size": shard_size, "image_root": source.root()}
    with locked(out, "locating"), Stopping() as stop:
        for folder in (out, out / "shards"):
            clear_parts(folder)
        listing, notes = open_listing(out, source, header, check_folder(out, header, overwrite))
        if log:
            for note in notes:
                log(f"Left out: {note}")
        done: list[_Counts] = []
        try:
            with bar("Locating") as report:
                for number in range(listing.groups):
                    work = _Shard(out, number, number * shard_size, asked, header, retry)
                    done.append(work.go(listing, stop, report))
                    if log and not done[-1].finished:
                        log(f"{shown(shard_file(out, number))}: {done[-1].said}")
        except BaseException:  # also Ctrl-C and SIGTERM, and where the disk is full: nothing that was computed is lost
            if log:
                log(f"Stopped with {len(done):,} of {listing.groups:,} shards finished. The same command goes on.")
            raise
        (out / JOURNAL).unlink(missing_ok=True)  # a finished shard's, where its process was killed before it went
    left_out, before = sum(one.left_out for one in done), sum(one.before for one in done)
    return Shards(out, listing.count, left_out, before, tuple(notes))


class _Counts(NamedTuple):
    """Of a shard: its images; how many of them are left out; how many were located by an earlier call; whether all
    were; and why the first of those left out is."""

    images: int
    left_out: int
    before: int
    finished: bool
    reason: str = ""

    @property
    def said(self) -> str:
        """For a person."""
        such_as = f", the first of them: {self.reason}" if self.reason else ""
        return f"{self.images:,} images, {self.left_out:,} left out{such_as}"


@dataclass(slots=True)
class _Shard:
    """One shard: skipped where it is finished, gone on with where it was begun."""

    out: Path
    number: int
    first: int
    asked: Asked
    header: dict[str, Any]
    retry: bool

    def go(self, listing: Listing, stop: Stopping, report: Callable[[int, int], object]) -> _Counts:
        """Locate what is missing, and write it."""
        file = shard_file(self.out, self.number)
        if file.exists():
            images, left_out = counts(file)
            if not (self.retry and left_out):
                report(self.first + images, listing.count)
                return _Counts(images, left_out, images - left_out, True)
        entries = listing.group(self.number)
        _drop_journal_of_others(self.out, self.number)
        with opened(self.out, {**self.header, "format": JOURNAL_FORMAT, "shard": self.number}) as journal:
            if file.exists() and not journal.rows:
                for entry, row in zip(entries, read_rows([file], self.header), strict=True):
                    journal.add({**row, "path": str(entry.file)})
            missing = [one.file for one in entries if not _is_located(journal, one)]
            before = len(entries) - len(missing)
            with closing(self.asked.located(map(Attempt, missing))) as located:
                for number, one in enumerate(located, self.first + before + 1):
                    with stop.held():
                        journal.add(_row(one))
                    report(number, listing.count)
            rows = [journal.rows[str(one.file)] for one in entries]
            with stop.held():
                write_shard(file, self.first, entries, rows, self.header)
        (self.out / JOURNAL).unlink(missing_ok=True)
        reasons = [row["left_out"] for row in rows if "left_out" in row]
        return _Counts(len(rows), len(reasons), before, False, reasons[0] if reasons else "")


def _drop_journal_of_others(out: Path, number: int) -> None:
    """A journal that is cut off in its header, or of another shard: one that is finished, or was begun before this one
    was deleted."""
    there, _, _ = read_journal(out / JOURNAL)
    if there is None or there.get("shard") != number:
        (out / JOURNAL).unlink(missing_ok=True)


def _row(one: Attempt) -> dict[str, Any]:
    """Its line in the journal."""
    if one.found is None:
        return {"path": str(one.path), "left_out": one.left_out}
    return {**row_of(one.found, False), "path": str(one.path)}


def _is_located(journal: Journal, entry: Entry) -> bool:
    row = journal.rows.get(str(entry.file))
    return row is not None and "left_out" not in row
