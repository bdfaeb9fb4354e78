"""From labels to pictures of where the defects are: solar cells in electroluminescence.

    pip install elpv-dataset
    python examples/solar_cells.py --out solar_cells

`elpv-dataset` (Buerhop-Lutz et al. 2018, Deitsch et al. 2019) installs 2,624 photographs of solar cells, each with a
probability of being defective that experts gave it, and without a single box. It is licensed CC BY-NC-SA 4.0, so hclnet
does not depend on it; only this example asks for it.

Cells that everyone found defective are one class and cells that everyone found whole are the other; the doubtful ones
between are left out. `good` is learned but never boxed. The defects have no ground-truth boxes, so the result is to be
looked
at: docs/solar-cells.md says what one sees.
"""

from __future__ import annotations

import argparse
import random
import shutil
from importlib.util import find_spec
from pathlib import Path

import hclnet


def cells() -> dict[str, list[Path]]:
    """The photographs by class, of those whose class is beyond doubt."""
    spec = find_spec("elpv_dataset")
    if spec is None or spec.origin is None:
        raise SystemExit("The photographs are not installed. Run:  pip install elpv-dataset  (91 MB)")
    data = Path(spec.origin).parent / "data"
    found: dict[str, list[Path]] = {"defective": [], "good": []}
    for line in (data / "labels.csv").read_text(encoding="utf-8").splitlines():
        path, probability, _kind = line.split()
        if float(probability) in (0.0, 1.0):
            found["defective" if float(probability) else "good"].append(data / path)
    return found


def lay_out(out: Path, per_class: int) -> None:
    """Class folders under train/ and test/: four fifths and one fifth of each class, the same at each call."""
    for name, paths in cells().items():
        chosen = random.Random(0).sample(paths, min(per_class, len(paths)))
        for k, path in enumerate(chosen):
            target = out / ("test" if k % 5 == 0 else "train") / name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("solar_cells"), help="where everything goes (solar_cells)")
    parser.add_argument("--per-class", type=int, default=300, help="cells of each class (300)")
    parser.add_argument("--method", default="hclnet", help="a name from `hclnet methods` (hclnet)")
    parser.add_argument("--size", type=int, default=320, help="px; the photographs have 300 (320)")
    parser.add_argument("--epochs", type=int, default=12)
    chosen = parser.parse_args()
    data = chosen.out / f"data-{chosen.per_class}"
    run = chosen.out / f"{chosen.method}-{chosen.per_class}-{chosen.size}"
    lay_out(data, chosen.per_class)
    # The default rule, auto, learns what one whole object looks like; defects are of many kinds and sizes.
    recipe = {"size": chosen.size, "epochs": chosen.epochs, "background_class": "good", "box": "otsu3"}
    hclnet.train(data, run, chosen.method, resume=run.exists(), log=print, **recipe)
    result = hclnet.evaluate(run)
    found = hclnet.locate_files(data / "test", run, run / "located", overwrite=True)
    low, high = result.metrics["intervals"]["top1_cls"]
    print(
        f"{result.metrics['images']} test cells: {result.metrics['top1_cls']:.1%} classified correctly "
        f"(95 % interval {low:.1%} to {high:.1%})."
    )
    boxed = [one for one in found.localizations if one.objects]
    wrong = sum(Path(one.path).parent.name == "good" for one in boxed)
    print(f"{len(boxed)} of them are boxed, {wrong} of these are whole.")
    print(f"Look at them: {run / 'located' / 'overlays'}/ and {result.report}")


if __name__ == "__main__":
    main()
