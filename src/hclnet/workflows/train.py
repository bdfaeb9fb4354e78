"""`hclnet train`: a data set -> a run folder with a localizer in it."""

from __future__ import annotations

import difflib
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hclnet.config import RunConfig
from hclnet.data import describe, for_training
from hclnet.data.broken import counted
from hclnet.data.masks import check_ground_truth, image_sizes
from hclnet.data.record import (
    change_since,
    record_ground_truth,
    record_splits,
    recorded,
    with_recorded_splits,
    without_recorded_skips,
)
from hclnet.localizer.cache import cache_root
from hclnet.localizer.evaluation import evaluate_localizer
from hclnet.localizer.localizer import Localizer
from hclnet.methods import frozen_note
from hclnet.randomness import random_states_kept
from hclnet.report import ImageMaps, write
from hclnet.storage import locked
from hclnet.training import (
    TrainResult,
    check_divides,
    check_free,
    check_resumable,
    complete_run,
    has_progress,
    is_finished,
    is_run,
    prepare_run,
)
from hclnet.types import DataSet, GroundTruth, Log
from hclnet.workflows.datasets import as_dataset, check_images
from hclnet.workflows.pages import training_page
from hclnet.workflows.settings import flat_settings, make_config, with_preset
from hclnet_runtime.text import shown


@random_states_kept()
def train(
    data: str | Path | DataSet,
    config: RunConfig | str | Path | None = None,
    method: str | None = None,
    *,
    out: str | Path | None = None,
    preset: str | Path | None = None,
    backbone: str | None = None,
    weights: str | None = None,
    size: int | None = None,
    tune: str | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    device: str | torch.device | None = None,
    devices: int | None = None,
    background_class: str | None = None,
    on_bad_image: str | None = None,
    as_classes: bool | None = None,
    resume: bool = False,
    report: bool = True,
    log: Log | None = None,
    **settings: Any,
) -> TrainResult:
    """Train on classified images, without a single box.

    What is None has the value that the configuration, the run that goes on, the preset or hclnet itself gives it, in
    this order.

    Args:
        data: a path of any layout that `hclnet.read` reads, or what it returned.
        config: all settings of a run; its `data` is replaced by the `data` of this call. A path here is the run folder,
            as it was in version 0.1.
        method: a name from `hclnet methods`; hclnet by default.
        out: the run folder; `runs/METHOD-SEED` by default.
        preset: settings to start from, by name or as a YAML file; `best` where no size is given.
        backbone: efficientnet_lite0, efficientnet_lite1, efficientnet_lite2, vgg16, resnet50, or `timm:` and the name
            of any model of timm.
        weights: of the backbone: auto (those that belong to its name, most often from ImageNet), none (random) or a
            file.
        size: side of the square that images are resized to, pixels.
        tune: heads (frozen backbone) or all.
        epochs: passes over the training images.
        seed: of all that is random; the same seed on the same machine gives the same localizer.
        device: auto, cpu, cuda, cuda:N or mps, as text or as torch's device.
        devices: processes that train together: a card each, or with cpu a part of the processor.
        background_class: the class whose images show no object.
        on_bad_image: fail, or skip images that can't be read.
        as_classes: each folder in the data is a class, also one that is called like a split.
        resume: go on where a run in `out` stopped, with its method and settings where nothing else is said.
        report: write `out/report.html`: the curves, and what the localizer makes of a few images.
        log: called with lines for a person, such as what was found at `data`.
        settings: any other option of the method, setting of maps and boxes, or setting of training, by the name that
            `hclnet methods` lists: `branches=1, lr=5e-4`.

    Raises:
        ValueError: data, settings or images are not as they have to be; the message says what to do.
    """
    if isinstance(config, str | Path):
        if out is not None:
            raise ValueError(f"The run folder is given twice: {config} and {out}. Keep out={str(out)!r}.")
        config, out = None, config
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
        devices=devices,
        background_class=background_class,
        on_bad_image=on_bad_image,
        as_classes=as_classes,
    )
    if config is not None:
        if method not in (None, config.method):
            raise ValueError(f"The method is given twice: {method}, and {config.method} in config. Keep one of them.")
        method, given = config.method, {**flat_settings(config), **given}
    out = Path(out or Path("runs") / f"{method or 'hclnet'}-{given.get('seed', 0)}")
    if resume:
        _check_there(out)
        method, given = _as_before(out, method, given)
    config = make_config(data.root if isinstance(data, DataSet) else data, method or "hclnet", **given)
    if config.tune == "heads":
        cache_root()  # features are to be kept there: said now, not after the images were checked
    if not (resume or is_run(out)):
        check_free(out)
    with locked(out, "training") if out.exists() else nullcontext():  # one that it makes, it has from `train_on` on
        if not resume:
            check_free(out)
        dataset = for_training(as_dataset(data, config.seed, config.as_classes))
        config.inference.check(dataset.classes)
        if not resume and config.on_bad_image == "fail":  # none will be left out: said now, not after all are read
            _check_divides(dataset, config)
        if log:
            log(describe(dataset))
            if note := frozen_note(config.method, config.tune):
                log(note)
        if resume:
            dataset = without_recorded_skips(dataset, out)
            if log and dataset.skipped:
                log(f"Left out as before, {counted(len(dataset.skipped), 'image')} that skipped.csv lists.")
        dataset = check_images(dataset, config.on_bad_image, log, seconds=config.seconds_per_image)
        result = train_on(dataset, config, out, resume, log=log)
        record_ground_truth(with_recorded_splits(dataset, out), out)  # now that nothing is learned any more
        if report and result.finished and (result.trained or not (out / "report.html").is_file()):
            _report_training(result.localizer, dataset, out, config.seed)
    return result


def train_on(
    dataset: DataSet,
    config: RunConfig,
    out: Path,
    resume: bool = False,
    label: str = "Training",
    log: Log | None = None,
) -> TrainResult:
    """Train on a data set that is read and checked. Only the labeled images are handed on; the ground truth stays
    here.

    A run that is finished gets what it lacks at the sizes that images are to be looked at, and is not trained.

    Raises:
        ValueError: as `train`; or a run that goes on had other training images.
    """
    if not resume:
        _check_divides(dataset, config)
    with locked(out, label.lower()):
        if resume:
            dataset = without_recorded_skips(with_recorded_splits(dataset, out), out)
            _check_same_images(dataset, out)
            if (
                has_progress(out)
                and config.gray_max == "auto"
                and RunConfig.load(out / "config.yaml").gray_max == "file"
            ):
                config = config.model_copy(update={"gray_max": "file"})  # a run of version 0.1 goes on as it began
        if resume and is_finished(out):
            check_resumable(config, out)
            record_splits(dataset, out, keep=True)
            localizer = None
            with suppress(ValueError):  # one that can't be loaded is made anew from the checkpoint
                localizer = Localizer.load(out, config.device)
            if localizer:
                return complete_run(config, localizer, dataset.split("train"), out, log)
        if resume:
            _check_divides(dataset, config)
        keep = resume and has_progress(out)
        prepare_run(config, out, resume)
        record_splits(dataset, out, keep)
        from hclnet.training.run import train_run  # Lightning takes two seconds, and evaluate does not need it

        return train_run(config, dataset.classes, dataset.split("train"), out, label, log)


def _check_divides(dataset: DataSet, config: RunConfig) -> None:
    check_divides(dataset.counts().get("train", 0), config.batch, config.devices)


def _check_there(out: Path) -> None:
    """Raises:
    ValueError: there is no run to go on with; the message names those that are called about the same.
    """
    if is_run(out):
        return
    beside = out.parent if out.parent.is_dir() else Path()
    runs = sorted(path.name for path in beside.iterdir() if is_run(path))
    near = difflib.get_close_matches(out.name, runs, 3, 0.5)
    meant = f" Do you mean {' or '.join(str(beside / name) for name in near)}?" if near else ""
    raise ValueError(f"There is no run in {out} to go on with.{meant} Without --resume a new one begins there.")


def _as_before(out: Path, method: str | None, settings: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Method and settings that a run was begun with, and over them those that are given."""
    if not (out / "config.yaml").is_file():
        return method, settings
    before = RunConfig.load(out / "config.yaml")
    if method not in (None, before.method):
        return method, settings
    return before.method, {**flat_settings(before), **settings}


def _check_same_images(dataset: DataSet, out: Path) -> None:
    """What an epoch is, and so what is left to do, depends on the training images and on every pixel of them."""
    if not (has_progress(out) and recorded(out)):
        return
    change = change_since(dataset, out, "train")
    if change.come or change.gone:
        raise ValueError(
            f"{out} can't be resumed: of its training images in {dataset.root} {len(change.come)} have come and "
            f"{len(change.gone)} have gone. Name another folder with --out, or bring the images back as they were."
        )
    if change.changed:
        names = ", ".join(map(shown, change.changed[:5])) + (" ..." if len(change.changed) > 5 else "")
        raise ValueError(
            f"{out} can't be resumed: {counted(len(change.changed), 'training image')} of {change.expected:,} in "
            f"{dataset.root} are not what they were when it began: {names}. Name another folder with --out, or bring "
            "the images back as they were."
        )


def _report_training(localizer: Localizer, dataset: DataSet, out: Path, seed: int, most: int = 24) -> None:
    dataset = with_recorded_splits(dataset, out)
    split = next(name for name in ("test", "val", "train") if name in dataset.counts())
    all_samples, ground_truth = dataset.split(split), dataset.ground_truth
    chosen = sorted(np.random.default_rng(seed).permutation(len(all_samples))[:most].tolist())
    samples = [all_samples[i] for i in chosen]
    maps: list[ImageMaps] = []
    try:
        check_ground_truth(ground_truth, samples, image_sizes(samples))
    except ValueError:  # `evaluate` says it; what was learned needs no ground truth to be shown
        ground_truth = GroundTruth()
    (records,) = evaluate_localizer(localizer, samples, ground_truth, keep=lambda _, one: maps.append(one))
    write(training_page(localizer, dataset, split, records, maps, out), out / "report.html")
