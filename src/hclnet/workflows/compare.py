"""`hclnet compare`: several methods under one recipe, over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from math import inf
from pathlib import Path
from typing import Any

import torch

from hclnet.data import describe, find_split, for_training
from hclnet.data.masks import check_ground_truth, image_sizes
from hclnet.data.record import record_ground_truth, record_splits, with_recorded_splits, without_recorded_skips
from hclnet.localizer.localizer import Localizer
from hclnet.maps.augmentation import views
from hclnet.methods import frozen_note
from hclnet.metrics import get_protocol
from hclnet.randomness import random_states_kept
from hclnet.storage import locked
from hclnet.training import is_finished, learn_missing
from hclnet.types import DataSet, Log
from hclnet.workflows.comparison import Comparison, ComparisonRow
from hclnet.workflows.datasets import as_dataset, check_images, check_same_data
from hclnet.workflows.plan import Job, Plan, make_plan, run_of
from hclnet.workflows.runs import about_data
from hclnet.workflows.settings import with_preset
from hclnet.workflows.train import train_on
from hclnet_runtime.boxes import parse_rule


@random_states_kept()
def compare(
    data: str | Path | DataSet,
    methods: Sequence[str],
    out: str | Path = "runs/compare",
    *,
    seeds: int = 1,
    split: str = "test",
    preset: str | Path | None = None,
    backbone: str | None = None,
    weights: str | None = None,
    size: int | None = None,
    tune: str | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    device: str | torch.device | None = None,
    background_class: str | None = None,
    on_bad_image: str | None = None,
    as_classes: bool | None = None,
    protocol: str = "hclnet",
    report: bool = True,
    tables: str | Path | None = None,
    log: Log | None = None,
    **settings: Any,
) -> list[ComparisonRow]:
    """Train and score methods under one recipe; finished runs in `out` are used again, unfinished ones go on.

    Args:
        data: as for `train`.
        methods: such as `["cam", "hclnet", "hclnet:branches=1,fusion=max"]`; what is there twice is done once.
        out: a folder for `compare.json`, `report.html`, `runs/` and the records.
        seeds: how many trainings per method, from `seed` on.
        split: that is scored.
        preset: settings to start from, by name or as a YAML file.
        backbone: of all methods; and so are `weights`, `size`, `tune`, `epochs`, `device`, `background_class`,
            `on_bad_image` and `as_classes`. They are those of `train`.
        seed: the first seed; 0 by default.
        protocol: that localization is scored under, `hclnet` or `wsoleval`.
        report: write the report.
        tables: a folder for all but the runs, where several comparisons share these in `out`.
        log: called with lines for a person.
        settings: any others, for all methods alike.

    Returns:
        One row for each method and seed: the dictionaries of `compare.json`, with `row.method`, `row.metrics` and so on
        for their main entries. Those of the methods after the first also have, as `difference`, by how much their
        medians over seeds exceed the first's: `[value, low, high]`.

    Raises:
        ValueError: a method, a setting or the data is not as it has to be. All are checked before the first training.
    """
    out = Path(out)
    given = with_preset(
        preset,
        **settings,
        backbone=backbone,
        weights=weights,
        size=size,
        tune=tune,
        epochs=epochs,
        seed=seed,
        device=None if device is None else str(device),
        background_class=background_class,
        on_bad_image=on_bad_image,
        as_classes=as_classes,
    )
    with ExitStack() as held:
        if out.exists():  # a folder that it makes, it has once all is checked
            held.enter_context(locked(out, "comparison"))
        get_protocol(protocol)  # whether there is such a one, now and not after the training
        root = data.root if isinstance(data, DataSet) else data
        plan = make_plan(root, methods, seeds, given)
        dataset = _read(data, plan, out, log)
        skip = all(variant.config.on_bad_image == "skip" for variant in plan.variants())
        dataset.split(find_split(dataset, split))  # whether there is one, before anything is decoded
        seconds = max(variant.config.seconds_per_image or inf for variant in plan.variants())
        policy = "skip" if skip else "fail"
        dataset = check_images(dataset, policy, log, seconds=seconds if seconds < inf else 0)
        samples = dataset.split(find_split(dataset, split))
        check_ground_truth(dataset.ground_truth, samples, image_sizes(samples), log)  # before the trainings
        expected = check_same_data(dataset, out, samples[0].split, skip, log)
        home = Path(tables or out)
        for folder in (out, home):
            held.enter_context(locked(folder, "comparison"))
        record_splits(dataset, out, keep=True)
        about = about_data(dataset, samples[0].split, root, expected)
        comparison = Comparison(plan, out, home, dataset, samples, about, protocol, report)
        for number, job in enumerate(plan.jobs, 1):
            label = f"[{number}/{len(plan.jobs)}] {job.variants[0].spec} seed {job.config.seed}"
            run = run_of(out / "runs", job.config)
            comparison.add(job, run, _localizer(job, run, dataset, report, label), label)
        return comparison.finish()


def _read(data: str | Path | DataSet, plan: Plan, out: Path, log: Log | None) -> DataSet:
    """The data set in one split for all that is ever compared in a folder, whatever seeds and files come to it later.

    Raises:
        ValueError: it can't be trained on, or lacks the background class that a variant names.
    """
    as_classes = any(job.config.as_classes for job in plan.jobs)
    dataset = for_training(as_dataset(data, plan.seeds.start, as_classes))
    dataset = without_recorded_skips(with_recorded_splits(dataset, out), out)
    for variant in plan.variants():
        variant.config.inference.check(dataset.classes)
    if log:
        log(describe(dataset))
        log(
            f"{len(plan.specs)} methods x {len(plan.seeds)} seeds: {len(plan.jobs)} trainings, since fusion and box "
            "rule need none"
        )
        for note in dict.fromkeys(frozen_note(job.config.method, job.config.tune) for job in plan.jobs):
            if note:
                log(note)
    return dataset


def _localizer(job: Job, run: Path, dataset: DataSet, report: bool, label: str) -> Localizer:
    """The localizer of a training, which is done where it is missing, with the foreground scores that its variants
    need.

    Raises:
        KeyboardInterrupt: the training was stopped.
        ValueError: the run is of other classes.
    """
    if is_finished(run):
        localizer = Localizer.load(run, job.config.device)
        if localizer.classes != dataset.classes:
            out = run.parent.parent
            raise ValueError(f"{run} has its classes in another order than {out}. Name another folder with --out.")
    else:
        result = train_on(dataset, job.config, run, resume=run.exists(), label=label)
        if not result.finished:
            raise KeyboardInterrupt
        localizer = result.localizer
    settings = [variant.config.inference for variant in job.variants]
    learned = [one for one in settings if "foreground" in parse_rule(one.box).needs]
    needed = [view for one in learned for view in views(one, localizer.size)]
    with locked(run, "comparison"):
        record_ground_truth(dataset, run)
        if learn_missing(localizer, dataset.split("train"), needed):
            localizer.save(run / "localizer")
    return localizer


def run_folder(out: Path, row: dict[str, Any]) -> Path:
    """The run behind a row of `compare`."""
    return out / str(row["run"])
