"""The paper's Figure 1 as a measurement: how much of the head and of the body each method's map covers.

    python benchmarks/parts_coverage.py OUT [--cues 0,0.5,1] [--methods cam,acol,hclnet] [--seeds 3] [--size 320]
        [--train 16] [--epochs 12]

Draws `parts` at each `body_cue` (how often the plumage of the body tells the species; the head always does), trains the
methods on labels alone, and reads their maps of the true class on the test images. Per image, from the part masks:

- coverage of a part: the share of its visible pixels in the box that the box rule draws;
- heat: the mean of the heatmap on it, which needs no rule.

"head" is head, beak and crown; "body" is body, tail and legs; "rest" is what is not bird.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np

from hclnet.data import read
from hclnet.localizer.localizer import Localizer
from hclnet.paper.coverage import GROUPS, part_coverage
from hclnet.synthetic import PartsOptions, write
from hclnet.workflows.compare import compare, run_folder
from hclnet.workflows.table import title


def measure(localizer: Localizer, data: Path) -> dict[str, float]:
    """Mean coverage and heat by region, over the test images of `data`."""
    found = part_coverage(localizer, read(data).split("test"), data)
    return {name: float(np.mean(values)) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--cues", default="0,0.5,1")
    parser.add_argument("--methods", default="cam,acol,hclnet")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--classes", type=int, default=8)
    parser.add_argument("--train", type=int, default=16)
    parser.add_argument("--test", type=int, default=8)
    chosen = parser.parse_args()
    columns = [f"{what} {name}" for what in ("coverage", "heat") for name in (*GROUPS, "rest")]
    columns += ["top1_cls", "gt_known", "max_box_acc"]
    print("| body_cue | method | " + " | ".join(columns) + " |\n" + "|---" * (len(columns) + 2) + "|")
    for cue in (float(c) for c in chosen.cues.split(",")):
        data = chosen.out / f"cue-{cue:g}" / "data"
        if not (data / "parts.json").exists():
            write(PartsOptions(chosen.classes, chosen.train, chosen.test, chosen.size, cue), data)
        recipe = {"size": chosen.size, "epochs": chosen.epochs}
        rows = compare(data, chosen.methods.split(","), data.parent, seeds=chosen.seeds, report=False, **recipe)
        found: dict[str, list[dict[str, float]]] = {}
        for row in rows:
            localizer = Localizer.load(run_folder(data.parent, row))
            found.setdefault(title(row), []).append(measure(localizer, data) | row)
        for name, measured in found.items():
            cells = []
            for column in columns:
                values = sorted(100 * f[column] for f in measured)
                cells.append(f"{statistics.median(values):.0f} [{values[0]:.0f} to {values[-1]:.0f}]")
            print(f"| {cue:g} | {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
