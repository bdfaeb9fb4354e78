"""`hclnet calibrate`: thresholds chosen on ground-truth boxes, or on held-out labels, and written into a run's
localizer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Unpack

import numpy as np
import torch

from hclnet.config import InferenceSettings
from hclnet.hub.address import is_address, parse
from hclnet.localizer.evaluation import class_probabilities, evaluate_localizer
from hclnet.localizer.localizer import Localizer
from hclnet.metrics import Calibration, Rejection, choose_min_score, choose_threshold
from hclnet.progress import bar
from hclnet.randomness import random_states_kept
from hclnet.storage import locked, write_json
from hclnet.types import DataSet, Log
from hclnet.workflows.datasets import told_of_unchanged
from hclnet.workflows.runs import Opened, open_run


@random_states_kept()
def calibrate(
    run: str | Path,
    data: str | Path | DataSet | None = None,
    split: str = "train",
    *,
    device: str | torch.device = "auto",
    on_bad_image: str | None = None,
    log: Log | None = None,
    as_classes: bool = False,
    ignore_unknown_classes: bool = False,
    **inference: Unpack[InferenceSettings],
) -> Calibration:
    """Choose the threshold that suits a run's maps best on images with ground-truth boxes, and make it the run's box
    rule.

    The localizer's box rule becomes `fixed:T`; `calibration.json` beside it says how sure T is, and how it compares
    with the rule `auto`, which takes no ground-truth box, on the same images.

    Args:
        run: a run folder, or a localizer's.
        data: another data set than the run's own, such as twenty images whose boxes were drawn for this. Its classes
            are matched by name; it may have a part of the run's.
        split: which part of it; `all` of other data than the run's own.
        on_bad_image: `fail` or `skip`; as the run was trained by default.
        log: called with lines for a person, such as which images are skipped.
        as_classes: of other data each folder is a class, see `hclnet.read`.
        ignore_unknown_classes: leave out images of classes that the run does not have.
        inference: settings of the maps that the threshold is for, such as `fusion="max"`; they are kept with it.

    Raises:
        ValueError: the run, the data or a setting is not as it has to be, or too few images have a ground-truth box.
    """
    run = _writable(run)
    if inference.get("box"):
        raise ValueError("Calibration chooses the box rule itself; leave box out.")
    with _alone(run):
        opened = open_run(
            run,
            data,
            split,
            device,
            on_bad_image,
            log,
            as_classes,
            ignore_unknown_classes,
            **{**inference, "box": "auto"},
        )
        localizer, dataset, chosen = opened.localizer, opened.dataset, opened.split
        samples = [s for s in dataset.split(chosen) if s.id in dataset.ground_truth.boxes]
        if not samples:
            raise ValueError(
                f"{dataset.root} has no ground-truth box for any image of its split {chosen}. Name data that has "
                "some with --data, or use the rule auto, which takes none."
            )
        told_of_unchanged(dataset, chosen, localizer.fingerprint, log)
        doubts: list[str] = []
        with bar("Scoring") as progress:
            (records,) = evaluate_localizer(
                localizer, samples, dataset.ground_truth, None, opened.cache, progress, log=doubts.append
            )
        if log:
            for doubt in doubts:
                log(doubt)
        found = choose_threshold(records)
        _write(localizer.with_inference(box=f"fixed:{found.threshold}"), opened, "calibration.json", found)
    return found


@random_states_kept()
def calibrate_rejection(
    run: str | Path,
    data: str | Path | DataSet | None = None,
    split: str = "test",
    *,
    device: str | torch.device = "auto",
    on_bad_image: str | None = None,
    log: Log | None = None,
    as_classes: bool = False,
    ignore_unknown_classes: bool = False,
    **inference: Unpack[InferenceSettings],
) -> Rejection:
    """Choose the probability below which a run takes a class to be absent, on labeled images that it has not seen.

    The localizer's `min_score` is set; `rejection.json` beside it says how sure it is.

    Args:
        run: a run folder, or a localizer's.
        data: another data set than the run's own, with all or some of its classes. Boxes are not looked at.
        split: which part of it, or `all` of other data; not one that the run was trained on.
        on_bad_image: `fail` or `skip`; as the run was trained by default.
        log: called with lines for a person, such as which images are skipped.
        as_classes: of other data each folder is a class, see `hclnet.read`.
        ignore_unknown_classes: leave out images of classes that the run does not have.
        inference: settings of how images are looked at, such as `flip=True`; they are kept with it.

    Raises:
        ValueError: the run, the data or a setting is not as it has to be, or there are too few images.
    """
    run = _writable(run)
    if inference.get("min_score"):
        raise ValueError("Calibration chooses min_score itself; leave it out.")
    with _alone(run):
        opened = open_run(run, data, split, device, on_bad_image, log, as_classes, ignore_unknown_classes, **inference)
        samples = opened.dataset.split(opened.split)
        with bar("Classifying") as progress:
            probabilities = class_probabilities(opened.localizer, samples, opened.cache, progress)
        found = choose_min_score(probabilities, np.array([s.label for s in samples]))
        _write(opened.localizer.with_inference(min_score=found.min_score), opened, "rejection.json", found)
    return found


def _writable(run: str | Path) -> Path:
    """The run's folder.

    Raises:
        ValueError: it is on the hub.
    """
    if is_address(run):
        repo = parse(run).repo
        raise ValueError(
            f"{run} is on the hub, and a calibration is written into its run. Take a copy, with `hf download {repo} "
            "--local-dir FOLDER`, and calibrate that folder."
        )
    return Path(run)


@contextmanager
def _alone(run: Path) -> Iterator[None]:
    """The run to this process, if there is one."""
    home = run.parent if (run.parent / "localizer" / "localizer.json").is_file() and run.name == "localizer" else run
    with locked(home, "calibration", elsewhere=False) if home.is_dir() else nullcontext():
        yield


def _write(localizer: Localizer, opened: Opened, name: str, found: Calibration | Rejection) -> None:
    run = opened.run
    home = run / "localizer" if (run / "localizer").is_dir() else run
    localizer.save(home)
    write_json(home / name, {"data": opened.about, "split": opened.split, **asdict(found)}, indent=2)
