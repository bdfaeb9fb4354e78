"""The verbs as Python functions; the command line calls these."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from hclnet.backbones import choose_stride
from hclnet.boxes import parse_normalisation, parse_rule
from hclnet.config import RunConfig, read_preset, readable, route
from hclnet.data import as_trained, describe, find_split, for_training, read
from hclnet.data.broken import counted, listed, without_broken
from hclnet.data.masks import check_truth, image_sizes
from hclnet.data.record import (
    record_skipped,
    record_splits,
    recorded,
    with_recorded_splits,
    without_recorded_skips,
)
from hclnet.device import resolve_device, resolve_precision
from hclnet.evaluate import evaluate_localizer, protocol_of
from hclnet.features import cache_root
from hclnet.localizer import Localizer
from hclnet.methods import check_tune, frozen_note, get_method
from hclnet.metrics import Resampled, class_table, figures, hits, intervals, resamples, save, weighted_figures
from hclnet.pages import evaluation_page, training_page
from hclnet.progress import bar
from hclnet.report import ImageMaps, write
from hclnet.training import TrainResult, has_progress, learn_missing, prepare_run
from hclnet.types import DataSet, Localization, Records, Truth


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Records, what is reduced from them, and where both are.

    Attributes:
        records: a row an image.
        figures: fractions, their intervals, and the protocol they were measured under.
        folder: has `records.npz`, `figures.json` and `classes.csv`.
        report: the page to look at, if one was asked for.
    """

    records: Records
    figures: dict[str, Any]
    folder: Path
    report: Path | None = None


def make_config(data: str | Path, method: str = "hclnet", **settings: Any) -> RunConfig:
    """A run's configuration from flat settings: a method's options, those of maps and boxes, those of training.

    Where no size is asked for, the settings are added to those of the preset `best`. Where one is, images are learnt
    from and seen at that size, and everything else that is not said is plain: the presets' files say what they need.

    Raises:
        ValueError: a setting is unknown or has an impossible value.
    """
    known = get_method(method)
    given = {key: value for key, value in settings.items() if value is not None}
    if "size" not in given:
        given = {**read_preset("best"), **given}
    routed = route(given, set(known.Options.model_fields), method)
    try:
        options = known.Options(**routed.pop("options")).model_dump()
        config = RunConfig(data=str(Path(data)), method=method, options=options, **routed)
    except ValidationError as error:
        raise ValueError(f"{method}: {readable(error)}") from None
    parse_rule(config.inference.box)  # now, not after the training
    parse_normalisation(config.inference.map_range)
    resolve_precision(config.precision, resolve_device(config.device))
    check_tune(known, config.tune)
    # Written out, so that a run is the same training whether the backbone's own stride was named or not.
    return config.model_copy(update={"output_stride": choose_stride(config.backbone, config.output_stride)})


def train(
    data: str | Path,
    out: str | Path,
    method: str | None = None,
    resume: bool = False,
    tell: Callable[[str], None] | None = None,
    report: bool = True,
    **settings: Any,
) -> TrainResult:
    """Train on a folder of classified images.

    Args:
        data: a data set of any layout that `hclnet.read` reads.
        out: the run folder.
        method: a name from `hclnet methods`; hclnet by default.
        resume: go on where a run in `out` stopped, with its method and settings where nothing else is said.
        tell: called with lines for a person, such as what was found at `data`.
        report: write `out/report.html`: the curves, and what the localizer makes of a few images.
        settings: method options, settings of maps and boxes, settings of training: `branches=1, epochs=20`.

    Raises:
        ValueError: data, settings or images are not as they have to be; the message says what to do.
    """
    if resume:
        method, settings = _as_before(Path(out), method, settings)
    config = make_config(data, method or "hclnet", **settings)
    if config.tune == "heads":
        cache_root()  # features are to be kept there: said now, not after the images were checked
    dataset = for_training(read(data, config.seed, config.as_classes))
    config.inference.check(dataset.classes)
    if tell:
        tell(describe(dataset))
        if note := frozen_note(config.method, config.tune):
            tell(note)
    if resume:
        dataset = without_recorded_skips(dataset, Path(out))
    dataset = check_images(dataset, config.on_bad_image, tell)
    result = train_on(dataset, config, Path(out), resume, tell=tell)
    if report and result.finished:
        _report_training(result.localizer, dataset, Path(out), config.seed)
    return result


def _as_before(out: Path, method: str | None, settings: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Method and settings that a run was begun with, and over them those that are given."""
    if not has_progress(out):
        return method, settings
    before = RunConfig.load(out / "config.yaml").model_dump(exclude={"data"})
    own, options, inference = before.pop("method"), before.pop("options"), before.pop("inference")
    if method not in (None, own):
        return method, settings
    given = {key: value for key, value in settings.items() if value is not None}
    return own, {**before, **options, **inference, **given}


def train_on(
    dataset: DataSet,
    config: RunConfig,
    out: Path,
    resume: bool = False,
    label: str = "Training",
    tell: Callable[[str], None] | None = None,
) -> TrainResult:
    """Train on a data set that is read and checked. Only the labelled images are handed on; the truth stays here.

    Raises:
        ValueError: as `train`; or a run that goes on had other training images.
    """
    from hclnet.training.run import train_run  # Lightning takes two seconds to load, and evaluate does not need it

    if resume:
        dataset = without_recorded_skips(with_recorded_splits(dataset, out), out)
        _check_same_images(dataset, out)
        if has_progress(out) and config.grey_max == "auto" and RunConfig.load(out / "config.yaml").grey_max == "file":
            config = config.model_copy(update={"grey_max": "file"})  # a run of version 0.1 goes on as it began
    prepare_run(config, out, resume)
    record_splits(dataset, out)
    return train_run(config, dataset.classes, dataset.split("train"), out, label, tell)


def evaluate(
    run: str | Path,
    data: str | Path | None = None,
    split: str = "test",
    device: str = "auto",
    out: str | Path | None = None,
    report: bool = True,
    protocol: str = "hclnet",
    on_bad_image: str | None = None,
    tell: Callable[[str], None] | None = None,
    as_classes: bool = False,
    **inference: Any,
) -> Evaluation:
    """Score a run on a split, and keep the records beside it.

    Args:
        run: a run folder.
        data: another data set than the run's own; it must have the run's classes.
        split: which part of it.
        out: folder for `records.npz`, `figures.json`, `classes.csv` and `report.html`; by default
            `<run>/evaluation/<split>`, with another protocol than our own `<split>-<protocol>`.
        report: write the report.
        protocol: `hclnet`, our own, or `wsoleval`; see docs/protocols.md.
        on_bad_image: `fail` or `skip`; as the run was trained by default. Skipped images are listed in `skipped.csv`.
        tell: called with lines for a person, such as which images are skipped.
        as_classes: of other data each folder is a class, see `hclnet.read`; the run's own is read as it was trained on.
        inference: settings of maps and boxes, such as `box="fixed:0.2"`.

    Raises:
        ValueError: the run, the data or a setting is not as it has to be.
    """
    run = Path(run)
    localizer, dataset, cache = open_run(run, data, split, device, on_bad_image, tell, as_classes, **inference)
    samples = dataset.split(find_split(dataset, split))
    maps: list[ImageMaps] = []
    keep = (lambda _, one: maps.append(one)) if report else None
    doubts: list[str] = []
    with bar("Scoring") as progress:
        (records,) = evaluate_localizer(
            localizer, samples, dataset.truth, None, cache, progress, keep, protocol, doubts.append
        )
    for doubt in doubts if tell else ():
        tell(doubt)
    measured, scored = summary(localizer, records), samples[0].split
    home = run / "evaluation" / (scored if protocol == "hclnet" else f"{scored}-{protocol}")
    home = Path(out) if out else home
    home.mkdir(parents=True, exist_ok=True)
    save(records, home / "records.npz")
    if dataset.skipped:
        record_skipped(dataset, home)
    (home / "figures.json").write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    write_class_table(class_table(records.labels, dataset.classes, [hits(records)]), home / "classes.csv")
    page = None
    if report:
        page = write(evaluation_page(localizer, dataset, scored, records, maps, measured, run), home / "report.html")
    return Evaluation(records, measured, home, page)


def open_run(
    run: Path,
    data: str | Path | None,
    split: str,
    device: str,
    on_bad_image: str | None,
    tell: Callable[[str], None] | None,
    as_classes: bool = False,
    **inference: Any,
) -> tuple[Localizer, DataSet, bool]:
    """A run's localizer with these settings, the data set to score it on, and whether features are worth keeping.

    Arguments and errors are those of `evaluate`.
    """
    localizer = kept = Localizer.load(run, device)
    if changes := {k: v for k, v in inference.items() if v is not None}:
        localizer = localizer.with_inference(**changes)
    config_file = run / "config.yaml"
    config = RunConfig.load(config_file) if config_file.exists() else None
    if data is None and config is None:
        raise ValueError(f"{run} does not say what it was trained on. Name a data set with --data.")
    if data is None:
        dataset = as_trained(read(config.data, config.seed, config.as_classes))
        dataset = with_recorded_splits(dataset, run)
    else:
        dataset = read(data, config.seed if config else 0, as_classes)
    _check_classes(localizer, dataset)
    on_bad_image = on_bad_image or (config.on_bad_image if config else "fail")
    dataset = check_images(dataset, on_bad_image, tell, find_split(dataset, split))
    if data is None and localizer.inference.box == "auto":
        taught = without_recorded_skips(dataset, run).split("train")
        if learn_missing(kept, taught, localizer.views):  # as where sizes are looked at that the training did not know
            kept.save(run / "localizer")
    return localizer, dataset, config is not None and config.tune == "heads"


def write_class_table(rows: list[dict[str, Any]], path: Path) -> None:
    """A line a class; of each figure the value, and the ends of its 95 % interval as `..._low` and `..._high`."""
    flat = []
    for row in rows:
        line: dict[str, Any] = {}
        for name, value in row.items():
            ends = ("", "_low", "_high")
            line |= {name + end: v for end, v in zip(ends, value)} if isinstance(value, list) else {name: value}
        flat.append(line)
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for line in flat for name in line)))
        writer.writeheader()
        writer.writerows(flat)
    part.replace(path)


def summary(localizer: Localizer, records: Records, values: Resampled | None = None) -> dict[str, Any]:
    """All figures of a table of records with their intervals, the settings and the protocol they belong to.

    Args:
        localizer: that was scored.
        records: of the images.
        values: the figures over `resamples`, if they are at hand.
    """
    values = weighted_figures(records, resamples(len(records))) if values is None else values
    settings = localizer.inference
    measured = figures(records)
    named = {"method": localizer.method.name, "fusion": localizer.fusion, "box": settings.box}
    if "gt_known" in measured or "pxap" in measured:
        named["protocol"] = protocol_of(records.protocol, settings).describe(settings.box)
    if settings.crops > 1:
        named["crops"] = settings.crops
    if settings.looks:
        named["looks"] = settings.looks
    return {**named, **measured, "intervals": intervals(values)}


def load(run: str | Path, device: str = "auto") -> Localizer:
    """The localizer that a run left: `load("runs/mine").locate("photo.jpg").box`."""
    return Localizer.load(run, device)


def locate(image: Any, model: str | Path | None = None, top: int = 1, max_objects: int = 1) -> Localization:
    """Box the objects in one image; without a model, by the packaged ImageNet classifier and CAM."""
    localizer = Localizer.imagenet() if model is None else Localizer.load(model)
    return localizer.locate(image, top, max_objects=max_objects)


def _report_training(localizer: Localizer, dataset: DataSet, out: Path, seed: int, most: int = 24) -> None:
    dataset = with_recorded_splits(dataset, out)
    split = next(name for name in ("test", "val", "train") if name in dataset.counts())
    samples = dataset.split(split)
    chosen = sorted(np.random.default_rng(seed).permutation(len(samples))[:most].tolist())
    samples, truth, maps = [samples[i] for i in chosen], dataset.truth, []
    try:
        check_truth(truth, samples, image_sizes(samples))
    except ValueError:  # `evaluate` says it; what was learnt needs no truth to be shown
        truth = Truth()
    (records,) = evaluate_localizer(localizer, samples, truth, keep=lambda _, one: maps.append(one))
    write(training_page(localizer, dataset, split, records, maps, out), out / "report.html")


def check_images(
    dataset: DataSet, on_bad_image: str, tell: Callable[[str], None] | None = None, split: str | None = None
) -> DataSet:
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
    if tell and before:
        tell(f"Left out as before, {counted(before, 'image')} that skipped.csv lists.")
    return checked


def _check_classes(localizer: Localizer, dataset: DataSet) -> None:
    if localizer.classes != dataset.classes:
        extra = sorted(set(dataset.classes) - set(localizer.classes))[:5]
        lacking = sorted(set(localizer.classes) - set(dataset.classes))[:5]
        told = "; ".join(
            f"{what}: {', '.join(names)}"
            for what, names in (("only in the data", extra), ("only in the run", lacking))
            if names
        )
        raise ValueError(f"{dataset.root} has other classes than the run ({told or 'in another order'}).")


def _check_same_images(dataset: DataSet, out: Path) -> None:
    """What an epoch is, and so what is left to do, depends on the training images."""
    if not (has_progress(out) and (rows := recorded(out))):
        return
    before = {(row["id"], row["class"]) for row in rows if row["split"] == "train"}
    now = {(s.id, dataset.classes[s.label]) for s in dataset.samples if s.split == "train"}
    if before != now:
        raise ValueError(
            f"{out} can't be resumed: of its training images in {dataset.root} {len(now - before)} have come and "
            f"{len(before - now)} have gone. Name another folder with --out, or bring the images back as they were."
        )
