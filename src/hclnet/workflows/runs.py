"""A run, and the data that it is scored on: which data that is, whether it is the run's own, and where results go.

Data is known by the bytes of its files (`hclnet.data.identity`). A run's own is what it was trained on, wherever that
lies by now; any other has a place of its own among the run's evaluations.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from sys import intern
from typing import Any

import numpy as np
import torch

from hclnet.config import RunConfig
from hclnet.data import as_one_split, as_trained, find_split, read
from hclnet.data.broken import counted
from hclnet.data.identity import fingerprint_of, short
from hclnet.data.record import (
    Change,
    change_since,
    in_recorded_splits,
    is_recorded,
    recorded,
    recorded_skips,
)
from hclnet.data.splits import ALL
from hclnet.hub.address import home_of
from hclnet.localizer.localizer import Localizer
from hclnet.metrics import PROTOCOLS
from hclnet.types import DataSet, Log, Sample, Skipped
from hclnet.workflows.datasets import as_dataset, check_images, in_classes_of, some
from hclnet_runtime.data.reading import SECONDS
from hclnet_runtime.text import shown


@dataclass(frozen=True, slots=True)
class Opened:
    """A run that is ready to be scored.

    Attributes:
        run: its folder; of a model on the hub, that for what is made with it.
        localizer: with the settings that were asked for.
        dataset: checked, with the run's classes in the run's order.
        split: of it, that is scored.
        cache: whether features are worth keeping.
        path: of the data, as it was given.
        own: whether these are the data that the run was trained on.
        fingerprint: of the split: its images and their ground truth.
        expected: how many images the split should have.
    """

    run: Path
    localizer: Localizer
    dataset: DataSet
    split: str
    cache: bool
    path: str
    own: bool
    fingerprint: str
    expected: int

    def home(self, protocol: str = "hclnet") -> Path:
        """Where an evaluation goes: other data than the run's own never to where its own went."""
        split = self.split + PROTOCOLS[protocol].suffix
        if self.own:
            return self.run / "evaluation" / split
        root = self.dataset.root.resolve()
        name = os.fsdecode(os.fsencode(root.stem if root.is_file() else root.name)[:100])
        return self.run / "evaluation" / f"{name}-{short(self.fingerprint)}" / split

    @property
    def about(self) -> dict[str, Any]:
        """Which data it was, for whatever is written about it."""
        return about_data(self.dataset, self.split, self.path, self.expected)


def about_data(dataset: DataSet, split: str, path: str | Path, expected: int) -> dict[str, Any]:
    """What a document says of the data that it is about.

    Args:
        dataset: that was checked.
        split: of it.
        path: as it was given.
        expected: how many images the split should have.
    """
    return {
        "path": str(path),
        "root": os.path.abspath(dataset.root),  # noqa: PTH100, links stay as they are
        "split": split,
        "fingerprint": fingerprint_of(dataset, split),
        "images_expected": expected,
        "images": len(dataset.split(split)),
    }


def open_run(
    run: str | Path,
    data: str | Path | DataSet | None,
    split: str,
    device: str | torch.device,
    on_bad_image: str | None,
    log: Log | None,
    as_classes: bool = False,
    ignore_unknown_classes: bool = False,
    **inference: Any,
) -> Opened:
    """A run's localizer with these settings, and the data set to score it on. Nothing in the run changes.

    Arguments and errors are those of `hclnet.localizer.evaluation`.
    """
    localizer = Localizer.load(run, device)
    name, run = run, home_of(run)
    if changes := {k: v for k, v in inference.items() if v is not None}:
        localizer = localizer.with_inference(**changes)
    localizer.check_sizes()
    config_file = run / "config.yaml"
    config = RunConfig.load(config_file) if config_file.exists() else None
    skip = _policy(on_bad_image or (config.on_bad_image if config else "fail")) == "skip"
    if data is not None:
        path = str(data.root if isinstance(data, DataSet) else data)
        dataset = as_dataset(data, config.seed if config else 0, as_classes)
        dataset = as_one_split(dataset) if split == ALL else dataset
    elif split == ALL:
        raise ValueError("--split all is for other data than the run's own. Name it with --data.")
    elif config and config.data:
        path, dataset = config.data, _own_data(config, run)
    else:
        raise ValueError(f"{name} does not say what it was trained on. Name a data set with --data.")
    if data is None or (split != ALL and _same_names(dataset, run)):
        dataset = in_recorded_splits(dataset, run)
    chosen = _split(dataset, run if data is None else None, split)
    if data is None:
        dataset = _without_gone(dataset, change_since(dataset, run, chosen), run, chosen, skip, log)
    dataset = in_classes_of(dataset, localizer.classes, chosen, ignore_unknown_classes, log)
    seconds = config.seconds_per_image if config else SECONDS
    dataset = check_images(dataset, "skip" if skip else "fail", log, chosen, seconds)
    asked = data is not None or chosen == "train"  # of its own test images `hclnet data check` names the copies
    if log and asked and (seen := _trained_on(dataset, run, chosen)):
        log(
            f"The run was trained on {len(seen)} of these {counted(len(dataset.split(chosen)), 'image')}, such as "
            f"{shown(seen[0])}: on new ones it is right less often."
        )
    change = change_since(dataset, run, chosen)
    found = fingerprint_of(dataset, chosen)
    if data is None:
        _told_of_own(dataset, change, chosen, log)
        own = True
    else:
        known = is_recorded(dataset, run, chosen)
        own = bool(change.expected) and not change if known is None else known
        if not own and config and log and dataset.root.resolve() == Path(config.data).resolve():
            log(f"These are other images or boxes than those of {run}: their metrics go to a place of their own.")
    skipped = sum(s.sample.split == chosen for s in dataset.skipped)
    expected = change.expected if own and change.expected else len(dataset.split(chosen)) + skipped
    cache = config is not None and config.tune == "heads"
    return Opened(run, localizer, dataset, chosen, cache, path, own, found, expected)


def training_images(run: Path | None, data: str | Path | None, most: int) -> list[Sample]:
    """Images that a run was trained on, spread evenly over all of them; the files are not checked.

    Args:
        run: its folder, or that of a localizer alone; None: there is none.
        data: where the data is now; by default where the run says.
        most: how many at most.

    Raises:
        ValueError: neither says where the data is, or it can't be read.
    """
    config = RunConfig.load(run / "config.yaml") if run and (run / "config.yaml").exists() else None
    if data is not None:
        dataset = as_trained(as_dataset(data, config.seed if config else 0, bool(config and config.as_classes)))
    elif run and config and config.data:
        dataset = _own_data(config, run)
    else:
        raise ValueError(f"{run or 'the localizer'} does not say what it was trained on")
    if run and _same_names(dataset, run):
        dataset = in_recorded_splits(dataset, run)
    samples = [sample for sample in dataset.split("train") if sample.path.is_file()]
    return [samples[round(k)] for k in np.linspace(0, len(samples) - 1, min(most, len(samples)))]


def _own_data(config: RunConfig, run: Path) -> DataSet:
    """The data set that a run was trained on, in the place that it says.

    Runs of before say a path that was relative to the folder in which they were trained; that was most often the one
    where the command runs now, or one above the run.

    Raises:
        ValueError: nothing is there.
    """
    given = Path(os.path.expanduser(config.data))  # noqa: PTH111, as in `hclnet.data.read`
    places = [given] if given.is_absolute() else [p / given for p in (Path(), run, run.parent, run.parent.parent)]
    places = list(dict.fromkeys(Path(os.path.abspath(p)) for p in places))  # noqa: PTH100, links stay as they are
    there = [place for place in places if place.exists()]
    if not there:
        raise ValueError(
            f"{run} was trained on {shown(config.data)}, and there is no {' and no '.join(map(shown, places))}. Say "
            "where the data is with --data."
        )
    found: list[DataSet] = []
    faults: list[ValueError] = []
    for place in there:
        try:
            found.append(as_trained(read(place, config.seed, config.as_classes)))
        except ValueError as error:  # another folder of that name
            faults.append(error)
            continue
        if _same_names(found[-1], run):
            return found[-1]
    if not found:
        raise faults[0]
    return found[0]


def _same_names(dataset: DataSet, run: Path) -> bool:
    """Whether a data set has the images that a run wrote down, by name and class."""
    rows = chain(recorded(run), recorded_skips(run))
    before = {row["id"]: intern(row["class"]) for row in rows}  # a million rows hold a few texts
    return len(before) == len(dataset.samples) and all(
        before.get(s.id) == dataset.classes[s.label] for s in dataset.samples
    )


def _split(dataset: DataSet, run: Path | None, split: str) -> str:
    """The split that is meant, also where all of its images are gone."""
    known = {row["split"] for row in recorded(run)} if run else set()
    if split in known:
        return split
    return "val" if split == "test" and "val" in known else find_split(dataset, split)


def _trained_on(dataset: DataSet, run: Path, split: str) -> list[str]:
    """The images of a checked split that the run was trained on, known by their bytes, wherever they lie now.

    Data without folders for its splits is divided anew where it is not just what the run wrote down, so that some of
    its test images may be the run's training images.
    """
    seen = {row.get("sha256") for row in recorded(run) if row["split"] == "train"} - {None, ""}
    return [s.id for s in dataset.split(split) if s.sha256 in seen]


def _without_gone(dataset: DataSet, change: Change, run: Path, split: str, skip: bool, log: Log | None) -> DataSet:
    """With the images that are not there any more among the skipped ones."""
    if not change.gone:
        return dataset
    names = [f"  {shown(row['id'])}" for row in change.gone]
    more = [f"  ... and {len(names) - 20} more"] if len(names) > 20 else []
    listing = "\n".join(names[:20] + more)
    what = f"{counted(len(change.gone), f'{split} image')} of {change.expected:,} that {run / 'data.csv'} lists"
    if not skip:
        raise ValueError(
            f"{what} can't be found in {dataset.root}. Bring them back, or score the others with --on-bad-image skip; "
            f"if the data is elsewhere, say where with --data.\n{listing}"
        )
    if log:
        log(f"Left out, {what} and that can't be found:\n{listing}")
    number = {name: k for k, name in enumerate(dataset.classes)}
    classes = [*dataset.classes, *dict.fromkeys(r["class"] for r in change.gone if r["class"] not in number)]
    number = {name: k for k, name in enumerate(classes)}
    gone = (
        Skipped(Sample(r["id"], dataset.root / r["id"], number[r["class"]], split), "it can't be found any more")
        for r in change.gone
    )
    return replace(dataset, classes=tuple(classes), skipped=(*dataset.skipped, *gone))


def _told_of_own(dataset: DataSet, change: Change, split: str, log: Log | None) -> None:
    if change.changed:
        raise ValueError(
            f"{counted(len(change.changed), f'{split} image')} of {change.expected:,} in {dataset.root} are not what "
            f"they were when the run was trained: {some(change.changed)}. Bring them back as they were; or score what "
            f"is there now, apart from the run's own data, with --data {shown(dataset.root)}."
        )
    if change.come and log:
        log(f"{counted(len(change.come), f'{split} image')} came since the training and are scored too.")


def _policy(name: str) -> str:
    if name not in ("fail", "skip"):
        raise ValueError(f"--on-bad-image {name}: there are fail and skip.")
    return name
