"""Does locating without an end in sight take more and more memory?

    python benchmarks/soak.py --images 100000 --out soak.png

Trains a small run on drawn birds, makes a folder of so many links to a few small images, and locates them with
`hclnet locate --shard-size`, in a process of its own whose resident memory is read twice a second. Printed are images a
second and the memory in each tenth of the time; the picture has the memory over time. The last tenth less the second
one is what matters: the first has the start.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import hclnet
from hclnet.synthetic import PartsOptions, write

_FOLDER = 1000  # links in each folder


def resident(process: int) -> float:
    """Memory of a process, MiB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def links(folder: Path, images: list[Path], count: int) -> None:
    """So many links to the images, in folders."""
    for k in range(count):
        place = folder / f"{k // _FOLDER:05}"
        if k % _FOLDER == 0:
            place.mkdir(parents=True)
        (place / f"{k:08}.jpg").symlink_to(images[k % len(images)])


def watched(command: list[str]) -> tuple[list[float], list[float]]:
    """Seconds since the start, and the resident memory then, MiB."""
    seconds, memory, started = [], [], time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None:
        try:
            now = resident(process.pid)
        except (OSError, IndexError):
            break
        if now:
            seconds.append(time.monotonic() - started)
            memory.append(now)
        time.sleep(0.5)
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{said[-2000:]}")
    return seconds, memory


def tenths(values: list[float]) -> list[float]:
    """The median of each tenth."""
    return [float(np.median(of)) for of in np.array_split(np.array(values), min(10, len(values)))]


def draw(seconds: list[float], memory: list[float], out: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(np.array(seconds) / 60, memory)
    axes.set(xlabel="minutes", ylabel="resident memory, MiB", ylim=(0, 1.1 * max(memory)))
    figure.savefig(out, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--shard-size", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=64, help="of the images and of the run, px")
    parser.add_argument("--out", type=Path, help="a picture of memory over time (PNG, PDF, SVG)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write(PartsOptions(classes=3, train=4, test=2, size=chosen.size), work / "birds")
        hclnet.train(work / "birds", out=work / "run", size=chosen.size, epochs=1, device="cpu", report=False, width=8)
        links(work / "links", sorted((work / "birds" / "images").rglob("*.jpg")), chosen.images)
        locate = [sys.executable, "-m", "hclnet", "locate", work / "links", "--model", work / "run", "--device", "cpu"]
        seconds, memory = watched(
            [*map(str, locate), "--out", str(work / "out"), "--shard-size", str(chosen.shard_size)]
        )
        shards = len(list((work / "out" / "shards").glob("*.parquet")))
    parts = tenths(memory)
    rate = chosen.images / seconds[-1]
    print(f"{chosen.images:,} images in {shards} shards, {seconds[-1]:.0f} s, {rate:.0f} images a second")
    print("resident memory of each tenth of the time, MiB: " + ", ".join(f"{value:.0f}" for value in parts))
    print(f"the last less the second: {parts[-1] - parts[min(1, len(parts) - 1)]:+.0f} MiB")
    if chosen.out:
        draw(seconds, memory, chosen.out)


if __name__ == "__main__":
    main()
