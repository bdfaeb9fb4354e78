"""What a model that has learned nothing scores: the same Gaussian in the middle of every image.

    python benchmarks/center_gaussian.py DATA                    # any data set with boxes
    python benchmarks/center_gaussian.py metadata/CUB --keep M   # wsolevaluation's lists; images are not needed

It goes the way that anybody's maps go: a folder with a map for each image, scored by `hclnet score`; `--keep FOLDER`
leaves the folder. On wsolevaluation's lists of CUB (5,794 images) its own code gives MaxBoxAcc 59.6 and MaxBoxAccV2
56.8 for this map, with sigma 112 px of 224 and min-max; the protocol `wsoleval` has to give the same.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from hclnet.data import find_split, read
from hclnet.metrics import PROTOCOLS
from hclnet.progress import bar
from hclnet.workflows.score import score


def gaussian(side: int, sigma: float) -> np.ndarray:
    """A Gaussian in the middle of a square, from 0 to 1; `sigma` in pixels."""
    along = np.exp(-((np.arange(side) - (side - 1) / 2) ** 2) / (2 * sigma**2))
    map = np.outer(along, along)
    return (map - map.min()) / (map.max() - map.min())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a data set with boxes, such as wsolevaluation's metadata/CUB")
    parser.add_argument("--split", default="test")
    parser.add_argument("--sigma", type=float, default=112.0, help="pixels of 224")
    parser.add_argument("--keep", type=Path, help="leave the maps in this folder")
    arguments = parser.parse_args()
    dataset = read(arguments.data)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        one = folder.absolute() / "gaussian"
        folder.mkdir(parents=True, exist_ok=True)
        with one.open("wb") as file:
            np.save(file, gaussian(224, arguments.sigma))
        for sample in dataset.split(find_split(dataset, arguments.split)):
            link = folder / f"{sample.id}.npy"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(one)
        for protocol in PROTOCOLS:
            with bar(f"Scoring under {protocol}") as report:
                metrics = score(folder, arguments.data, arguments.split, protocol, progress=report).metrics
            line = ", ".join(
                f"{name} {100 * metrics[name]:.2f} ({100 * metrics['intervals'][name][0]:.1f} to "
                f"{100 * metrics['intervals'][name][1]:.1f})"
                for name in ("max_box_acc", "max_box_acc_v2")
            )
            print(f"{protocol}: {line}, {metrics['images']} images")


if __name__ == "__main__":
    main()
