"""What scoring costs: against a loop over 1000 thresholds, by map size and ground-truth boxes, and for 50,000 maps from
disk.

    python benchmarks/scoring.py                  # all of it but the 50,000 maps: a minute
    python benchmarks/scoring.py --maps 50000     # those too: 5 GB in --folder, then through what `hclnet score` runs

Ratios are of processor time of one thread, the two sides in turns in this one process, so that a busy machine slows
both. The loop is the literal port in tests/reference/wsoleval.py: OpenCV's threshold, findContours, contourArea and
boundingRect at each of 1000 thresholds. It scores MaxBoxAcc and MaxBoxAccV2 together, as the other side does.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hclnet.metrics import Hclnet, Scoring, WsolEval, compute_metrics, intervals, resamples, weighted_metrics
from hclnet.types import GroundTruth, Sample
from hclnet.workflows.score import score_maps
from hclnet_runtime.boxes import Evidence, parse_rule
from reference import wsoleval

RULES = [parse_rule("fixed:0.2")]
TRUE = np.array([[40.0, 60, 150, 190]])


def maps(kind: str, count: int, side: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Class maps upsampled to `side`: `peaks` are smooth with a few of them, `random` is 14 x 14 noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:14, 0:14]
    for _ in range(count):
        if kind == "random":
            small = rng.random((14, 14))
        else:
            centers = zip(rng.normal(7, 3, (4, 2)), rng.uniform(1.5, 12, 4), rng.uniform(0.3, 1, 4))
            small = sum(h * np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * w)) for (a, b), w, h in centers)
            small += rng.normal(0, 0.02, (14, 14))
        yield cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)


def look(scoring: Scoring, map: np.ndarray, gt_boxes: np.ndarray) -> None:
    """All that a map is scored by, from its values to its IoUs at every threshold."""
    scoring.locate(Evidence(scoring.levels(scoring.heatmap(map))), gt_boxes, RULES)


def loop(map: np.ndarray, gt_boxes: np.ndarray) -> None:
    """The same, a threshold at a time."""
    levels = (wsoleval.heatmap(map) * 255).astype(np.uint8)
    wsoleval.best_ious(levels, gt_boxes.astype(int).tolist())


def milliseconds(calls: list[Callable[[], None]], rounds: int) -> list[list[float]]:
    """Processor time of each call in each of several rounds, the calls in turns."""
    for call in calls:
        call()
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, taken in zip(calls, times):
            began = time.thread_time()
            call()
            taken.append(1000 * (time.thread_time() - began))
    return times


def against_a_loop(count: int, rounds: int) -> None:
    print(f"Against a loop over 1000 thresholds, 224 px, one thread, {count} maps in a row, median of {rounds} rounds:")
    print(f"  {'maps':8} {'loop':>9} {'hclnet':>9} {'ratio':>6} {'wsoleval':>9} {'ratio':>6}")

    def over(one: Callable[[np.ndarray], None], chosen: list[np.ndarray]) -> None:
        for map in chosen:
            one(map)

    for kind in ("peaks", "random"):
        chosen = [map.astype(np.float32) for map in maps(kind, count, 224)]
        sides = [partial(loop, gt_boxes=TRUE), *(partial(look, p, gt_boxes=TRUE) for p in (Hclnet(), WsolEval()))]
        taken = np.array(milliseconds([partial(over, side, chosen) for side in sides], rounds)) / count
        slow, ours, theirs = np.median(taken, axis=1)
        first, second = np.median(taken[0] / taken[1:], axis=1)
        print(f"  {kind:8} {slow:6.1f} ms {ours:6.2f} ms {first:5.0f}x {theirs:6.2f} ms {second:5.0f}x")


def by_size(sides: list[int], count: int, rounds: int) -> None:
    unit = f"Milliseconds, median of {count} maps:"
    print(f"By side of the map, one ground-truth box; and at 224 px by number of ground-truth boxes. {unit}")
    for protocol in (Hclnet, WsolEval):
        text = []
        for side in sides:
            calls = [partial(look, protocol(side), map, TRUE) for map in maps("peaks", count, side)]
            text.append(f"{side} px {statistics.median(_medians(calls, rounds)):.2f}")
        for boxes in (1, 10, 100):
            corners = np.random.default_rng(0).uniform(0, 120, (boxes, 2))
            true = np.concatenate([corners, corners + 80], axis=1).astype(int)
            calls = [partial(look, protocol(), map, true) for map in maps("peaks", count, 224)]
            text.append(f"{boxes} boxes {statistics.median(_medians(calls, rounds)):.2f}")
        print(f"  {protocol.name:8} {', '.join(text)}")


def _medians(calls: list[Callable[[], None]], rounds: int) -> list[float]:
    return [statistics.median(milliseconds([call], rounds)[0]) for call in calls]


def from_disk(count: int, folder: Path, workers: int) -> None:
    """`count` maps of 224 px in half precision, memory-mapped, through `score_maps`, and intervals of every metric."""
    path = folder / "maps.npy"
    stored = np.lib.format.open_memmap(path, "w+", np.float16, (count, 224, 224))
    for k, map in enumerate(maps("peaks", count, 224)):
        stored[k] = map
    stored.flush()
    del stored
    samples = [Sample(str(k), Path(str(k)), 0, "test") for k in range(count)]
    ground_truth, sizes = GroundTruth({s.id: TRUE for s in samples}), np.full((count, 2), 224)
    mapped = np.load(path, mmap_mode="r")
    get = [partial(mapped.__getitem__, k) for k in range(count)]
    print(f"{count} maps of 224 px from a memory-mapped file, {workers} threads:")
    for scoring in (Hclnet(), WsolEval()):
        score_maps(get[:4], samples[:4], sizes[:4], ground_truth, scoring, RULES[0], workers=workers)  # compiles
        before, began, used = peak(), time.perf_counter(), time.process_time()
        records = score_maps(get, samples, sizes, ground_truth, scoring, RULES[0], workers=workers)
        seconds, busy = time.perf_counter() - began, time.process_time() - used
        held = sum(c.nbytes for c in (records.level_iou, records.level_best)) / 1e6
        text = f"{seconds:.0f} s ({busy:.0f} s of processor time), private memory {before:.0f} to {peak():.0f} MB"
        print(f"  {scoring.name:8} {text}, {held:.0f} MB of it the records")
        began = time.perf_counter()
        intervals(weighted_metrics(records, resamples(count)))
        print(
            f"           intervals of all {len(compute_metrics(records))} metrics: {time.perf_counter() - began:.1f} s"
        )
    path.unlink()


def peak() -> float:
    """Private memory of this process, MB: what is mapped from a file is the system's to take back."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1e3
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=int, default=0, help="how many to score from disk")
    parser.add_argument("--count", type=int, default=9, help="maps in a row, elsewhere")
    parser.add_argument("--rounds", type=int, default=5, help="times that each is looked at")
    parser.add_argument("--sides", default="128,224,448,1024", help="of the maps, pixels")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where they are written")
    parser.add_argument("--workers", type=int, default=2, help="threads that score them")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    against_a_loop(options.count, options.rounds)
    by_size([int(side) for side in options.sides.split(",")], options.count, options.rounds)
    if options.maps:
        from_disk(options.maps, options.folder, options.workers)


if __name__ == "__main__":
    main()
