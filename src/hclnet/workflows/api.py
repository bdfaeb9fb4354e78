"""The verbs as Python functions; the command line calls these."""

from __future__ import annotations

import csv
import difflib
import io
import os
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from hclnet.backbones import choose_stride
from hclnet.boxes import parse_normalization, parse_rule
from hclnet.config import RunConfig, read_preset, readable, route
from hclnet.data import describe, for_training, read
from hclnet.data.broken import counted
from hclnet.data.masks import check_truth, image_sizes
from hclnet.data.record import (
    change_since,
    record_skipped,
    record_splits,
    record_truth,
    recorded,
    with_recorded_splits,
    without_recorded_skips,
)
from hclnet.device import resolve_device, resolve_precision
from hclnet.localizer.evaluation import evaluate_localizer, protocol_of
from hclnet.localizer.features import cache_root
from hclnet.localizer.localizer import Localizer
from hclnet.methods import check_tune, frozen_note, get_method
from hclnet.metrics import (
    Resampled,
    class_table,
    figures,
    get_protocol,
    hits,
    intervals,
    resamples,
    save,
    weighted_figures,
)
from hclnet.progress import bar
from hclnet.report import ImageMaps, write
from hclnet.storage import locked, write_json, write_text
from hclnet.text import shown
from hclnet.training import (
    TrainResult,
    check_free,
    check_resumable,
    complete_run,
    has_progress,
    is_finished,
    is_run,
    prepare_run,
)
from hclnet.types import DataSet, GroundTruth, Localization, Records
from hclnet.workflows.pages import evaluation_page, training_page
from hclnet.workflows.runs import check_images, open_run


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
        config = RunConfig(data=_absolute(data), method=method, options=options, **routed)
    except ValidationError as error:
        raise ValueError(f"{method}: {readable(error)}") from None
    parse_rule(config.inference.box)  # now, not after the training
    parse_normalization(config.inference.cam_normalization)
    resolve_precision(config.precision, resolve_device(config.device))
    check_tune(known, config.tune)
    # Written out, so that a run is the same training whether the backbone's own stride was named or not.
    return config.model_copy(update={"output_stride": choose_stride(config.backbone, config.output_stride)})


def _absolute(data: str | Path) -> str:
    """A path that means the same wherever a later command runs."""
    return os.path.abspath(os.path.expanduser(data))  # noqa: PTH100, PTH111, links stay; `~name` is no user's


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
    out = Path(out)
    if resume:
        _check_there(out)
        method, settings = _as_before(out, method, settings)
    config = make_config(data, method or "hclnet", **settings)
    if config.tune == "heads":
        cache_root()  # features are to be kept there: said now, not after the images were checked
    if not (resume or is_run(out)):
        check_free(out)
    with locked(out, "training") if out.exists() else nullcontext():  # one that it makes, it has from `train_on` on
        if not resume:
            check_free(out)
        dataset = for_training(read(data, config.seed, config.as_classes))
        config.inference.check(dataset.classes)
        if tell:
            tell(describe(dataset))
            if note := frozen_note(config.method, config.tune):
                tell(note)
        if resume:
            dataset = without_recorded_skips(dataset, out)
            if tell and dataset.skipped:
                tell(f"Left out as before, {counted(len(dataset.skipped), 'image')} that skipped.csv lists.")
        dataset = check_images(dataset, config.on_bad_image, tell)
        result = train_on(dataset, config, out, resume, tell=tell)
        record_truth(with_recorded_splits(dataset, out), out)  # now that nothing is learnt any more
        if report and result.finished and (result.trained or not (out / "report.html").is_file()):
            _report_training(result.localizer, dataset, out, config.seed)
    return result


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
    """Train on a data set that is read and checked. Only the labelled images are handed on; the ground truth stays
    here.

    A run that is finished gets what it lacks at the sizes that images are to be looked at, and is not trained.

    Raises:
        ValueError: as `train`; or a run that goes on had other training images.
    """
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
                return complete_run(config, localizer, dataset.split("train"), out, tell)
        keep = resume and has_progress(out)
        prepare_run(config, out, resume)
        record_splits(dataset, out, keep)
        from hclnet.training.run import train_run  # Lightning takes two seconds, and evaluate does not need it

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
    ignore_unknown_classes: bool = False,
    **inference: Any,
) -> Evaluation:
    """Score a run on a split, and keep the records beside it. The run itself is not changed.

    Args:
        run: a run folder.
        data: another data set than the run's own. Its classes are matched by name; it may have a part of the run's.
        split: which part of it.
        out: folder for `records.npz`, `figures.json`, `classes.csv` and `report.html`; by default
            `<run>/evaluation/<split>`, with another protocol than our own `<split>-<protocol>`, and for other data than
            the run's own `<run>/evaluation/<name>-<fingerprint>/<split>`.
        report: write the report.
        protocol: `hclnet`, our own, or `wsoleval`; see docs/protocols.md.
        on_bad_image: `fail` or `skip`; as the run was trained by default. Skipped images, and those of the run's own
            that are gone, are listed in `skipped.csv`.
        tell: called with lines for a person, such as which images are skipped.
        as_classes: of other data each folder is a class, see `hclnet.read`; the run's own is read as it was trained on.
        ignore_unknown_classes: leave out images of classes that the run does not have.
        inference: settings of maps and boxes, such as `box="fixed:0.2"`.

    Raises:
        ValueError: the run, the data or a setting is not as it has to be; or the run's own images are not what they
            were when it was trained; or the box rule `auto` lacks what it needs at a size that is asked for.
    """
    run = Path(run)
    get_protocol(protocol)  # whether there is such a one, now and not after the work
    opened = open_run(run, data, split, device, on_bad_image, tell, as_classes, ignore_unknown_classes, **inference)
    localizer, dataset, scored = opened.localizer, opened.dataset, opened.split
    samples = dataset.split(scored)
    maps: list[ImageMaps] = []
    keep = (lambda _, one: maps.append(one)) if report else None
    home = Path(out) if out else opened.home(protocol)
    with locked(home, "evaluation"):
        doubts: list[str] = []
        with bar("Scoring") as progress:
            (records,) = evaluate_localizer(
                localizer, samples, dataset.ground_truth, None, opened.cache, progress, keep, protocol, doubts.append
            )
        for doubt in doubts if tell else ():
            tell(doubt)
        measured = {**summary(localizer, records), "data": opened.about}
        save(records, home / "records.npz")
        record_skipped(dataset, home)
        write_json(home / "figures.json", measured, indent=2)
        write_class_table(class_table(records.labels, dataset.classes, [hits(records)]), home / "classes.csv")
        page = None
        if report:
            page = write(
                evaluation_page(localizer, dataset, scored, records, maps, measured, run), home / "report.html"
            )
    return Evaluation(records, measured, home, page)


def write_class_table(rows: list[dict[str, Any]], path: Path) -> None:
    """A line a class; of each figure the value, and the ends of its 95 % interval as `..._low` and `..._high`."""
    flat = []
    for row in rows:
        line: dict[str, Any] = {}
        for name, value in row.items():
            ends = ("", "_low", "_high")
            line |= {name + end: v for end, v in zip(ends, value)} if isinstance(value, list) else {name: value}
        flat.append(line)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for line in flat for name in line)))
    writer.writeheader()
    writer.writerows(flat)
    write_text(path, text.getvalue())


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


def load(run: str | Path, device: Any = "auto") -> Localizer:
    """The localizer that a run left: `load("runs/mine").locate("photo.jpg").box`; `device` as text or as torch's."""
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
    samples, ground_truth, maps = [samples[i] for i in chosen], dataset.ground_truth, []
    try:
        check_truth(ground_truth, samples, image_sizes(samples))
    except ValueError:  # `evaluate` says it; what was learnt needs no ground truth to be shown
        ground_truth = GroundTruth()
    (records,) = evaluate_localizer(localizer, samples, ground_truth, keep=lambda _, one: maps.append(one))
    write(training_page(localizer, dataset, split, records, maps, out), out / "report.html")


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
