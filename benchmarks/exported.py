"""Does an exported file find the boxes of its run, how large is it, and how long does it take?

    python benchmarks/exported.py [SET ...] --work FOLDER [--methods cam,hclnet] [--precise hclnet] [--classes 4]

Each method is trained on the set (what is finished in FOLDER is used again) and exported. A row is a file, or the run
itself (`eager`): its size, the median time an image from squares to maps (one thread, all files in turn on each image)
and how many times as fast as the run that is; then, over the tested images with a box, the largest difference of a map,
the share of boxes that are equal to the run's, and of those that have an IoU of at least 0.9 with it, that of images
whose most probable class is the same, and GT-known. Maps and boxes are those of the true class. Files are in float32,
and for the methods of --precise in float16 and int8 too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import hclnet
from hclnet.exporting import PRECISIONS
from hclnet.exporting.agreement import NEAR, box_of, eager, inputs_of
from hclnet.exporting.precision import CALIBRATION, in_precision
from hclnet.exporting.trace import Traced, trace
from hclnet.exporting.writing import save_openvino
from hclnet.localizer.localizer import Localizer
from hclnet.methods import get_method, method_names
from hclnet.training import is_finished
from hclnet.types import DataSet, Sample
from hclnet_runtime.boxes.geometry import iou, scale
from hclnet_runtime.engines import Run, open_onnx, open_openvino
from hclnet_runtime.pictures import Picture, as_picture
from real_options import add_options, open_chosen

TRANSFORMER = {"backbone": "timm:test_vit", "weights": "none", "tune": "all", "stages": 1}
"""What methods that need a transformer are trained with: one that needs no weights."""

HEAD = "| set | method | file | precision | MB | ms | speed | maps | equal | IoU 0.9 | class | GT-known |"


@dataclass
class File:
    """A file, or the run itself, and what it found.

    Attributes:
        kind, precision, megabytes: what it is.
        run: computes its outputs.
        seconds: of each image.
        maps: the difference from the run's map in each image.
        overlaps: IoU of its box and the run's.
        same: whether its most probable class is the run's.
        right: IoU of its box and the object.
    """

    kind: str
    precision: str
    megabytes: float
    run: Run
    seconds: list[float] = field(default_factory=list)
    maps: list[float] = field(default_factory=list)
    overlaps: list[float] = field(default_factory=list)
    same: list[bool] = field(default_factory=list)
    right: list[float] = field(default_factory=list)

    def row(self, name: str, method: str, eager_seconds: float) -> str:
        def percent(of: Any) -> str:
            return f"{100 * np.mean(of):.1f}"

        seconds = float(np.median(self.seconds))
        cells = [name, method, self.kind, self.precision, f"{self.megabytes:.1f}", f"{1000 * seconds:.1f}"]
        cells += [f"{eager_seconds / seconds:.2f}", f"{max(self.maps):.1g}", percent(np.array(self.overlaps) == 1)]
        cells += [percent(np.array(self.overlaps) >= NEAR), percent(self.same), percent(np.array(self.right) >= 0.5)]
        return f"| {' | '.join(cells)} |"


def few(data: DataSet, classes: int | None, train: int | None) -> DataSet:
    """The first classes of a data set, with so many training images each at most."""
    known = data.classes[:classes]
    count = [0] * len(known)
    kept = []
    for sample in data.samples:
        if sample.label >= len(known):
            continue
        if sample.split == "train":
            count[sample.label] += 1
            if train is not None and count[sample.label] > train:
                continue
        kept.append(sample)
    return replace(data, classes=known, samples=tuple(kept))


def trained(data: DataSet, method: str, run: Path, settings: dict[str, Any]) -> Localizer:
    """A run's localizer; it is trained if it is not finished."""
    if not is_finished(run):
        of_method = TRANSFORMER if get_method(method).needs else {}
        if get_method(method).augments_batches:
            of_method = {"tune": "all"}  # features of changed images are not kept
        settings = {**settings, **of_method}
        if "width" not in get_method(method).Options.model_fields:
            settings.pop("width", None)
        hclnet.train(data, run, method, resume=run.exists(), report=False, **settings)
    return Localizer.load(run, "cpu")


def files_of(traced: Traced, precisions: list[str], calibration: list[Picture], folder: Path) -> Iterator[File]:
    """The run, and its files in both forms."""

    def itself(inputs: Any) -> dict[str, np.ndarray]:
        *squares, classes = (torch.tensor(value) for value in inputs.values())
        with torch.inference_mode():
            return {name: value.numpy() for name, value in traced.graph(squares, classes).items()}

    yield File("eager", "float32", sum(t.nbytes for t in traced.graph.state_dict().values()) / 1e6, itself)
    for precision in precisions:
        about = {**traced.about, "precision": precision}
        model = in_precision(traced, precision, calibration)
        yield File("onnx", precision, len(model) / 1e6, open_onnx(model, 1).run)
        xml = folder / f"{precision}.xml"
        save_openvino(in_precision(traced, "float32") if precision == "float16" else model, about, xml)
        size = sum(xml.with_suffix(end).stat().st_size for end in (".xml", ".bin"))
        yield File("openvino", precision, size / 1e6, open_openvino(xml, 1).run)


def look(traced: Traced, data: DataSet, sample: Sample, files: list[File]) -> None:
    """Let all files find the object of an image, in turn."""
    picture = as_picture(sample.path, traced.localizer.gray)
    side = traced.localizer.inference.map_size
    truth = scale(data.ground_truth.boxes[sample.id], picture.size, (side, side))
    inputs = inputs_of(traced, picture, [sample.label])
    ours = eager(traced, picture, [sample.label])
    box = box_of(traced, ours, picture)
    for file in files:
        start = time.perf_counter()
        theirs = file.run(inputs)
        file.seconds.append(time.perf_counter() - start)
        found = box_of(traced, theirs, picture)
        file.maps.append(float(np.abs(ours["maps"] - theirs["maps"]).max()))
        file.same.append(ours["probabilities"].argmax() == theirs["probabilities"].argmax())
        file.overlaps.append(overlap(box, found))
        file.right.append(0.0 if found is None else float(iou(found[None], truth).max()))


def overlap(a: np.ndarray | None, b: np.ndarray | None) -> float:
    """IoU of two boxes; 1 for none and none."""
    return float(a is b) if a is None or b is None else float(iou(a[None], b[None])[0, 0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, ",".join(method_names()))
    parser.add_argument("--precise", default="hclnet", help="methods whose files in other precisions are looked at")
    parser.add_argument("--classes", type=int, help="of each set, the first ones")
    parser.add_argument("--train", type=int, help="training images of each class at most")
    parser.add_argument("--images", type=int, help="tested images of each set at most")
    chosen = parser.parse_args()
    settings, opened = open_chosen(parser, chosen)
    torch.set_num_threads(1)
    print(f"{HEAD}\n|{'---|' * HEAD[1:].count('|')}")
    for real in opened:
        data = few(real.parts[0], chosen.classes, chosen.train)
        tested = [s for s in data.split("test") if len(data.ground_truth.boxes.get(s.id, ()))]
        tested = tested[:: max(1, len(tested) // chosen.images)][: chosen.images] if chosen.images else tested
        train = data.split("train")
        for method in chosen.methods.split(","):
            localizer = trained(data, method, chosen.work / real.name / method, settings)
            calibration = [as_picture(s.path, localizer.gray) for s in train[:: len(train) // CALIBRATION + 1]]
            traced = trace(localizer)
            precisions = list(PRECISIONS) if method in chosen.precise.split(",") else ["float32"]
            with tempfile.TemporaryDirectory() as folder:
                files = list(files_of(traced, precisions, calibration, Path(folder)))
                for sample in tested:
                    look(traced, data, sample, files)
                for file in files:
                    print(file.row(real.name, method, float(np.median(files[0].seconds))), flush=True)


if __name__ == "__main__":
    main()
