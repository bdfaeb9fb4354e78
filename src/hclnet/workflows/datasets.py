"""The data set that a verb works on: read, with images that can be read, in the classes of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hclnet.data import read
from hclnet.data.broken import counted, listed, without_broken
from hclnet.data.classes import unknown_classes, with_classes, without_classes
from hclnet.data.record import change_since, recorded
from hclnet.progress import bar
from hclnet.types import DataSet, Log
from hclnet_runtime.data.reading import SECONDS
from hclnet_runtime.text import shown


def as_dataset(data: str | Path | DataSet, seed: int = 0, as_classes: bool = False) -> DataSet:
    """The data set at a path, as `hclnet.read` has it; one that is read already is taken as it is."""
    return data if isinstance(data, DataSet) else read(data, seed, as_classes)


def check_images(
    dataset: DataSet,
    on_bad_image: str,
    log: Log | None = None,
    split: str | None = None,
    seconds: float = SECONDS,
) -> DataSet:
    """The data set without the images that can't be read, of one split or of all; the log names them. What takes more
    than `seconds` is one of those.

    Raises:
        ValueError: as `without_broken`.
    """
    before = len(dataset.skipped)
    with bar("Checking that images can be read") as progress:
        checked = without_broken(dataset, on_bad_image, split, progress, seconds)
    if log and (skipped := checked.skipped[before:]):
        looked_at = sum(split in (None, s.split) for s in dataset.samples)
        log(f"Left out, {counted(len(skipped), 'image')} of {looked_at:,}:\n{listed(skipped)}")
    return checked


def check_same_data(dataset: DataSet, out: Path, split: str, skip: bool, log: Log | None = None) -> int:
    """Whether the images of a comparison are those that its folder has written down, as far as it has.

    Args:
        dataset: checked, in the splits that are written down.
        out: the comparison's folder.
        split: that is scored.
        skip: go on without images that are gone.
        log: called with a line about them.

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
        changes = (
            f"of the {change.expected:,} {name} images that {out / 'data.csv'} lists {len(lost)} can't be found and"
        )
        changes += f" {len(change.changed)} are not what they were: {some([*lost, *change.changed])}"
        if change.changed or (lost and not skip):
            raise ValueError(
                f"{out} was begun on other data than {dataset.root}: {changes}. Bring them back as they were, or name "
                "another folder with --out."
            )
        if lost and log:
            log(f"Left out: {changes}.")
    skipped = sum(s.sample.split == split for s in dataset.skipped)
    return expected or len(dataset.split(split)) + skipped


def told_of_unchanged(dataset: DataSet, split: str, fingerprint: Callable[[], str], log: Log | None) -> None:
    """Say how many ground-truth boxes are a model's own, which a person has accepted as they were: they favor it.

    Args:
        dataset: that it is scored on.
        split: of it.
        fingerprint: gives that of the model, which takes a pass over its weights.
        log: called with a line about them.
    """
    unchanged = dataset.ground_truth.unchanged
    if not (log and unchanged):
        return
    scored, model = dataset.split(split), fingerprint()
    if own := [s.id for s in scored if unchanged.get(s.id) == model]:
        log(
            f"The ground-truth boxes of {len(own):,} of these {counted(len(scored), 'image')} are this model's own, "
            f"such as of {shown(own[0])}: a person has accepted them unchanged. They favor the model and the rule that "
            "made them, and metrics of boxes are too high."
        )


def in_classes_of(
    dataset: DataSet, classes: tuple[str, ...], split: str, ignore_unknown: bool = False, log: Log | None = None
) -> DataSet:
    """The same images with a model's classes in the model's order; the data may have a part of them.

    Args:
        dataset: to be scored.
        classes: of the model.
        split: whose images have to be of them; in other splits, what is of no class of the model is left out.
        ignore_unknown: leave it out in this split too.
        log: called with a line about that.

    Raises:
        ValueError: the split has images of another class, or none of the model's; the message says what to do.
    """
    of_split = {dataset.classes[s.label] for s in dataset.samples if s.split == split}
    unknown = unknown_classes(dataset, classes)
    if met := sorted(unknown & of_split):
        if met == sorted(of_split):
            raise ValueError(
                f"No {split} image in {dataset.root} is of a class of the run. There they are called {some(met)}; the "
                f"run knows {some(classes)}. Classes are matched by name: rename them, or list the images in a "
                "manifest with the run's names."
            )
        if ignore_unknown and log:
            count = sum(dataset.classes[s.label] in met for s in dataset.samples if s.split == split)
            log(f"Left out, {counted(count, 'image')} of classes that the run does not have: {some(met)}.")
    dataset = without_classes(dataset, unknown if ignore_unknown else unknown - of_split)
    return with_classes(dataset, classes)


def some(names: Sequence[str], most: int = 8) -> str:
    """The first of some names, and how many more there are."""
    listed = ", ".join(map(shown, names[:most]))
    return listed + (f" and {len(names) - most:,} more" if len(names) > most else "")
