"""Runs as version 0.1 left them, without their tensors: a seed fills these, and three images are drawn.

`boxes.json` is what version 0.1 (commit eaa5d71) made of them, on a processor in float32. Its package was on the path:

    PYTHONPATH=V0.1/src python tests/runs_0_1/filled.py > tests/runs_0_1/boxes.json
"""

from __future__ import annotations

import json
import math
import shutil
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

HERE = Path(__file__).parent
RUNS = ("hclnet", "cam", "acol", "spg")
RULES = ("auto", "fixed:0.7", "otsu3")
_TENSORS: dict[str, dict[str, list]] = json.loads((HERE / "tensors.json").read_text(encoding="utf-8"))


def fill(run: str, folder: Path) -> Path:
    """Copy a run into a folder and give it weights.

    Returns:
        The run folder.
    """
    shutil.copytree(HERE / run, folder)
    listed = _TENSORS["trunk"] | _TENSORS[run]
    tensors = {name: _drawn(name, tuple(shape), listed) for name, (_, *shape) in listed.items()}
    save_file(tensors, folder / "localizer" / "model.safetensors")
    return folder


def _drawn(name: str, shape: tuple[int, ...], listed: dict[str, Any]) -> np.ndarray:
    """Values of a size that keeps signals as they go through many layers; each tensor has its own seed, by its name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    layer, _, part = name.rpartition(".")
    if part == "num_batches_tracked":
        return np.array(1, dtype=np.int64)
    if part == "running_var" or (part == "weight" and f"{layer}.running_var" in listed):
        return np.asarray(rng.uniform(0.7, 1.3, shape), dtype=np.float32)
    fan_in = math.prod(shape[1:]) if len(shape) > 1 else 100
    return np.asarray(rng.standard_normal(shape) * math.sqrt(2 / fan_in), dtype=np.float32)


def pictures() -> list[np.ndarray]:
    """Three drawn images, height x width x 3, of different sizes; a heatmap's pixel is less than half of theirs."""
    rng = np.random.default_rng(5)
    drawn = []
    for height, width, x, y, radius in ((72, 96, 34, 30, 20), (100, 80, 50, 66, 24), (64, 64, 20, 34, 16)):
        rows, columns = np.mgrid[:height, :width]
        ground = np.stack([rows + columns, 120 - rows // 2, 60 + columns // 2], -1) % 200
        inside = (columns - x) ** 2 + 2 * (rows - y) ** 2 < radius**2
        ground[inside] = rng.integers(0, 255, 3)
        drawn.append(np.clip(ground + rng.integers(-12, 12, ground.shape), 0, 255).astype(np.uint8))
    return drawn


def located(folder: Path) -> list[dict[str, Any]]:
    """Boxes and scores of all classes in each image under each box rule, by the hclnet that is on the path."""
    import hclnet

    localizer, rows = hclnet.load(folder, "cpu"), []
    for rule in RULES:
        ruled = localizer.with_inference(box=rule)
        for number, picture in enumerate(pictures()):
            for one in ruled.locate(picture, top=3).objects:
                box = [round(value, 2) for value in one.box]
                rows.append(
                    {"rule": rule, "picture": number, "label": one.label, "score": round(one.score, 5), "box": box}
                )
    return rows


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        found = {run: located(fill(run, Path(place) / run)) for run in RUNS}
    lines = [
        f' "{run}": [\n' + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n ]" for run, rows in found.items()
    ]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")
