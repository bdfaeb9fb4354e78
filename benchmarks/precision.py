"""Whether it matters in which precision a run is trained, and in which it is used.

    python benchmarks/precision.py DATA... --out FOLDER [--preset fast] [--methods cam,hclnet]

Each method is trained in float32 and in bfloat16, and each of these runs locates in both. A line is a run, used in one
precision: its metrics, by how much they differ from those of the run in its own precision (for the run of bfloat16 in
bfloat16, from those of the run of float32 in float32) with a paired bootstrap interval over the images, and of how many
images the box of the true class is the same as there: IoU >= 0.9. What is finished in FOLDER is used again. Where a
processor does not multiply bfloat16 it is emulated, and slow.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import hclnet
from hclnet.data import find_split, read
from hclnet.localizer.evaluation import evaluate_localizer
from hclnet.localizer.localizer import Localizer
from hclnet.metrics import change, differences, load_records, resamples, save, weighted_metrics
from hclnet.settings import parse_settings, read_preset
from hclnet.training import is_finished
from hclnet.types import DataSet, Records
from hclnet_runtime.boxes import iou

PRECISIONS = ("float32", "bfloat16")
SHOWN = {"gt_known": "GT-known", "max_box_acc_v2": "MaxBoxAccV2"}
SAME = 0.9  # IoU


def trained(data: str, method: str, precision: str, out: Path, settings: dict) -> Path:
    """The folder of a run; it is trained, or goes on, if it is not finished."""
    run = out / f"{method}-{precision}"
    if not is_finished(run):
        hclnet.train(data, run, method, resume=run.exists(), log=print, report=False, precision=precision, **settings)
    return run


def located(dataset: DataSet, run: Path, precision: str, split: str) -> Records:
    """What a run makes of a split in a precision, whichever it was trained in; kept in the run."""
    file = run / f"{split}-in-{precision}.npz"
    if not file.is_file():
        localizer = Localizer.load(run)
        localizer.precision = precision
        localizer.to(localizer.device)
        (records,) = evaluate_localizer(localizer, dataset.split(find_split(dataset, split)), dataset.ground_truth)
        save(records, file)
    return load_records(file)


def agreement(ours: Records, theirs: Records) -> float:
    """The share of images whose boxes are the same; those of two that found nothing are."""
    pairs = zip(ours.boxes, theirs.boxes)
    return float(np.mean([np.array_equal(a, b) or iou(a[None], b[None])[0, 0] >= SAME for a, b in pairs]))


def lines(name: str, method: str, found: dict[tuple[str, str], Records]) -> list[list[str]]:
    """A row for each run and the precision it is used in."""
    drawn = resamples(len(next(iter(found.values()))))
    values = {pair: weighted_metrics(records, drawn) for pair, records in found.items()}
    rows = []
    for (precision, used), records in found.items():
        against = (PRECISIONS[0],) * 2 if used == precision else (precision,) * 2
        row = [name, method, precision, used]
        apart = differences([values[precision, used]], [values[against]])
        for figure in SHOWN:
            at = f"{100 * values[precision, used][figure][0]:.1f}"
            itself = against == (precision, used)
            row.append(at if itself else f"{at} ({change(apart[figure], '{} [{} to {}]')})")
        same_class = np.mean(records.top_classes[:, 0] == found[against].top_classes[:, 0])
        row += [f"{100 * share:.1f}" for share in (agreement(records, found[against]), same_class)]
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--methods", default="cam,hclnet")
    parser.add_argument("--split", default="test")
    parser.add_argument("--set", action="append", default=[], help="a setting of all trainings, KEY=VALUE")
    arguments = parser.parse_args()
    settings = {**read_preset(arguments.preset), **parse_settings(arguments.set)}
    rows = []
    for data in arguments.data:
        name, dataset = Path(data).name, read(data)
        for method in arguments.methods.split(","):
            found = {}
            for precision in PRECISIONS:
                run = trained(data, method, precision, arguments.out / name, settings)
                for used in PRECISIONS:
                    found[precision, used] = located(dataset, run, used, arguments.split)
            rows += lines(name, method, found)
    print("| data | method | trained in | used in |", " | ".join(SHOWN.values()), "| same box | same class |")
    print("|---" * (6 + len(SHOWN)) + "|")
    for row in rows:
        print("|", " | ".join(row), "|")


if __name__ == "__main__":
    main()
