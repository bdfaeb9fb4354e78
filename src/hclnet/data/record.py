"""What a run folder says of its images: `data.csv`, which is in which split, and `skipped.csv`, which were left out."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from hclnet.data import folder, openimages
from hclnet.data.classes import with_classes
from hclnet.data.files import shown
from hclnet.types import DataSet, Sample, Skipped


def record_splits(dataset: DataSet, out: Path) -> None:
    """Write down which image is in which split, and which were skipped and why, if any."""
    _write(out / "data.csv", ("id", "class", "split"), (_row(dataset, s) for s in dataset.samples))
    if dataset.skipped:
        record_skipped(dataset, out)


def record_skipped(dataset: DataSet, out: Path) -> None:
    """Write down which images were skipped and why."""
    rows = ((*_row(dataset, s.sample), str(s.sample.path), s.reason) for s in dataset.skipped)
    _write(out / "skipped.csv", ("id", "class", "split", "path", "reason"), rows)


def recorded(out: Path) -> list[dict[str, str]]:
    """The rows of `data.csv`: `id`, `class`, `split`; none where nothing is written down."""
    return _read(out / "data.csv")


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
    here = {dataset.classes[s.label] for s in (*dataset.samples, *(one.sample for one in dataset.skipped))}
    if changed := {row["class"] for row in rows} ^ here:
        names = ", ".join(map(shown, sorted(changed)[:5]))
        raise ValueError(
            f"{out} was begun on other data: {names} is a class either there or in {dataset.root}, not in both. "
            f"Name another folder with --out, or bring the data back as it was."
        )
    known = {row["id"]: row["split"] for row in rows}
    dataset = with_classes(dataset, _order(dataset, rows, out))
    return replace(dataset, samples=tuple(replace(s, split=known.get(s.id, s.split)) for s in dataset.samples))


def _order(dataset: DataSet, rows: Sequence[dict[str, str]], out: Path) -> Sequence[str]:
    """The classes in the order that a training in a folder was begun with."""
    try:
        known = json.loads((out / "localizer" / "localizer.json").read_text(encoding="utf-8"))["classes"]
    except (OSError, ValueError, KeyError, TypeError):
        # A run that has not come to its first localizer, or a comparison. Readers of folders list class by class.
        by_class = dataset.kind in (folder.KIND, openimages.KIND)
        listed = [row["class"] for row in rows if row["split"] == "train"] or [row["class"] for row in rows]
        known = list(dict.fromkeys(listed)) if by_class else dataset.classes
    return known if set(known) == set(dataset.classes) else dataset.classes


def without_recorded_skips(dataset: DataSet, out: Path) -> DataSet:
    """Without the images that a run skipped, whole or not by now: what goes on, goes on with the same images."""
    reasons = {row["id"]: row["reason"] for row in _read(out / "skipped.csv")}
    skipped = tuple(Skipped(s, reasons[s.id]) for s in dataset.samples if s.id in reasons)
    kept = tuple(s for s in dataset.samples if s.id not in reasons)
    return replace(dataset, samples=kept, skipped=(*dataset.skipped, *skipped))


def _row(dataset: DataSet, sample: Sample) -> tuple[str, str, str]:
    return sample.id, dataset.classes[sample.label], sample.split


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    part.replace(path)


def _read(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        return []
