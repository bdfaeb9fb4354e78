"""What a run folder says of its images.

`data.csv` has each image with its split and the digest of its file, `skipped.csv` those that were left out, and
`data.json` where they were, their classes in order and the fingerprint of each split.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from sys import intern
from typing import Any

import numpy as np

from hclnet.data import folder, openimages
from hclnet.data.classes import with_classes
from hclnet.data.files import shown
from hclnet.data.identity import ground_truth_of, images_of
from hclnet.documents import parse_json
from hclnet.storage import whole, write_json
from hclnet.types import DataSet, Sample, Skipped
from hclnet_runtime.text import as_clause

_LOCALIZER = "localizer.json"
_HEADER = ("id", "class", "split", "sha256")
_ALWAYS = _HEADER[:3]  # of before there were digests too, and of what was skipped


class Table:
    """The rows of a CSV file, which are read anew each time that they are gone through: there may be a million.

    A file that is not there has none. One that is damaged is a `ValueError`, as soon as a row is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[dict[str, str]]:
        try:
            with self._path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
                rows = csv.DictReader(file)
                for row in rows:
                    if missing := [name for name in _ALWAYS if row.get(name) is None]:
                        raise self._damaged(f"line {rows.line_num} has no {missing[0]}")
                    yield row
        except FileNotFoundError:
            return
        except csv.Error as error:
            raise self._damaged(as_clause(error)) from None

    def _damaged(self, reason: str) -> ValueError:
        return ValueError(f"{shown(self._path)} is damaged: {reason}. Bring it back as hclnet wrote it.")

    def __bool__(self) -> bool:
        return next(iter(self), None) is not None


def record_splits(dataset: DataSet, out: Path, keep: bool = False) -> None:
    """Write down which image is in which split, and which were skipped and why, if any.

    Args:
        dataset: whose images were looked at.
        out: the folder.
        keep: what is written down already stays, also of images that have gone since; what has come is added.
    """
    _write(out / "data.csv", _HEADER, _with_recorded(dataset, out) if keep else _rows(dataset, dataset.samples))
    if dataset.skipped:
        record_skipped(dataset, out)
    if not (keep and (out / "data.json").is_file()):
        write_json(out / "data.json", _about(dataset), indent=2)


def _rows(dataset: DataSet, samples: Iterable[Sample]) -> Iterator[Sequence[str]]:
    """Rows of `data.csv`."""
    return ((*_row(dataset, sample), sample.sha256) for sample in samples)


def _with_recorded(dataset: DataSet, out: Path) -> Iterator[Sequence[str]]:
    """The rows that are written down already, and after them those of the other images."""
    places = _places(dataset)
    for row in recorded(out):
        place = places.pop(row["id"], None)
        now = "" if place is None else dataset.samples[place].sha256
        yield row["id"], row["class"], row["split"], row.get("sha256") or now
    yield from _rows(dataset, (dataset.samples[place] for place in places.values()))


def _places(dataset: DataSet) -> dict[str, int]:
    """Where a sample is, by its id."""
    return {name: place for place, name in enumerate(dataset.columns.ids)}


def record_skipped(dataset: DataSet, out: Path) -> None:
    """Write down which images were skipped and why; without any, no file is left."""
    if not dataset.skipped:
        (out / "skipped.csv").unlink(missing_ok=True)
        return
    rows = ((*_row(dataset, s.sample), str(s.sample.path), s.reason) for s in dataset.skipped)
    _write(out / "skipped.csv", ("id", "class", "split", "path", "reason"), rows)


def recorded(out: Path) -> Table:
    """The rows of `data.csv`: `id`, `class`, `split`, `sha256`; none where nothing is written down.

    Folders of before there were digests have none.
    """
    return Table(out / "data.csv")


def recorded_skips(out: Path) -> Table:
    """The rows of `skipped.csv`: `id`, `class`, `split`, `path`, `reason`; none where there is none."""
    return Table(out / "skipped.csv")


def recorded_classes(out: Path) -> tuple[str, ...]:
    """The classes in the order that a run or a comparison has them in; none where nothing says so."""
    of_runs = sorted(out.glob(f"runs/*/localizer/{_LOCALIZER}"))
    for file in (out / "data.json", out / "localizer" / _LOCALIZER, *of_runs):
        if classes := read_json(file).get("classes"):
            return tuple(classes)
    return ()


def record_ground_truth(dataset: DataSet, out: Path) -> None:
    """Add to what a folder says of its images which boxes and masks they had, once it is to be scored by them."""
    about = read_json(out / "data.json")
    for name, split in about.get("splits", {}).items():
        split.setdefault("truth", ground_truth_of(dataset, name))
    if about:
        write_json(out / "data.json", about, indent=2)


def is_recorded(dataset: DataSet, out: Path, split: str) -> bool | None:
    """Whether a split has the images that a folder wrote down, and the boxes and masks; None if it wrote down none."""
    before = read_json(out / "data.json").get("splits", {}).get(split)
    if before is None:
        return None
    same = before["images_fingerprint"] == images_of(dataset, split)
    return same and before.get("truth") in (None, ground_truth_of(dataset, split))


def with_recorded_splits(dataset: DataSet, out: Path) -> DataSet:
    """The same images in the splits that are written down in a folder, so that files which came since leak nothing; and
    the classes in the order that was begun with, which older versions took from the names as text.

    Where nothing is written down, the data set as it is.

    Raises:
        ValueError: what is written down is of other classes, hence of another data set.
    """
    rows = recorded(out)
    if not rows:
        return dataset
    labels = {*np.unique(dataset.columns.labels).tolist(), *(one.sample.label for one in dataset.skipped)}
    if changed := {row["class"] for row in rows} ^ {dataset.classes[label] for label in labels}:
        names = ", ".join(map(shown, sorted(changed)[:5]))
        raise ValueError(
            f"{out} was begun on other data: {names} is a class either there or in {dataset.root}, not in both. "
            f"Name another folder with --out, or restore the data."
        )
    dataset = with_classes(dataset, _order(dataset, rows, out))
    return in_recorded_splits(dataset, out)


def in_recorded_splits(dataset: DataSet, out: Path) -> DataSet:
    """The same images in the splits that are written down in a folder, whatever their classes."""
    rows = chain(recorded(out), recorded_skips(out))
    known = {row["id"]: intern(row["split"]) for row in rows}  # a million rows hold a few texts
    return replace(dataset, samples=dataset.columns.with_splits(known.get(s.id, s.split) for s in dataset.samples))


def _order(dataset: DataSet, rows: Table, out: Path) -> Sequence[str]:
    """The classes in the order that a training in a folder was begun with."""
    known = recorded_classes(out)
    if not known and dataset.kind in (folder.KIND, openimages.KIND):
        # A run of before that has not come to its first localizer. Readers of folders list class by class.
        training = dict.fromkeys(row["class"] for row in rows if row["split"] == "train")
        known = tuple(training or dict.fromkeys(row["class"] for row in rows))
    return known if set(known) == set(dataset.classes) else dataset.classes


def without_recorded_skips(dataset: DataSet, out: Path) -> DataSet:
    """Without the images that a run skipped, whole or not by now: what goes on, goes on with the same images."""
    reasons = {row["id"]: row["reason"] for row in recorded_skips(out)}
    skipped = tuple(Skipped(s, reasons[s.id]) for s in dataset.samples if s.id in reasons)
    remaining = dataset.columns.select(np.array([name not in reasons for name in dataset.columns.ids], bool))
    return replace(dataset, samples=remaining, skipped=(*dataset.skipped, *skipped))


@dataclass(frozen=True, slots=True)
class Change:
    """What became of the images of a split since they were written down.

    Attributes:
        gone: rows of those that are not there any more.
        changed: ids of those whose file or class is another.
        come: ids of those that were not there.
        expected: how many were written down, skipped ones among them.
    """

    gone: tuple[dict[str, str], ...]
    changed: tuple[str, ...]
    come: tuple[str, ...]
    expected: int

    def __bool__(self) -> bool:
        return bool(self.gone or self.changed or self.come)


def change_since(dataset: DataSet, out: Path, split: str) -> Change:
    """What became of the images of a split since a folder wrote them down.

    Args:
        dataset: in the splits that are written down; digests are compared as far as both sides have them.
        out: the folder.
        split: that is asked for.
    """
    columns, places = dataset.columns, _places(dataset)
    alike = _alike(dataset, places)
    left_out = {one.sample.id: one.sample for one in dataset.skipped}
    skipped = {row["id"] for row in recorded_skips(out) if row["split"] == split}
    known = np.zeros(len(columns), bool)
    expected, changed, gone = len(skipped), [], []
    any_written = False
    for row in recorded(out):
        if row["split"] != split:
            continue
        any_written = True
        expected += row["id"] not in skipped
        place = places.get(row["id"])
        if place is not None:
            known[place] = True
        sample = left_out.get(row["id"]) if place is None else columns[place]
        before = row.get("sha256")
        if sample is None:
            gone.append(row)
        elif dataset.classes[sample.label] != row["class"] or (
            before and alike.get(sample.id, {sample.sha256}).isdisjoint(("", before))
        ):
            changed.append(row["id"])
    here = columns.select(columns.in_split(split)).ids if any_written else ()
    come = tuple(name for name in here if not known[places[name]] and name not in skipped)
    return Change(tuple(gone), tuple(changed), come, expected)


def _alike(dataset: DataSet, places: dict[str, int]) -> dict[str, set[str]]:
    """The digests of images that share an id, by that. `hclnet.read` refuses those; in a data set made by hand they
    may be.
    """
    found: dict[str, set[str]] = {}
    if len(places) < len(dataset.samples):
        counts = Counter(dataset.columns.ids)
        for sample in dataset.samples:
            if counts[sample.id] > 1:
                found.setdefault(sample.id, set()).add(sample.sha256)
    return found


def read_json(file: Path) -> dict[str, Any]:
    """What is in a file of JSON; nothing if it is not there or is something else."""
    try:
        content = parse_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _about(dataset: DataSet) -> dict[str, Any]:
    splits = {k: {"images": n, "images_fingerprint": images_of(dataset, k)} for k, n in dataset.counts().items()}
    root = os.path.abspath(dataset.root)  # noqa: PTH100, links stay as they are
    return {"root": root, "kind": dataset.kind, "classes": list(dataset.classes), "splits": splits}


def _row(dataset: DataSet, sample: Sample) -> tuple[str, str, str]:
    return sample.id, dataset.classes[sample.label], sample.split


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with whole(path) as part, part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
