"""How right the boxes are on real images: several sets, methods, seeds and box rules in one table.

    python benchmarks/real_images.py [SETS...] --work FOLDER [--shared ../shared] [--side choose] [--worst 20]
        [--methods cam,acol,hclnet] [--seeds 3] [--preset fast] [--rules auto,otsu3,fixed:0.2] [--out table.md]

SETS are names of sets in the shared folder (all five by default) or paths of other data with boxes. Such data has its
own splits, which both sides train on and test. `--side choose` is to decide on: folds of the training images, each
tested by a run that was trained on the others, and of imagenette224, whose training images have no boxes, half A of the
test images. `--side report` is to be looked at when all is decided: the test images, and half B.

A fold's run has fewer training images than one of `--side report`, and so takes fewer steps in as many epochs, which
matters in small sets: `--set epochs=12` makes up for it with three folds and a preset of 8 epochs.

The same call goes on where it was interrupted. The name of a run's folder has a key of its training images, its
settings and the code. Records and found objects are kept beside the runs. A change of the box rules makes the records
anew, and trains nothing again.

The first table has percentages, over seeds the median and [lowest to highest]:

- centered: GT-known of the best box that is the same in every image and lies in its center. It looks at nothing.
- best, best V2: GT-known and BoxAccV2 at the single threshold that is best for all images of the row, chosen for each.
- any: the share of images in which some threshold is right (IoU >= 0.5).
- of each rule GT-known, BoxAccV2 and mean IoU, and then differences in points, each with a paired 95 % bootstrap
  interval over the images: of the rule from the best threshold, and in GT-known of the method from cam.

The rows `mean` have the mean over the sets. Sets with several objects an image have recall and AP50 in a second table.
With `--worst N` the folder `sheets` gets a picture of the N images whose boxes are worst, for each set and method, at
the first rule and the first seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import hclnet
from hclnet.metrics import METRICS, Metric, Resampled, change, differences, intervals, resamples
from hclnet.metrics.registry import V2_IOUS, boxed, mean_share, share, total_counts, values
from hclnet.storage import write_json, write_text
from hclnet.types import Records
from hclnet_runtime.boxes import parse_rule
from real_objects import object_metrics
from real_options import add_options, open_chosen
from real_runs import Part, code_versions, evaluate_parts, make_parts
from real_sets import RealSet, best_centered
from real_sheets import draw_worst

BASELINE = "cam"
MEAN = "mean"


def overlap(records: Records, iou_threshold: float) -> np.ndarray:
    """The IoU of the rule's box; 0 without a ground-truth box."""
    return np.nan_to_num(records.iou.astype(np.float64))


def right_somewhere(records: Records, iou_threshold: float) -> np.ndarray:
    """Images in which the largest component is right at some level."""
    return (records.level_iou >= iou_threshold).any(axis=1)


def v2_at_levels(records: Records, iou_threshold: float) -> np.ndarray:
    """At each level, the share of the IoUs of BoxAccV2 that the largest component's box reaches."""
    return np.mean([records.level_iou >= iou for iou in V2_IOUS], axis=0)


def best_mean(of: np.ndarray, at_levels: np.ndarray) -> np.ndarray:
    """The mean at the level that is best for all images together."""
    return mean_share(of, at_levels.max(axis=1)[:, None])


MEASURED = (
    *(METRICS[key] for key in ("gt_known", "box_acc_v2", "max_box_acc")),
    Metric("mean_iou", (boxed, overlap), share),
    Metric("best_box_acc_v2", (boxed, v2_at_levels), best_mean),
    Metric("any", (boxed, right_somewhere), share),
)
AGAINST_BEST = {"gt_known": "max_box_acc", "box_acc_v2": "best_box_acc_v2"}


@dataclass
class Row:
    """One set, method and rule.

    Attributes:
        name: of the set.
        method: its name.
        rule: the box rule.
        images: tested images with a ground-truth box.
        centered: GT-known of the best centered box.
        seeds: the metrics over `resamples` of the images, for each seed.
        objects: recall and AP50 for each seed, if they were computed.
    """

    name: str
    method: str
    rule: str
    images: int
    centered: float
    seeds: list[Resampled]
    objects: list[dict[str, float]] = field(default_factory=list)

    def against_best(self) -> dict[str, list[float]]:
        """By how much the rule exceeds the best threshold, for GT-known and BoxAccV2."""
        best = [{rule: seed[best] for rule, best in AGAINST_BEST.items()} for seed in self.seeds]
        return differences([{key: seed[key] for key in AGAINST_BEST} for seed in self.seeds], best)

    def against(self, other: Row | None) -> dict[str, list[float]]:
        """By how much the method exceeds another one under the same rule; nothing if there is no other."""
        return {} if other is None or other is self else differences(self.seeds, other.seeds)


def measured(records: Records, drawn: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics of records over resamples of their images."""
    counts = tuple(count for metric in MEASURED for count in metric.counts)
    return values(list(MEASURED), total_counts(records, drawn, counts))


def mean_rows(rows: Sequence[Row]) -> list[Row]:
    """For each method and rule a row of the mean over the sets, whose images are resampled independently."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.method, row.rule), []).append(row)
    pooled = []
    for (method, rule), sets in groups.items():
        alike = zip(*(row.seeds for row in sets))
        seeds = [{key: np.mean([one[key] for one in same], axis=0) for key in same[0]} for same in alike]
        centered = float(np.mean([row.centered for row in sets]))
        pooled.append(Row(MEAN, method, rule, sum(row.images for row in sets), centered, seeds))
    return pooled


def spread(numbers: Sequence[float]) -> str:
    """The median in percent, of several numbers with the lowest and the highest."""
    low, middle, high = (f"{100 * f(numbers):.1f}" for f in (min, np.median, max))
    return middle if len(numbers) == 1 else f"{middle} [{low} to {high}]"


def boxes_table(rows: Sequence[Row]) -> list[str]:
    """The Markdown table of boxes, a line a row."""
    baselines = {(row.name, row.rule): row for row in rows if row.method == BASELINE}
    heads = [
        "set",
        "images",
        "centered",
        "method",
        "best",
        "best V2",
        "any",
        "rule",
        "GT-known",
        "BoxAccV2",
        "mean IoU",
    ]
    heads += ["minus best", "V2 minus best V2", f"minus {BASELINE}"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        over_best, over_baseline = row.against_best(), row.against(baselines.get((row.name, row.rule)))
        cells = [row.name, str(row.images), f"{100 * row.centered:.1f}", row.method]
        at = {key: spread([float(seed[key][0]) for seed in row.seeds]) for key in row.seeds[0]}
        cells += [at["max_box_acc"], at["best_box_acc_v2"], at["any"], row.rule]
        cells += [at["gt_known"], at["box_acc_v2"], at["mean_iou"]]
        of = (over_best["gt_known"], over_best["box_acc_v2"], over_baseline.get("gt_known"))
        cells += [change(value, "{} [{} to {}]") for value in of]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def objects_table(rows: Sequence[Row], sets: dict[str, RealSet]) -> list[str]:
    """The same of sets with several objects an image; empty if there are none."""
    several = [row for row in rows if row.objects]
    if not several:
        return []
    lines = ["| set | images | objects | method | rule | recall | AP50 |", "|---" * 7 + "|"]
    for row in several:
        cells = [row.name, str(row.images), str(sets[row.name].objects), row.method, row.rule]
        cells += [spread([seed[key] for seed in row.objects]) for key in ("recall", "ap50")]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def as_json(row: Row, baseline: Row | None) -> dict[str, Any]:
    """A row with all that the tables have, in fractions."""
    return {
        "set": row.name,
        "method": row.method,
        "rule": row.rule,
        "images": row.images,
        "centered": row.centered,
        "seeds": [{key: float(value[0]) for key, value in seed.items()} for seed in row.seeds],
        "intervals": [intervals(seed) for seed in row.seeds],
        "minus_best": row.against_best(),
        f"minus_{BASELINE}": row.against(baseline),
        "objects": row.objects,
    }


def measure(real: RealSet, number: int, chosen: argparse.Namespace, settings: dict[str, Any]) -> list[Row]:
    """The rows of one set: everything is trained and measured that is not there yet."""
    rules, centered = chosen.rules.split(","), best_centered(real)[0]
    drawn, rows = resamples(len(real.tested), seed=number), []
    for method in chosen.methods.split(","):
        seeds: list[list[Part]] = []
        by_rule: dict[str, list[Resampled]] = {rule: [] for rule in rules}
        for seed in range(chosen.seeds):
            seeds.append(make_parts(real, method, seed, settings, chosen.work))
            for part in seeds[-1]:
                part.train()
            tables = evaluate_parts(seeds[-1], rules)
            for rule, records in zip(rules, tables):
                by_rule[rule].append(measured(records, drawn))
            if chosen.worst and seed == 0:
                sheet = chosen.work / "sheets" / f"{real.name}-{chosen.side}-{method}.png"
                draw_worst(seeds[-1], tables[0], chosen.worst, sheet)
                print(f"{sheet}: the worst {chosen.worst} at {rules[0]}", flush=True)
        for rule in rules:
            rows.append(Row(real.name, method, rule, len(real.boxed), centered, by_rule[rule]))
            if real.has_several and rule in chosen.object_rules.split(","):
                rows[-1].objects = [object_metrics(real, [part.objects(rule) for part in parts]) for parts in seeds]
            print(boxes_table(rows)[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, methods="cam,acol,hclnet")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rules", default="auto,otsu3,fixed:0.2", help="box rules, the default one first")
    parser.add_argument("--object-rules", help="those that several objects are found with; the first by default")
    parser.add_argument("--worst", type=int, default=0, help="draw so many of the worst images of each set and method")
    parser.add_argument("--out", type=Path, help="Markdown, with JSON beside it; WORK/table-SIDE.md by default")
    chosen = parser.parse_args()
    chosen.object_rules = chosen.object_rules or chosen.rules.split(",")[0]
    out = chosen.out or chosen.work / f"table-{chosen.side}.md"
    try:
        for rule in {*chosen.rules.split(","), *chosen.object_rules.split(",")}:
            parse_rule(rule)
        if chosen.seeds < 1:
            raise ValueError(f"--seeds is {chosen.seeds}; name 1 or more.")
    except ValueError as error:
        parser.error(str(error))
    settings, opened = open_chosen(parser, chosen)
    sets = {real.name: real for real in opened}
    rows = []
    for number, real in enumerate(opened):
        rows += measure(real, number, chosen, settings)
    if len(opened) > 1:
        rows += mean_rows(rows)
    side = f"Side: {chosen.side}" + (f", {chosen.folds} folds" if chosen.side == "choose" else "")
    recipe = ", ".join([f"Preset {chosen.preset}", *chosen.set, f"{chosen.seeds} seeds"])
    head = f"{side}. {recipe}. Percent; hclnet {hclnet.__version__}."
    text = "\n".join([head, "", *boxes_table(rows), "", *objects_table(rows, sets)]).rstrip() + "\n"
    baselines = {(row.name, row.rule): row for row in rows if row.method == BASELINE}
    told = {key: str(value) if isinstance(value, Path) else value for key, value in vars(chosen).items()}
    content = {"arguments": told, "settings": settings, "version": hclnet.__version__, "code": code_versions()[1]}
    content["rows"] = [as_json(row, baselines.get((row.name, row.rule))) for row in rows]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, text)
    write_json(out.with_suffix(".json"), content, indent=1)
    print(f"\n{text}\n{out}")


if __name__ == "__main__":
    main()
