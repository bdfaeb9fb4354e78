"""Several methods under one recipe, over seeds. What differs only in fusion or box rule is trained once."""

from __future__ import annotations

import hashlib
import json
import re
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np

from hclnet.boxes import parse_rule
from hclnet.config import Inference, RunConfig, parse_settings
from hclnet.data import describe, find_split, for_training, read
from hclnet.data.masks import check_truth, image_sizes
from hclnet.data.record import record_splits, record_truth, with_recorded_splits, without_recorded_skips
from hclnet.localizer.evaluation import evaluate_localizer
from hclnet.localizer.localizer import Localizer
from hclnet.maps.augmentation import views
from hclnet.methods import frozen_note, get_method
from hclnet.metrics import (
    PAIRED,
    Hits,
    Resampled,
    change,
    class_table,
    differences,
    get_protocol,
    hits,
    resamples,
    save,
    shown_metrics,
    weighted_figures,
)
from hclnet.progress import bar
from hclnet.report import ImageMaps, write
from hclnet.storage import locked, write_json
from hclnet.training import is_finished, learn_missing
from hclnet.workflows.api import make_config, summary, train_on, write_class_table
from hclnet.workflows.pages import MethodScores, column, comparison_page
from hclnet.workflows.runs import about_data, check_images, check_same_data

_COMMA = re.compile(r",(?![^\[]*\])")  # none inside of a list


def split_specs(text: str) -> list[str]:
    """`cam,hclnet:branches=1,fusion=max,acol` -> its three methods.

    A comma starts a new method unless what follows is a setting of the one before: `key=value`.
    """
    specs: list[str] = []
    for piece in (p.strip() for p in _COMMA.split(text)):
        if not piece:
            continue
        is_setting = "=" in piece and ":" not in piece.split("=")[0]
        if is_setting and not specs:
            raise ValueError(f"--methods starts with a setting, {piece!r}. Name a method first: hclnet:{piece}.")
        if is_setting:
            specs[-1] += ("," if ":" in specs[-1] else ":") + piece
        else:
            specs.append(piece)
    if not specs:
        raise ValueError("--methods names no method. For example: --methods cam,acol,hclnet.")
    return specs


def parse_spec(spec: str) -> tuple[str, dict[str, Any]]:
    """`hclnet:branches=1,fusion=max` -> its name and settings."""
    name, _, rest = spec.partition(":")
    return name, parse_settings([piece for piece in _COMMA.split(rest) if piece])


def compare(
    data: str | Path,
    methods: Sequence[str],
    out: str | Path,
    seeds: int = 1,
    split: str = "test",
    tell: Callable[[str], None] | None = None,
    report: bool = True,
    protocol: str = "hclnet",
    tables: str | Path | None = None,
    **settings: Any,
) -> list[dict[str, Any]]:
    """Train and score methods under one recipe; finished runs in `out` are used again, unfinished ones go on.

    Args:
        data: as for `train`.
        methods: such as `["cam", "hclnet", "hclnet:branches=1,fusion=max"]`; what is there twice is done once.
        out: a folder for `compare.json`, `report.html`, `runs/` and the records.
        seeds: how many, from 0 (or from the `seed` among the settings).
        split: that is scored.
        tell: called with lines for a person.
        report: write the report.
        protocol: that localization is scored under, `hclnet` or `wsoleval`.
        tables: a folder for all but the runs, where several comparisons share these in `out`.
        settings: of training, for all methods alike.

    Returns:
        Rows, as in `compare.json`: method, settings, seed, figures with their intervals. Those of the methods after the
        first also have, as `difference`, by how much their medians over seeds exceed the first's: `[value, low, high]`.

    Raises:
        ValueError: a method, a setting or the data is not as it has to be. All are checked before the first training.
    """
    out = Path(out)
    with ExitStack() as held:
        if out.exists():  # a folder that it makes, it has once all is checked
            held.enter_context(locked(out, "comparison"))
        return _compare(data, methods, out, seeds, split, tell, report, protocol, Path(tables or out), held, settings)


def _compare(
    data: str | Path,
    methods: Sequence[str],
    out: Path,
    seeds: int,
    split: str,
    tell: Callable[[str], None] | None,
    report: bool,
    protocol: str,
    home: Path,
    held: ExitStack,
    settings: dict[str, Any],
) -> list[dict[str, Any]]:
    get_protocol(protocol)  # whether there is such a one, now and not after the training
    specs = _distinct([(spec, *parse_spec(spec)) for spec in methods])
    plan: dict[str, tuple[RunConfig, list[tuple[str, dict[str, Any], RunConfig]]]] = {}
    first = make_config(data, specs[0][1], seed=settings.pop("seed", None)).seed
    for seed in range(first, first + seeds):
        for spec, name, own in specs:
            config = make_config(data, name, **{**settings, **own, "seed": seed})
            plan.setdefault(_key(config), (config, []))[1].append((spec, own, config))
    # One split for all that is ever compared in a folder, whatever seeds and files come to it later.
    as_classes = any(config.as_classes for config, _ in plan.values())
    dataset = for_training(read(data, first, as_classes))
    dataset = without_recorded_skips(with_recorded_splits(dataset, out), out)
    variants = [variant for _, members in plan.values() for *_, variant in members]
    for variant in variants:
        variant.inference.check(dataset.classes)
    if tell:
        tell(describe(dataset))
        tell(f"{len(specs)} methods x {seeds} seeds: {len(plan)} trainings, since fusion and box rule need none")
        for note in dict.fromkeys(frozen_note(config.method, config.tune) for config, _ in plan.values()):
            if note:
                tell(note)
    dataset.split(find_split(dataset, split))  # whether there is one, before anything is decoded
    skip = all(variant.on_bad_image == "skip" for variant in variants)
    dataset = check_images(dataset, "skip" if skip else "fail", tell)
    samples = dataset.split(find_split(dataset, split))
    check_truth(dataset.ground_truth, samples, image_sizes(samples), tell)  # before the trainings, not after the first
    expected = check_same_data(dataset, out, samples[0].split, skip, tell)
    about = about_data(dataset, samples[0].split, data, expected)
    for folder in (out, home):
        held.enter_context(locked(folder, "comparison"))
    record_splits(dataset, out, keep=True)
    rows: dict[tuple[int, str], dict[str, Any]] = {}
    drawn = resamples(len(samples))  # the same for all, so that they are paired
    values: dict[str, list[Resampled]] = {spec: [] for spec, *_ in specs}
    right: dict[str, list[Hits]] = {spec: [] for spec, *_ in specs}
    scores = {spec: MethodScores("") for spec, *_ in specs}
    for number, (config, members) in enumerate(plan.values(), 1):
        run = _place(out / "runs", config)
        label = f"[{number}/{len(plan)}] {members[0][0]} seed {config.seed}"
        if is_finished(run):
            localizer = Localizer.load(run, config.device)
            if localizer.classes != dataset.classes:
                raise ValueError(f"{run} has its classes in another order than {out}. Name another folder with --out.")
        else:
            result = train_on(dataset, config, run, resume=run.exists(), label=label)
            if not result.finished:
                raise KeyboardInterrupt
            localizer = result.localizer
        cache = config.tune == "heads"
        variants, pictured = [m[2].inference for m in members], report and config.seed == first
        looks = [view for v in variants if "foreground" in parse_rule(v.box).needs for view in views(v, localizer.size)]
        with locked(run, "comparison"):
            record_truth(dataset, run)
            if learn_missing(localizer, dataset.split("train"), looks):
                localizer.save(run / "localizer")
        maps: list[list[ImageMaps]] = [[] for _ in members]
        keep = (lambda k, one, maps=maps: maps[k].append(one)) if pictured else None
        with bar(f"{label}: scoring") as progress:
            tables = evaluate_localizer(
                localizer, samples, dataset.ground_truth, variants, cache, progress, keep, protocol
            )
        for (spec, own, variant), records, kept in zip(members, tables, maps):
            shown = localizer.with_inference(**variant.inference.model_dump())
            row = {"method": spec.partition(":")[0], "settings": own, "seed": config.seed}
            recipe = {k: v for k, v in config.training_key().items() if k not in ("data", "method", "options", "seed")}
            values[spec].append(weighted_figures(records, drawn))
            right[spec].append(hits(records))
            measured = summary(shown, records, values[spec][-1])
            row |= {k: v for k, v in measured.items() if k != "method"} | {"data": about, "recipe": recipe}
            kept_as = run / f"records-{_slug(variant.inference, protocol)}.npz"
            save(records, kept_as)
            files = {"run": run, "records": kept_as}
            rows[config.seed, spec] = row | {name: file.relative_to(out).as_posix() for name, file in files.items()}
            if report:
                scores[spec].name = title(row)
                scores[spec].add(records, row)
            if pictured:
                scores[spec].column = column(title(row), shown, records, kept)
        write_json(home / "compare.json", _ordered(rows, specs, first, seeds), indent=1)
    baseline = specs[0][0]
    for (_, spec), row in rows.items():
        if spec != baseline:
            row["difference"] = differences(values[spec], values[baseline])
    ordered = _ordered(rows, specs, first, seeds)
    write_json(home / "compare.json", ordered, indent=1)
    labels, by_class = np.array([s.label for s in samples]), []
    for spec, *_ in specs:
        lines = class_table(labels, dataset.classes, right[spec], right[baseline] if spec != baseline else ())
        by_class += [{"method": title(rows[first, spec]), **line} for line in lines]
    write_class_table(by_class, home / "classes.csv")
    if report:
        page = comparison_page(
            dataset,
            samples[0].split,
            list(scores.values()),
            summarise(ordered),
            caption(ordered),
            range(first, first + seeds),
            [(key.replace("_", " "), _either([row["recipe"] for row in ordered], key)) for key in ordered[0]["recipe"]],
        )
        write(page, home / "report.html")
    return ordered


def run_folder(out: Path, row: dict[str, Any]) -> Path:
    """The run behind a row of `compare`."""
    return out / row["run"]


def _key(config: RunConfig) -> str:
    return json.dumps(config.training_key(), sort_keys=True)


def _place(runs: Path, config: RunConfig) -> Path:
    """The folder of this training among the runs: the one that holds it, or a new one's."""
    key = _key(config)
    place = runs / f"{config.method}-{hashlib.sha256(key.encode()).hexdigest()[:8]}-seed{config.seed}"
    if not place.exists():
        # An earlier version, which lacked a setting that is now at its default, named its folder after fewer.
        for file in sorted(runs.glob(f"{config.method}-*-seed{config.seed}/config.yaml")):
            with suppress(ValueError):
                other = RunConfig.load(file)
                options = get_method(other.method).Options(**other.options).model_dump()
                if _key(other.model_copy(update={"options": options})) == key:
                    return file.parent
    return place


def _distinct(specs: list[tuple[str, str, dict[str, Any]]]) -> list[tuple[str, str, dict[str, Any]]]:
    seen: dict[str, tuple[str, str, dict[str, Any]]] = {}
    for spec, name, own in specs:
        seen.setdefault(json.dumps([name, own], sort_keys=True), (spec, name, own))
    return list(seen.values())


def _ordered(rows: dict, specs: list, first: int, seeds: int) -> list[dict[str, Any]]:
    keys = [(seed, spec) for spec, *_ in specs for seed in range(first, first + seeds)]
    return [rows[key] for key in keys if key in rows]


def _slug(inference: Inference, protocol: str) -> str:
    told = inference.model_dump_json() + ("" if protocol == "hclnet" else protocol)
    return hashlib.sha256(told.encode()).hexdigest()[:8]


def summarise(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line per method and settings: `{"method": ..., "seeds": n, metric: (median, lowest, highest)}`.

    And, but for the first, `difference`: by how much its medians exceed the first's, `{metric: [value, low, high]}`.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(title(row), []).append(row)
    lines = []
    for name, members in groups.items():
        line: dict[str, Any] = {"method": name, "seeds": len(members), "images": members[0]["images"]}
        for metric in (m.key for m in shown_metrics()):
            if all(metric in m for m in members):
                values = [m[metric] for m in members]
                line[metric] = (statistics.median(values), min(values), max(values))
        if "difference" in members[0]:
            line["difference"] = members[0]["difference"]
        lines.append(line)
    return lines


def title(row: dict[str, Any]) -> str:
    """How a row is called in a table: the method and what was set for it."""
    own = ", ".join(f"{k}={v}" for k, v in row["settings"].items())
    return f"{row['method']} ({own})" if own else row["method"]


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table of `summarise` in Markdown, in percent, median and spread over seeds, with its protocol."""
    lines = summarise(rows)
    shown = [m.key for m in shown_metrics() if any(m.key in line for line in lines)]
    table = ["| method | " + " | ".join(shown) + " |", "|---" * (len(shown) + 1) + "|"]
    for line in lines:
        table.append(f"| {line['method']} | " + " | ".join(_cell(line.get(m)) for m in shown) + " |")
    table += ["", caption(rows)]
    others = [line for line in lines if "difference" in line]
    if others:
        table += ["", f"| minus {lines[0]['method']} | " + " | ".join(shown) + " |", "|---" * (len(shown) + 1) + "|"]
        for line in others:
            cells = (change(line["difference"].get(m), "{} [{} to {}]") for m in shown)
            table.append(f"| {line['method']} | " + " | ".join(cells) + " |")
        table += ["", PAIRED]
    return "\n".join(table)


def caption(rows: Sequence[dict[str, Any]]) -> str:
    """What the figures are: unit, images, seeds, protocol, recipe."""
    seeds = len({row["seed"] for row in rows})
    over = f"median over {seeds} seeds with the lowest and highest" if seeds > 1 else "one seed"
    text = f"Percent; {over}; {rows[0]['images']} images."
    if protocols := [row["protocol"] for row in rows if "protocol" in row]:
        told = {key: _either(protocols, key) for key in ("name", "map_size", "upsampling")}
        text += (
            f" Protocol {told['name']}: maps of {told['map_size']} px, {told['upsampling']} upsampling; "
            f"gt_known and top-k loc at box rule {_either(rows, 'box')}."
        )
    if any("crops" in row for row in rows):
        text += " Classification, and so top-k loc, by the mean of ten crops."
    if len(looks := {row.get("looks", "") for row in rows}) == 1 and (told := looks.pop()):
        text += f" Images seen {told}."
    recipe = {key: _either([row["recipe"] for row in rows], key) for key in rows[0]["recipe"]}
    text += (
        f" Recipe: {recipe['backbone']}, output stride {recipe['output_stride']}, {recipe['size']} px, "
        f"tune {recipe['tune']}, {recipe['epochs']} epochs."
    )
    notes = (frozen_note(row["method"], row["recipe"]["tune"]) for row in rows)
    return " ".join([text, *filter(None, dict.fromkeys(notes))])


def _either(settings: Sequence[dict[str, Any]], key: str) -> str:
    """What a setting is for all rows, or each value that it has for some: `12 or 20`."""
    return " or ".join(dict.fromkeys(str(one[key]) for one in settings))


def _cell(value: tuple[float, float, float] | None) -> str:
    if value is None:
        return "-"
    median, low, high = (100 * v for v in value)
    return f"{median:.1f}" if low == high else f"{median:.1f} [{low:.1f} to {high:.1f}]"
