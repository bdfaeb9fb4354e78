"""Any number of images in, shards of boxes out: Parquet files of some thousands of images each.

What is on the disk at every moment, in the folder of results:

- `located-list.parquet`, the list of all images, written once, before the first is located;
- `located-shards.json`, what the shards have in common: model, settings, classes, which images;
- `shards/000000.parquet` and so on: finished shards, never opened again;
- `located.jsonl`, the journal of the shard in the making: a line for each of its images.

A shard is written under another name, synced, and renamed; only then its journal goes. So whatever stops the work, the
same call goes on at the first image that has no line. Memory does not grow with the number of images.

With Ray (`workflows/on_ray.py`) other processes locate, also on other machines; what is on the disk, is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import torch

from hclnet.config import InferenceSettings
from hclnet.data.listing import Entry, Listing
from hclnet.data.remote import as_folder
from hclnet.formats.journal import FILE as JOURNAL
from hclnet.formats.journal import FORMAT as JOURNAL_FORMAT
from hclnet.formats.journal import opened, read_journal
from hclnet.formats.shards import FORMAT, counts, read_rows, shard_file, shard_files, write_shard
from hclnet.formats.table import check_parquet
from hclnet.progress import bar
from hclnet.randomness import random_states_kept
from hclnet.stopping import Stopping
from hclnet.storage import check_writable, clear_parts, locked
from hclnet.types import Log
from hclnet.workflows.asked import ask
from hclnet.workflows.on_ray import Rows, rows_by_ray
from hclnet.workflows.ray_cluster import check_ray
from hclnet.workflows.shard_folder import MISSING, Source, check_folder, open_listing
from hclnet_runtime.data.reading import SECONDS
from hclnet_runtime.request import as_arguments, as_count
from hclnet_runtime.text import shown

SHARD_SIZE = 10_000
"""Images of a shard by default."""

ENGINES = ("local", "ray")
"""What locates: this process, or actors of Ray's."""

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
    engine: str = "local",
    workers: int | None = None,
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
    seconds_per_image: float = SECONDS,
    **inference: Unpack[InferenceSettings],
) -> Shards:
    """Box any number of images, and write the boxes into shards; see `hclnet.formats.shards` for their columns.

    The images are listed once. The same call later goes on with that list; finished shards are skipped.

    Args:
        images: files, folders, globs, and addresses of files elsewhere, such as `s3://bucket/a.jpg`, which fsspec
            reads; a file that is named twice is located twice.
        model: as of `locate_files`, and so are the arguments that are not listed here.
        out: the folder of results, on this machine.
        manifest: in place of `images`, a table that names them: Parquet or CSV with a column `path`, or a text file
            with a name in each line. Relative names are relative to its folder. It may be an address too, and so may
            what it names.
        shard_size: images of a shard.
        engine: `local`, in this process; or `ray`, by actors of Ray Data on this machine or on the cluster that
            `RAY_ADDRESS` names. Both write the same shards, and either goes on with what the other has begun.
        workers: how many actors; by default one for each card, or for each processor where there is no card.
        retry: locate once more what was left out of finished shards, such as the images of a drive that was away.
        overwrite: drop what another model, other settings or other images have left in `out`, in place of refusing.

    Raises:
        ValueError: nothing to box, or a setting that does not exist; results of another model, of other settings or
            images are in `out`; another process works there; or it can't be written.
        Unwritable: there is no room left. What was located is in the shards and in the journal.
    """
    check_parquet()
    top, max_objects = as_count("top", top), as_count("max_objects", max_objects)
    shard_size, out = as_count("shard_size", shard_size), as_folder(out)
    if shard_size > _LARGEST:
        raise ValueError(f"shard_size={shard_size}: a shard has at most {_LARGEST:,} images. Name fewer.")
    if engine not in ENGINES:
        raise ValueError(f"engine={engine!r}: there are {' and '.join(ENGINES)}.")
    if engine == "ray":
        check_ray(str(device))
    elif workers is not None:
        raise ValueError("--workers belongs to --engine ray, which is not given.")
    workers = None if workers is None else as_count("workers", workers)
    source = Source.of(tuple(map(str, as_arguments(images) if images else ())), manifest)
    source.check(out)
    asked = ask(
        model,
        device if engine == "local" else "cpu",  # here it is only asked what it is
        top=top,
        max_objects=max_objects,
        classes=classes,
        class_text=class_text,
        classifier=classifier,
        weights=weights,
        classes_file=classes_file,
        learn_from=learn_from,
        size=size,
        seconds_per_image=seconds_per_image,
        **inference,
    )
    check_writable(out / "shards")
    if learn_from is not None:
        asked.learn_from(learn_from, log)
    of_all = asked.header(FORMAT)
    with locked(out, "locating"), Stopping() as stop, ExitStack() as at_the_end:
        for folder in (out, out / "shards"):
            clear_parts(folder)
        with source.at_hand() as given:
            header = {**of_all, "images": given.header(), "shard_size": shard_size, "image_root": given.root()}
            listing, notes = open_listing(out, given, header, check_folder(out, header, overwrite))
        (out / MISSING).unlink(missing_ok=True)  # a killed process's
        if log:
            for note in notes:
                log(f"Left out: {note}")
        done: list[_Counts] = []
        order = _order(out, listing.groups, retry)
        try:
            located: Rows = asked.rows
            if engine == "ray":
                missing = _missing(out, listing, order, header, retry)
                by_ray = rows_by_ray(asked, of_all, missing, listing.count, out / MISSING, workers, str(device), log)
                located = at_the_end.enter_context(by_ray)
            with bar("Locating") as report:
                passed = 0
                for number in order:
                    work = _Shard(out, number, number * shard_size, passed, located, header, retry)
                    done.append(work.go(listing, stop, report))
                    passed += done[-1].images
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
    """One shard: skipped where it is finished, gone on with where it was begun.

    Attributes:
        out: the folder.
        number: of the shard.
        first: the place of its first image among all.
        passed: images of the shards that came before it in this call.
        located: what locates images.
        header: of the request.
        retry: locate once more what was left out.
    """

    out: Path
    number: int
    first: int
    passed: int
    located: Rows
    header: dict[str, Any]
    retry: bool

    def go(self, listing: Listing, stop: Stopping, report: Callable[[int, int], object]) -> _Counts:
        """Locate what is missing, and write it."""
        file = shard_file(self.out, self.number)
        if file.exists():
            images, left_out = counts(file)
            if not (self.retry and left_out):
                report(self.passed + images, listing.count)
                return _Counts(images, left_out, images - left_out, True)
        entries = listing.group(self.number)
        _drop_journal_of_others(self.out, self.number)
        with opened(self.out, {**self.header, "format": JOURNAL_FORMAT, "shard": self.number}) as journal:
            if file.exists() and not journal.rows:
                for entry, row in zip(entries, read_rows([file], self.header), strict=True):
                    journal.add({**row, "path": str(entry.file)})
            missing = [one.file for one in entries if not _is_located(journal.rows, one)]
            before = len(entries) - len(missing)
            with closing(self.located(missing)) as located:
                for number, row in enumerate(located, self.passed + before + 1):
                    with stop.held():
                        journal.add(row)
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


def _order(out: Path, groups: int, retry: bool) -> Sequence[int]:
    """The numbers of all shards as they are worked at. Where finished ones are opened again, the one with a journal is
    the first, since any other would drop its journal."""
    there = read_journal(out / JOURNAL)[0] if retry else None
    begun = there.get("shard") if there else None
    if not isinstance(begun, int) or begun not in range(groups):
        return range(groups)
    return [begun, *range(begun), *range(begun + 1, groups)]


def _missing(
    out: Path, listing: Listing, order: Sequence[int], header: dict[str, Any], retry: bool
) -> Iterator[Path | str]:
    """All files that `_Shard.go` will ask for, in its order."""
    there, begun, _ = read_journal(out / JOURNAL)
    for number in order:
        file, entries = shard_file(out, number), listing.group(number)
        if file.exists() and not (retry and counts(file)[1]):
            continue
        rows = begun if there is not None and there.get("shard") == number else {}
        there = None  # the first shard that is worked at drops the journal of another one
        if file.exists() and not rows:
            rows = {str(one.file): row for one, row in zip(entries, read_rows([file], header), strict=True)}
        yield from (one.file for one in entries if not _is_located(rows, one))


def _is_located(rows: dict[str, dict[str, Any]], entry: Entry) -> bool:
    row = rows.get(str(entry.file))
    return row is not None and "left_out" not in row
