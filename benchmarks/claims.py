"""What measurements say of the paper's claims: paired differences between rows of comparisons, from their records.

    M=cam,acol,acol:fusion=addition,acol:fusion=l1,hclnet:fusion=max,hclnet,hclnet:fusion=l1,hclnet:branches=1
    hclnet compare DATA --methods $M --seeds 3 --out OUT
    python benchmarks/claims.py OUT [OUT ...]

Each difference is between medians over seeds, in points, with its 95 % interval over the images, paired; a star where
that is without 0. Both sides of a claim have to be in `OUT/compare.json`; claims that lack one are left out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from hclnet.metrics import Resampled, change, differences, load_records, resamples, weighted_metrics
from hclnet.workflows.table import title

METRICS = ("top1_cls", "top1_loc", "gt_known", "max_box_acc", "max_box_acc_v2", "pxap")
CLAIMS = (
    ("C-CAM for the threshold, max", "hclnet (fusion=max)", "acol"),
    ("C-CAM for the threshold, addition", "hclnet", "acol (fusion=addition)"),
    ("C-CAM for the threshold, l1-norm", "hclnet (fusion=l1)", "acol (fusion=l1)"),
    ("addition for max, threshold", "acol (fusion=addition)", "acol"),
    ("addition for max, C-CAM", "hclnet", "hclnet (fusion=max)"),
    ("l1-norm for addition, threshold", "acol (fusion=l1)", "acol (fusion=addition)"),
    ("l1-norm for addition, C-CAM", "hclnet (fusion=l1)", "hclnet"),
    ("HCLNet for ACoL", "hclnet", "acol"),
    ("HCLNet for CAM", "hclnet", "cam"),
    ("two branches for one of the same depth", "hclnet", "hclnet (branches=1)"),
)


def measured(out: Path) -> dict[str, list[Resampled]]:
    """The metrics of each method over resamples of the images, a seed each."""
    found: dict[str, list[Resampled]] = {}
    rows: list[dict[str, Any]] = json.loads((out / "compare.json").read_text(encoding="utf-8"))
    for row in rows:
        records = load_records(out / row["records"])
        found.setdefault(title(row), []).append(weighted_metrics(records, resamples(len(records))))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, nargs="+", help="folders of hclnet compare")
    for out in parser.parse_args().out:
        found = measured(out)
        print(f"{out}: {len(next(iter(found.values())))} seeds\n")
        print("| instead | " + " | ".join(METRICS) + " |\n" + "|---" * (len(METRICS) + 1) + "|")
        for claim, ours, baseline in CLAIMS:
            if ours in found and baseline in found:
                gained = differences(found[ours], found[baseline])
                cells = []
                for metric in METRICS:
                    value = gained.get(metric)
                    sure = value is not None and (value[1] > 0 or value[2] < 0)
                    cells.append(change(value, "{} [{} to {}]") + (" \\*" if sure else ""))
                print(f"| {claim} | " + " | ".join(cells) + " |")
        print()


if __name__ == "__main__":
    main()
