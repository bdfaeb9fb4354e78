"""A run, and the data that it is scored on: which data that is, whether it is the run's own, and where results go.

Data is known by the bytes of its files (`hclnet.data.identity`). A run's own is what it was trained on, wherever that
lies by now; any other has a place of its own among the run's evaluations.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hclnet.config import RunConfig
from hclnet.data import as_trained, find_split, read
from hclnet.data.broken import counted, listed, without_broken
from hclnet.data.classes import unknown_classes, with_classes, without_classes
from hclnet.data.identity import fingerprint_of, short
from hclnet.data.record import (
    Change,
    change_since,
    in_recorded_splits,
    is_recorded,
    recorded,
    recorded_skips,
)
from hclnet.localizer.localizer import Localizer
from hclnet.progress import bar
from hclnet.text import shown
from hclnet.types import DataSet, Sample, Skipped

Tell = Callable[[str], None] | None


@dataclass(frozen=True, slots=True)
class Opened:
    """A run that is ready to be scored.

    Attributes:
        run: its folder.
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
        split = self.split if protocol == "hclnet" else f"{self.split}-{protocol}"
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
    run: Path,
    data: str | Path | None,
    split: str,
    device: str,
    on_bad_image: str | None,
    tell: Tell,
    as_classes: bool = False,
    ignore_unknown_classes: bool = False,
    **inference: Any,
) -> Opened:
    """A run's localizer with these settings, and the data set to score it on. Nothing in the run changes.

    Arguments and errors are those of `hclnet.localizer.evaluation`.
    """
    localizer = Localizer.load(run, device)
    if changes := {k: v for k, v in inference.items() if v is not None}:
        localizer = localizer.with_inference(**changes)
    localizer.check_sizes()
    config_file = run / "config.yaml"
    config = RunConfig.load(config_file) if config_file.exists() else None
    if data is None and config is None:
        raise ValueError(f"{run} does not say what it was trained on. Name a data set with --data.")
    skip = _policy(on_bad_image or (config.on_bad_image if config else "fail")) == "skip"
    dataset = _own_data(config, run) if data is None else read(data, config.seed if config else 0, as_classes)
    if data is None or _same_names(dataset, run):
        dataset = in_recorded_splits(dataset, run)
    chosen = _split(dataset, run if data is None else None, split)
    if data is None:
        dataset = _without_gone(dataset, change_since(dataset, run, chosen), run, chosen, skip, tell)
    dataset = in_classes_of(dataset, localizer.classes, chosen, ignore_unknown_classes, tell)
    dataset = check_images(dataset, "skip" if skip else "fail", tell, chosen)
    asked = data is not None or chosen == "train"  # of its own test images `hclnet data check` names the copies
    if tell and asked and (seen := _trained_on(dataset, run, chosen)):
        tell(
            f"The run was trained on {len(seen)} of these {counted(len(dataset.split(chosen)), 'image')}, such as "
            f"{shown(seen[0])}: on new ones it is right less often."
        )
    change = change_since(dataset, run, chosen)
    found = fingerprint_of(dataset, chosen)
    if data is None:
        _told_of_own(dataset, change, chosen, tell)
        own = True
    else:
        known = is_recorded(dataset, run, chosen)
        own = bool(change.expected) and not change if known is None else known
        if not own and config and tell and dataset.root.resolve() == Path(config.data).resolve():
            tell(f"These are other images or boxes than those of {run}: their figures go to a place of their own.")
    skipped = sum(s.sample.split == chosen for s in dataset.skipped)
    expected = change.expected if own and change.expected else len(dataset.split(chosen)) + skipped
    cache = config is not None and config.tune == "heads"
    return Opened(run, localizer, dataset, chosen, cache, str(data or config.data), own, found, expected)


def check_images(dataset: DataSet, on_bad_image: str, tell: Tell = None, split: str | None = None) -> DataSet:
    """The data set without the images that can't be read, of one split or of all; each is told of.

    Raises:
        ValueError: as `without_broken`.
    """
    before = len(dataset.skipped)
    with bar("Checking that images can be read") as progress:
        checked = without_broken(dataset, on_bad_image, split, progress)
    if tell and (skipped := checked.skipped[before:]):
        looked_at = sum(split in (None, s.split) for s in dataset.samples)
        tell(f"Left out, {counted(len(skipped), 'image')} of {looked_at:,}:\n{listed(skipped)}")
    return checked


def check_same_data(dataset: DataSet, out: Path, split: str, skip: bool, tell: Tell = None) -> int:
    """Whether the images of a comparison are those that its folder has written down, as far as it has.

    Args:
        dataset: checked, in the splits that are written down.
        out: the comparison's folder.
        split: that is scored.
        skip: go on without images that are gone.
        tell: called with a line about them.

    Returns:
        How many images the split should have.

    Raises:
        ValueError: images are gone, or are not what they were.
    """
    expected = 0
    for name in dict.fromkeys(row["split"] for row in recorded(out)):
        change = change_since(dataset, out, name)
        expected = change.expected + len(change.come) if name == split else expected
        lost = [row["id"] for row in change.gone]
        told = f"of the {change.expected:,} {name} images that {out / 'data.csv'} lists {len(lost)} can't be found and"
        told += f" {len(change.changed)} are not what they were: {_some([*lost, *change.changed])}"
        if change.changed or (lost and not skip):
            raise ValueError(
                f"{out} was begun on other data than {dataset.root}: {told}. Bring them back as they were, or name "
                "another folder with --out."
            )
        if lost and tell:
            tell(f"Left out: {told}.")
    skipped = sum(s.sample.split == split for s in dataset.skipped)
    return expected or len(dataset.split(split)) + skipped


def in_classes_of(
    dataset: DataSet, classes: tuple[str, ...], split: str, ignore_unknown: bool = False, tell: Tell = None
) -> DataSet:
    """The same images with a model's classes in the model's order; the data may have a part of them.

    Args:
        dataset: to be scored.
        classes: of the model.
        split: whose images have to be of them; in other splits, what is of no class of the model is left out.
        ignore_unknown: leave it out in this split too.
        tell: called with a line about that.

    Raises:
        ValueError: the split has images of another class, or none of the model's; the message says what to do.
    """
    of_split = {dataset.classes[s.label] for s in dataset.samples if s.split == split}
    unknown = unknown_classes(dataset, classes)
    if met := sorted(unknown & of_split):
        if met == sorted(of_split):
            raise ValueError(
                f"No {split} image in {dataset.root} is of a class of the run. There they are called {_some(met)}; the "
                f"run knows {_some(classes)}. Classes are matched by name: rename them, or list the images in a "
                "manifest with the run's names."
            )
        if ignore_unknown and tell:
            count = sum(dataset.classes[s.label] in met for s in dataset.samples if s.split == split)
            tell(f"Left out, {counted(count, 'image')} of classes that the run does not have: {_some(met)}.")
    dataset = without_classes(dataset, unknown if ignore_unknown else unknown - of_split)
    return with_classes(dataset, classes)


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
    found, fault = [], None
    for place in there:
        try:
            found.append(as_trained(read(place, config.seed, config.as_classes)))
        except ValueError as error:  # another folder of that name
            fault = fault or error
            continue
        if _same_names(found[-1], run):
            return found[-1]
    if not found:
        raise fault
    return found[0]


def _same_names(dataset: DataSet, run: Path) -> bool:
    """Whether a data set has the images that a run wrote down, by name and class."""
    before = {(row["id"], row["class"]) for row in (*recorded(run), *recorded_skips(run))}
    return before == {(s.id, dataset.classes[s.label]) for s in dataset.samples}


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
    return [s.id for s in dataset.split(split) if dataset.digests.get(s.id) in seen]


def _without_gone(dataset: DataSet, change: Change, run: Path, split: str, skip: bool, tell: Tell) -> DataSet:
    """With the images that are not there any more among the skipped ones."""
    if not change.gone:
        return dataset
    names = [f"  {shown(row['id'])}" for row in change.gone]
    more = [f"  ... and {len(names) - 20} more"] if len(names) > 20 else []
    told = "\n".join(names[:20] + more)
    what = f"{counted(len(change.gone), f'{split} image')} of {change.expected:,} that {run / 'data.csv'} lists"
    if not skip:
        raise ValueError(
            f"{what} can't be found in {dataset.root}. Bring them back, or score the others with --on-bad-image skip; "
            f"if the data is elsewhere, say where with --data.\n{told}"
        )
    if tell:
        tell(f"Left out, {what} and that can't be found:\n{told}")
    number = {name: k for k, name in enumerate(dataset.classes)}
    classes = [*dataset.classes, *dict.fromkeys(r["class"] for r in change.gone if r["class"] not in number)]
    number = {name: k for k, name in enumerate(classes)}
    gone = (
        Skipped(Sample(r["id"], dataset.root / r["id"], number[r["class"]], split), "it can't be found any more")
        for r in change.gone
    )
    return replace(dataset, classes=tuple(classes), skipped=(*dataset.skipped, *gone))


def _told_of_own(dataset: DataSet, change: Change, split: str, tell: Tell) -> None:
    if change.changed:
        raise ValueError(
            f"{counted(len(change.changed), f'{split} image')} of {change.expected:,} in {dataset.root} are not what "
            f"they were when the run was trained: {_some(change.changed)}. Bring them back as they were; or score what "
            f"is there now, apart from the run's own data, with --data {shown(dataset.root)}."
        )
    if change.come and tell:
        tell(f"{counted(len(change.come), f'{split} image')} came since the training and are scored too.")


def _policy(name: str) -> str:
    if name not in ("fail", "skip"):
        raise ValueError(f"--on-bad-image {name}: there are fail and skip.")
    return name


def _some(names: tuple[str, ...] | list[str], most: int = 8) -> str:
    told = ", ".join(map(shown, names[:most]))
    return told + (f" and {len(names) - most:,} more" if len(names) > most else "")
