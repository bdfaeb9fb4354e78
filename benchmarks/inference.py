"""How many images a second go from file to box, beside torch-cam and pytorch-grad-cam, and what takes the time?

    pip install torchcam grad-cam         # for the rows of these two; whoever lacks one gets the other rows
    python benchmarks/inference.py --images FOLDER [--run RUN] [--megapixels 0.2,12] [--threads 1,2]

Files of each size are made of the photographs in a folder, or of those in scikit-image: brought to the size, under a
camera's noise, as JPEGs of quality 90. All work at 224 px on EfficientNet-Lite0. torch-cam (its CAM, without gradients)
and pytorch-grad-cam (its GradCAM) are used as their pages show it, on timm's whole model with random weights; a map is
cut at a fifth of its maximum, and the largest contour of OpenCV's has the box. hclnet locates with a run, at one scale;
or, without one, with heads and a foreground score of random weights, which take as long. It does so itself (`eager`),
and by its exported files.

A round gives the same files to all in turn, in an order drawn by lot. A row is a candidate: the median images a second
of many files in one call; how many times as fast that is as the first row in the same round, the median and in brackets
the quartiles; and the median time of a file by itself and how it divides into decoding, network and box. `--threads`
are threads that compute and, on Linux, cores that the process has.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image

from hclnet.data.named import find_images
from hclnet.exporting.precision import in_precision
from hclnet.exporting.trace import trace
from hclnet.exporting.writing import write
from hclnet.localizer.localizer import Localizer
from hclnet.maps.foreground import ForegroundScore
from hclnet.workflows.settings import make_config
from hclnet_runtime import load
from hclnet_runtime.pictures import as_picture

SIDE, CLASSES = 224, 10
FILES = "onnx float32,onnx int8,openvino float32"
CUT = 0.2  # of a map's maximum
NOISE = 3  # of 255, a camera's
HEAD = "| MP | threads | what | images/s | x the first | a file, ms | decoding | network | box |"


class Parts(NamedTuple):
    """Seconds that a file takes."""

    decoding: float
    network: float
    box: float


@dataclass
class Candidate:
    """What finds boxes.

    Attributes:
        name: of its rows.
        many: finds boxes in files.
        one: the same of one file, and how long each part took.
        rates: images a second, by round.
        parts: of each file in each round.
    """

    name: str
    many: Callable[[Sequence[Path]], Any]
    one: Callable[[Path], Parts]
    rates: list[float] = field(default_factory=list)
    parts: list[Parts] = field(default_factory=list)

    def row(self, megapixels: float, threads: int, first: list[float]) -> str:
        ratios = np.array(self.rates) / np.array(first)
        low, middle, high = np.percentile(ratios, (25, 50, 75))
        seconds = np.median(np.array(self.parts), 0)
        cells = [f"{megapixels:g}", str(threads), self.name, f"{np.median(self.rates):.1f}"]
        cells += [f"{middle:.2f} ({low:.2f} to {high:.2f})", f"{1000 * np.median([sum(p) for p in self.parts]):.1f}"]
        return f"| {' | '.join(cells + [f'{100 * part / seconds.sum():.0f} %' for part in seconds])} |"


def steps(
    name: str, decode: Callable[[Path], Any], network: Callable[[Any], np.ndarray], size: Callable[[Any], Any]
) -> Candidate:
    """What others do: three steps, one after the other."""

    def one(path: Path) -> Parts:
        start = time.perf_counter()
        image, x = decode(path)
        decoded = time.perf_counter()
        map = network(x)
        mapped = time.perf_counter()
        contour_box(map, size(image))
        return Parts(decoded - start, mapped - decoded, time.perf_counter() - mapped)

    return Candidate(name, lambda paths: [one(path) for path in paths], one)


def contour_box(map: np.ndarray, size: tuple[int, int]) -> tuple[float, ...]:
    """The box of the largest contour of a map, in an image's pixels."""
    heat = cv2.resize(map, (SIDE, SIDE))
    mask = (heat > CUT * heat.max()).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    x, y, width, height = cv2.boundingRect(max(contours, key=cv2.contourArea)) if contours else (0, 0, 0, 0)
    across, down = size[0] / SIDE, size[1] / SIDE
    return x * across, y * down, (x + width) * across, (y + height) * down


def lite0(mean_and_std: tuple[Sequence[float], Sequence[float]]) -> tuple[torch.nn.Module, Callable[[Any], Any]]:
    """timm's model as a whole, and how torchvision's pixels become its input."""
    import timm
    from torchvision.transforms.v2 import functional as F

    model = timm.create_model("efficientnet_lite0", num_classes=CLASSES).eval()

    def prepared(image: torch.Tensor) -> torch.Tensor:
        return F.normalize(F.resize(image, [SIDE, SIDE]) / 255.0, *mean_and_std)[None]

    return model, prepared


def torch_cam(mean_and_std: Any) -> Candidate:
    """As its page has it, by torchvision's functions."""
    from torchcam.methods import CAM
    from torchvision.io import ImageReadMode, decode_image

    model, prepared = lite0(mean_and_std)
    extractor = CAM(model, "bn2", "classifier")

    def decode(path: Path) -> tuple[Any, Any]:
        image = decode_image(str(path), ImageReadMode.RGB)
        return image, prepared(image)

    @torch.inference_mode()
    def network(x: torch.Tensor) -> np.ndarray:
        scores = model(x)
        return extractor(scores[0].argmax().item(), scores)[0][0].numpy()

    return steps("torch-cam", decode, network, lambda image: (image.shape[2], image.shape[1]))


def grad_cam(mean_and_std: Any) -> Candidate:
    """As its page has it, by OpenCV's functions and its own."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.image import preprocess_image

    mean, std = map(list, mean_and_std)
    model, _ = lite0(mean_and_std)
    cam = GradCAM(model=model, target_layers=[model.bn2])

    def decode(path: Path) -> tuple[Any, Any]:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)[:, :, ::-1]
        return image, preprocess_image(np.float32(cv2.resize(image, (SIDE, SIDE))) / 255, mean=mean, std=std)

    def network(x: torch.Tensor) -> np.ndarray:
        return cam(input_tensor=x, targets=None)[0]

    return steps("pytorch-grad-cam", decode, network, lambda image: (image.shape[1], image.shape[0]))


def ours(name: str, model: Any, module: str) -> Candidate:
    """hclnet itself, or a file of it.

    Args:
        name: of the rows.
        model: that locates.
        module: that calls what makes boxes of maps.
    """
    reads = importlib.import_module("hclnet_runtime.pictures")
    boxes = importlib.import_module(module)

    def one(path: Path) -> Parts:
        with (
            clocked(reads, "check_image", "image_size", "load_square") as decoding,
            clocked(boxes, "localization") as box,
        ):
            start = time.perf_counter()
            model.locate(path)
            whole = time.perf_counter() - start
        return Parts(sum(decoding), whole - sum(decoding) - sum(box), sum(box))

    return Candidate(name, model.locate_batch, one)


@contextmanager
def clocked(module: ModuleType, *names: str) -> Iterator[list[float]]:
    """The seconds that calls of a module's functions take."""
    seconds: list[float] = []
    before = {name: getattr(module, name) for name in names}

    def noted(function: Callable) -> Callable:
        def call(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                seconds.append(time.perf_counter() - start)

        return call

    for name, function in before.items():
        setattr(module, name, noted(function))
    try:
        yield seconds
    finally:
        for name, function in before.items():
            setattr(module, name, function)


def untrained(method: str) -> Localizer:
    """A localizer with heads and a foreground score of random weights."""
    settings = {"size": SIDE, "stages": 2, "width": 128, "box": "auto", "device": "cpu"}
    localizer = Localizer.from_config(make_config("photographs", method, **settings), tuple(map(str, range(CLASSES))))
    stage = localizer.method.foreground_feature
    finer = localizer.backbone.finer(stage)
    generator = torch.Generator().manual_seed(0)
    coarse, fine = (
        torch.randn(CLASSES, localizer.backbone.info[name].channels if name else 0, generator=generator) / 100
        for name in (stage, finer)
    )
    localizer.foreground[SIDE] = ForegroundScore(coarse, torch.zeros(CLASSES), fine)
    return localizer


def exported(localizer: Localizer, kinds: str, pictures: Sequence[Path], folder: Path) -> Iterator[tuple[str, Path]]:
    """Its files of these kinds."""
    traced = trace(localizer)
    calibration = [as_picture(path, localizer.gray) for path in pictures]
    for to, precision in map(str.split, kinds.split(",")):
        path = folder / f"{localizer.method.name}-{precision}.{'xml' if to == 'openvino' else to}"
        about = {**traced.about, "precision": precision}
        write(in_precision(traced, precision, calibration), about, to, path, lambda run: None)
        yield f"{localizer.method.name}, {to} {precision}", path


def candidates(
    localizers: Sequence[Localizer], kinds: str, photographs: Sequence[Path], threads: int, folder: Path
) -> Iterator[Candidate]:
    """All that can be compared here."""
    first = localizers[0].backbone
    for package, make in (("torchcam", torch_cam), ("pytorch_grad_cam", grad_cam)):
        if find_spec(package) is not None:
            yield make((first.mean, first.std))
        else:
            print(f"{package} is not installed, and is left out.", file=sys.stderr)
    for localizer in localizers:
        yield ours(f"{localizer.method.name}, eager", localizer, "hclnet.localizer.locating")
        for name, path in exported(localizer, kinds, photographs[:50], folder):
            yield ours(name, load(path, threads), "hclnet_runtime.model")


def made(photographs: Sequence[Path], megapixels: float, count: int, folder: Path) -> list[Path]:
    """JPEGs of this many pixels: photographs, brought to the size, under a camera's noise."""
    size = round(1000 * (megapixels * 4 / 3) ** 0.5), round(1000 * (megapixels * 3 / 4) ** 0.5)
    generator, files = np.random.default_rng(0), []
    for number in range(count):
        with Image.open(photographs[number * len(photographs) // count]) as photograph:
            pixels = np.asarray(photograph.convert("RGB").resize(size, Image.Resampling.BICUBIC))
        noisy = pixels + generator.normal(0, NOISE, pixels.shape)
        files.append(folder / f"{megapixels:g}-{number}.jpg")
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(files[-1], quality=90)
    return files


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Threads that begin in here, and this one, have so many cores and compute with so many threads."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else None
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
    try:
        if cores is not None:
            os.sched_setaffinity(0, sorted(cores)[-count:])
        yield
    finally:
        if cores is not None:
            os.sched_setaffinity(0, cores)
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def measure(chosen: argparse.Namespace, photographs: Sequence[Path], threads: int) -> None:
    """Print the rows of one number of threads."""
    localizers = [Localizer.load(run, "cpu").with_inference(scales=[1], flip=False) for run in chosen.run]
    localizers = localizers or [untrained(method) for method in chosen.methods.split(",")]
    with tempfile.TemporaryDirectory() as name, on_cores(threads):
        folder = Path(name)
        compared = list(candidates(localizers, chosen.files, photographs, threads, folder))
        for megapixels in map(float, chosen.megapixels.split(",")):
            files = made(photographs, megapixels, chosen.count, folder)
            for one in compared:
                one.rates, one.parts = [], []
                one.many(files[:2])
            for number in range(chosen.rounds):
                for one in random.Random(number).sample(compared, len(compared)):
                    start = time.perf_counter()
                    one.many(files)
                    one.rates.append(len(files) / (time.perf_counter() - start))
                    one.parts += [one.one(path) for path in files]
            for one in compared:
                print(one.row(megapixels, threads, compared[0].rates), flush=True)


def find_photographs(folder: Path | None) -> list[Path]:
    """Those of a folder, or those that scikit-image brings.

    Raises:
        ValueError: there are none.
    """
    if folder is None:
        if find_spec("skimage") is None:
            raise ValueError("name a folder of photographs with --images, or pip install scikit-image.")
        import skimage.data

        names = ("astronaut", "chelsea", "coffee", "rocket")
        return [Path(skimage.data.__file__).parent / f"{n}{'.jpg' if n == 'rocket' else '.png'}" for n in names]
    return [one.path for one in find_images([folder]).images]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="a folder of photographs; by default those of scikit-image")
    parser.add_argument("--run", action="append", default=[], help="trained at 224 px; may be given more than once")
    parser.add_argument("--methods", default="cam,hclnet", help="without a run, those with random weights")
    parser.add_argument("--megapixels", default="0.2,12")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--files", default=FILES, help="the exported files, by kind and precision")
    parser.add_argument("--count", type=int, default=8, help="files of each size")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", action="store_true", help="no head of the table")
    chosen = parser.parse_args()
    try:
        photographs = find_photographs(chosen.images)
    except ValueError as error:
        parser.error(str(error))
    if not chosen.rows:
        print(f"{HEAD}\n|{'---|' * HEAD[1:].count('|')}", flush=True)
    threads = list(map(int, chosen.threads.split(",")))
    if len(threads) == 1:
        measure(chosen, photographs, threads[0])
        return
    for count in threads:  # in a process of its own, whose libraries start their threads on its cores
        again = [*sys.argv[1:], "--threads", str(count), "--rows"]
        subprocess.run([sys.executable, __file__, *again], check=True)


if __name__ == "__main__":
    main()
