"""How much longer do training and locating take at one commit than at another?

    python benchmarks/two_commits.py 1209878 . --data DATA --images PHOTOS [--preset fast] [--rounds 3]
    python benchmarks/two_commits.py 1209878 . --run RUN --images PHOTOS           # locating alone

Each round trains on DATA with the code of both commits, `.` for the working tree, and then boxes the images of the
folder PHOTOS with each one's own run; which is first changes from round to round. Each command is a process of its own
with an empty cache of features, so that its start counts too. A round before them, of one epoch, compiles what Numba
keeps, and is not counted. Printed are the median seconds, those of the processor, which others on the machine lengthen
less, and the median of the rounds' ratios [lowest to highest].
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from first_run import processor_seconds
from golden_side import check_out, commit_of

Times = dict[str, tuple[float, float]]
"""By verb, seconds and processor seconds."""


def timed(tree: Path, work: Path, *words: object) -> tuple[float, float]:
    """Seconds and processor seconds of `hclnet` with the code of a tree.

    Args:
        tree: its folder `src` has the packages.
        work: caches are in it.
        words: of the command line.
    """
    places = {
        "PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree / 'runtime' / 'src'}",
        "HCLNET_CACHE": work / "features",
        "NUMBA_CACHE_DIR": work / tree.name / "numba",
    }
    start, before = time.perf_counter(), processor_seconds()
    done = subprocess.run(
        [sys.executable, "-m", "hclnet", *map(str, words)],
        env={**os.environ, **{key: str(place) for key, place in places.items()}},
        capture_output=True,
        text=True,
    )
    seconds, processor = time.perf_counter() - start, processor_seconds() - before
    if done.returncode:
        raise SystemExit(
            f"hclnet {words[0]} with the code in {tree} ended with {done.returncode}:\n{done.stderr[-2000:]}"
        )
    return seconds, processor


def times(tree: Path, work: Path, train: Sequence[object], images: Path, trained: Path | None = None) -> Times:
    """Of a training and of locating with its run, or with one that is there; both leave nothing behind."""
    run, boxes = work / "run", work / "boxes"
    of = {} if trained else {"train": timed(tree, work, "train", *train, "--out", run)}
    of["locate"] = timed(tree, work, "locate", images, "--model", trained or run, "--out", boxes)
    for folder in (run, boxes, work / "features"):
        shutil.rmtree(folder, ignore_errors=True)
    return of


def table(measured: Sequence[Sequence[Times]]) -> list[str]:
    """The Markdown table.

    Args:
        measured: of each round the times of both sides.
    """
    lines = ["| command | seconds, A | B | B / A | processor seconds, A | B | B / A |", "|---" * 7 + "|"]
    for verb in measured[0][0]:
        cells = []
        for kind in (0, 1):
            sides = [[side[verb][kind] for side in one] for one in measured]
            ratios = sorted(b / a for a, b in sides)
            cells += [f"{statistics.median(of):.1f}" for of in zip(*sides)]
            cells.append(f"{statistics.median(ratios):.2f} [{ratios[0]:.2f} to {ratios[-1]:.2f}]")
        lines.append(f"| {verb} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "commits", nargs=2, metavar="COMMIT", help="A and B, such as an older one and . for these files"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path, help="to train on")
    what.add_argument("--run", type=Path, help="that boxes them, in place of a training")
    parser.add_argument("--images", type=Path, required=True, help="a folder of images to box")
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--method", default="hclnet")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], help="a setting of both trainings, KEY=VALUE")
    chosen = parser.parse_args()
    try:
        commits = [commit_of(name) for name in chosen.commits]
    except ValueError as error:
        parser.error(str(error))
    train = [chosen.data, "--method", chosen.method, "--preset", chosen.preset]
    train += [word for setting in chosen.set for word in ("--set", setting)]
    measured: list[list[Times]] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        trees = [work / side for side in "AB"]
        for tree, commit in zip(trees, commits):
            check_out(commit, tree)
            times(tree, work, [*train, "--epochs", 1], chosen.images, chosen.run)
        for number in range(chosen.rounds):
            order = trees if number % 2 == 0 else trees[::-1]
            of = {tree: times(tree, work, train, chosen.images, chosen.run) for tree in order}
            measured.append([of[tree] for tree in trees])
            print(f"round {number + 1}: {measured[-1]}", flush=True)
    print("\n".join(["", *table(measured)]))


if __name__ == "__main__":
    main()
