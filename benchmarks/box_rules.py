"""Every box rule on every run, against the single threshold that is best for all of a run's test images together.

    python benchmarks/box_rules.py DATA RUN... [--split test]

GT-known, for methods with several branches under each fusion; runs that differ only in the seed make one line, of their
median. The best single threshold takes ground-truth boxes to find; with each rule goes by how
much it differs, with a paired bootstrap interval over the images in which the best threshold is chosen anew each time.
A run that lacks the foreground score for a size that it looks at learns it here, from the training images that it
records; it is not saved.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hclnet.config import RunConfig
from hclnet.data import DataSet, find_split, read
from hclnet.data.record import with_recorded_splits
from hclnet.localizer.evaluation import evaluate_localizer
from hclnet.localizer.localizer import Localizer
from hclnet.methods.branch import Branch
from hclnet.metrics import Resampled, change, differences, resamples, weighted_metrics
from hclnet.training import learn_missing

RULES = ("auto", "otsu3", "fixed:0.2")
FUSIONS = ("max", "addition", "l1")


def score(dataset: DataSet, run: Path, split: str) -> Iterator[tuple[tuple[str, ...], dict[str, Resampled]]]:
    """For each fusion of a run what its line is called, and for each rule its metrics over `resamples`."""
    localizer, config = Localizer.load(run), RunConfig.load(run / "config.yaml")
    dataset = with_recorded_splits(dataset, run)
    learn_missing(localizer, dataset.split("train"), localizer.views)
    samples = dataset.split(find_split(dataset, split))
    branches = sum(isinstance(module, Branch) for module in localizer.method.modules())
    fusions = FUSIONS if branches > 1 else (localizer.fusion,)
    settings = [localizer.inference.model_copy(update={"fusion": f, "box": r}) for f in fusions for r in RULES]
    tables = evaluate_localizer(localizer, samples, dataset.ground_truth, settings, cache=config.tune == "heads")
    drawn = resamples(len(samples))
    values = [weighted_metrics(records, drawn) for records in tables]
    for number, fusion in enumerate(fusions):
        name = f"{config.size} px", config.method, fusion if branches > 1 else "one branch"
        yield name, dict(zip(RULES, values[number * len(RULES) :]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--split", default="test")
    arguments = parser.parse_args()
    dataset, lines = read(arguments.data), {}
    for run in arguments.runs:
        for name, by_rule in score(dataset, run, arguments.split):
            for rule, values in by_rule.items():
                lines.setdefault(name, {}).setdefault(rule, []).append(values)
    print("| size | method | maps | seeds | best threshold |", " | ".join(RULES), "|")
    print("|---" * (5 + len(RULES)) + "|")
    for name, by_rule in sorted(lines.items()):
        best = [{"gt_known": values["max_box_acc"]} for values in by_rule[RULES[0]]]
        cells = [str(len(best)), f"{100 * np.median([values['gt_known'][0] for values in best]):.1f}"]
        for rule in RULES:
            at = 100 * np.median([values["gt_known"][0] for values in by_rule[rule]])
            apart = differences([{"gt_known": v["gt_known"]} for v in by_rule[rule]], best)["gt_known"]
            cells.append(f"{at:.1f} ({change(apart, '{} [{} to {}]')})")
        print("|", " | ".join((*name, *cells)), "|", flush=True)


if __name__ == "__main__":
    main()
