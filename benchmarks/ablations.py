"""What pays and what does not: the tables of docs/ablations-cut-outs.md, each row against the first of its table.

    python benchmarks/ablations.py DATA [--only augmentation,branches] [--seeds 3] [--size 448] [--epochs 12]
        [--out runs/ablations]

Trainings are shared among the tables and kept: what is there already is not trained again, and a run that was stopped
goes on. The rows of `augmentation` and `fusion` need one training between them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hclnet.workflows.compare import compare
from hclnet.workflows.table import markdown

TABLES = {
    "augmentation": [
        "hclnet",
        "hclnet:flip=true",
        "hclnet:scales=1.3",
        "hclnet:scales=1.3,flip=true",
        "hclnet:scales=1.5",
        "hclnet:scales=1.5,flip=true",
        "hclnet:scales=[1,1.3,1.5],flip=true",
    ],
    "fusion": [
        "hclnet",
        "hclnet:fusion=max",
        "hclnet:fusion=l1",
        "hclnet:branch_normalization=raw",
        "hclnet:branch_normalization=relu",
        "hclnet:upsampling=bicubic",
        "hclnet:upsample_first=true",
        "hclnet:map_size=112",
        "hclnet:map_size=448",
    ],
    "branches": ["hclnet", "hclnet:branches=1", "hclnet:branches=3", "hclnet:branches=4", "hclnet:gradient=attached"],
    "features": ["hclnet", "hclnet:stages=2", "hclnet:stages=3", "hclnet:label_smoothing=0.1"],
    "backbones": [
        "hclnet",
        "hclnet:output_stride=8",
        "hclnet:backbone=efficientnet_lite1",
        "hclnet:backbone=efficientnet_lite2",
    ],
    "sizes": ["hclnet:size=224", "hclnet:size=320", "hclnet:size=448", "hclnet:size=576"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--only", default=",".join(TABLES), help=f"some of {', '.join(TABLES)}")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, help="of every training; the plain recipe's by default")
    parser.add_argument("--split", default="test")
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"))
    arguments = parser.parse_args()
    names = [name.strip() for name in arguments.only.split(",")]
    if unknown := set(names) - set(TABLES):
        parser.error(f"--only: there is no table {min(unknown)}; there are {', '.join(TABLES)}.")
    common = {key: getattr(arguments, key) for key in ("seeds", "split", "size", "epochs")} | {"tune": "heads"}
    for name in names:
        # `compare` writes its own files next to its runs: one folder for all tables, so that they share these.
        rows = compare(arguments.data, TABLES[name], arguments.out, report=False, **common)
        table = f"## {name}\n\n{markdown(rows)}\n"
        (arguments.out / f"{name}.md").write_text(table, encoding="utf-8")
        print(table, flush=True)


if __name__ == "__main__":
    main()
