"""`parts`: drawn birds whose class is on the head while the body, most of the box, only hints at it.

An instrument for localization: everything about an image is known. Head, beak and crown decide the class; the plumage
of the body goes with it as often as `PartsOptions.body_cue` says; scene, pose and occlusion are independent of it.

At `body_cue` 0 the body carries nothing about the class: no method that learns from labels alone has a reason to cover
it, and none can be asked to. Pose, scene and head of an image depend on the seed, split, label and index only, so data
sets that differ in `body_cue` show the same birds in the same scenes in other plumage.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from hclnet.synthetic.bird import HEAD, PARTS, Bird
from hclnet.synthetic.paint import Brush
from hclnet.synthetic.perch import perch
from hclnet.synthetic.pose import Pose
from hclnet.synthetic.scene import Style, background, in_front
from hclnet.synthetic.species import SPECIES, plumage
from hclnet.types import Box

__all__ = ["SPLITS", "Drawing", "PartsOptions", "class_names", "draw", "write"]

SPLITS: tuple[str, str] = ("train", "test")

_OVER = 2
_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 92, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


@dataclass(frozen=True, slots=True)
class PartsOptions:
    """What to draw.

    Attributes:
        classes: species, 1 to 16.
        train, test: images a class, 0 or more, not both 0.
        size: side of the square images in pixels, 64 to 1024.
        body_cue: how often the plumage of the body is that of the bird's own species rather than of one drawn evenly,
            0..1; see `hclnet.synthetic.species.plumage`. At 0 the body says nothing of the class.
        clutter: how busy the scene is and how often something stands before the bird, 0..1.
        seed: 0 or more; the same options give the same bytes.

    Raises:
        ValueError: an option is out of its range; the message names it, its value and the range.
    """

    classes: int = 8
    train: int = 24
    test: int = 8
    size: int = 224
    body_cue: float = 0.5
    clutter: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        ranges: tuple[tuple[str, float, float], ...] = (
            ("classes", 1, len(SPECIES)), ("train", 0, 9999), ("test", 0, 9999), ("size", 64, 1024),
            ("body_cue", 0, 1), ("clutter", 0, 1), ("seed", 0, 2**63 - 1),
        )  # fmt: skip
        for name, low, high in ranges:
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"parts: {name} is {value}; give one from {low} to {high}.")
        if not self.train + self.test:
            raise ValueError("parts: train and test are both 0; give one of them at least one image a class.")


@dataclass(frozen=True, slots=True)
class Drawing:
    """One image and its exact ground_truth.

    Attributes:
        image: red, green and blue.
        mask: the part of the bird that can be seen.
        parts: masks of body (with the folded wing), head (without the next two), beak, crown, tail and legs: those of
            their pixels that can be seen. They do not overlap and together make `mask`.
        box: of `mask`.
    """

    image: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]
    parts: dict[str, Bool[np.ndarray, "h w"]]
    box: Box


def class_names(options: PartsOptions) -> tuple[str, ...]:
    """The names of the species, in the order of their labels."""
    return tuple(species.name for species in SPECIES[: options.classes])


def draw(options: PartsOptions, split: str, label: int, index: int) -> Drawing:
    """Draw one image. It depends on the arguments only, not on what was drawn before.

    Args:
        options: `train` and `test` are not looked at: an image stays the same as a data set grows.
        split: train or test; they differ in their random numbers only.
        label: 0-based class.
        index: 0 or more, counted apart in each class and split.

    Raises:
        ValueError: there is no such split, or no such class.
    """
    if split not in SPLITS:
        raise ValueError(f"parts: there is no split {split!r}; give one of {', '.join(SPLITS)}.")
    if not 0 <= label < options.classes or index < 0:
        raise ValueError(
            f"parts: label {label}, index {index}; give a label from 0 to {options.classes - 1}, index >= 0."
        )

    def stream(purpose: int) -> np.random.Generator:
        return np.random.default_rng([options.seed, SPLITS.index(split), label, index, purpose])

    size = options.size * _OVER
    style = Style.drawn(stream(0))
    pose = Pose.drawn(stream(1))
    species = SPECIES[label]
    bird = Bird(pose, species, plumage(stream(2), label, options.classes, options.body_cue))
    matrix = _placed(bird, stream(3), size)
    canvas = background(stream(4), style, size, options.clutter)
    labels = np.zeros((size, size), np.uint8)
    brush = Brush(canvas, labels, matrix)
    perch(stream(5), canvas, style, brush.pixels(bird.feet - (0.0, 0.02)), brush.scale)
    bird.paint(brush, stream(6), -style.sun if pose.mirrored else style.sun)
    plain = labels[::4, ::4].copy()
    bird.paint_face(brush, stream(7))

    alpha = np.where(labels > 0, canvas[..., 3], 0)
    front = in_front(stream(8), style, size, options.clutter, plain > 0, plain == HEAD)
    image = _finished(canvas, front, style, stream(9), options.size)
    return _drawing(image, alpha, labels, front[..., 3], options.size)


def _placed(bird: Bird, rng: np.random.Generator, size: int) -> np.ndarray:
    """The bird's frame to canvas pixels: mirrored and rolled, wholly on the canvas, its box about 10 to 55 % of it."""
    pose = bird.pose
    cos, sin = np.cos(pose.roll), np.sin(pose.roll)
    turn = np.array([[-1.0 if pose.mirrored else 1.0, 0.0], [0.0, -1.0]]) @ np.array([[cos, -sin], [sin, cos]])
    reach = bird.reach() @ turn.T
    low, high = reach.min(0), reach.max(0)
    extent = high - low
    area = np.exp(rng.uniform(np.log(0.12), np.log(0.58)))
    scale = min(np.sqrt(area / extent.prod()), 0.97 / extent.max()) * size
    room = size - extent * scale
    corner = room * rng.uniform(0.05, 0.95, 2)
    return np.concatenate([turn * scale, (corner - low * scale)[:, None]], 1)


def _finished(canvas: np.ndarray, front: np.ndarray, style: Style, rng: np.random.Generator, size: int) -> np.ndarray:
    """Lay the front over the picture, bring it to size, then light, vignette and grain."""
    whole = canvas
    if front[..., 3].any():
        through = cv2.cvtColor(255 - front[..., 3], cv2.COLOR_GRAY2BGRA)
        whole = cv2.add(front, cv2.multiply(canvas, through, scale=1 / 255))
    image = cv2.resize(whole, (size, size), interpolation=cv2.INTER_AREA)[..., :3].astype(np.float32)
    soft = cv2.GaussianBlur(image, (0, 0), 0.7)
    image += 0.35 * (image - soft)
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    away = axis[None, :] ** 2 + axis[:, None] ** 2
    light = 1.04 - 0.10 * away + 0.06 * style.sun * axis[None, :] - 0.04 * axis[:, None]
    tint = np.array([1 + 0.035 * style.warmth, 1.0, 1 - 0.035 * style.warmth], np.float32)
    image = image * light[..., None].astype(np.float32) * tint
    grain = rng.standard_normal((size, size), dtype=np.float32) * np.float32(2.4)
    return np.clip(image + grain[..., None], 0, 255).astype(np.uint8)


def _drawing(image: np.ndarray, alpha: np.ndarray, labels: np.ndarray, front: np.ndarray, size: int) -> Drawing:
    """Masks from coverage at the resolution drawn at: a pixel is the bird's when half of it or more shows the bird."""
    seen = alpha.astype(np.float32) * (255.0 - front) * np.float32(1 / 65025)
    shares = np.stack(
        [cv2.resize((labels == k) * seen, (size, size), interpolation=cv2.INTER_AREA) for k in range(1, len(PARTS))]
    )
    mask = shares.sum(0) >= 0.5
    part = shares.argmax(0)
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = (float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1))
    return Drawing(image, mask, {name: mask & (part == k) for k, name in enumerate(PARTS[1:])}, box)


@dataclass(frozen=True, slots=True)
class _Job:
    number: int
    split: str
    label: int
    index: int
    name: str


def _jobs(options: PartsOptions) -> Iterator[_Job]:
    number = 0
    for label, species in enumerate(class_names(options)):
        for split, count in zip(SPLITS, (options.train, options.test), strict=True):
            for index in range(count):
                number += 1
                yield _Job(number, split, label, index, f"{label + 1:03d}.{species}/{species}_{split}_{index:04d}")


def _save(options: PartsOptions, folder: Path, job: _Job) -> Box:
    drawing = draw(options, job.split, job.label, job.index)
    ids = np.zeros(drawing.mask.shape, np.uint8)
    for k, name in enumerate(PARTS[1:], 1):
        ids[drawing.parts[name]] = k
    _encode(folder / "images" / f"{job.name}.jpg", drawing.image[..., ::-1], _QUALITY)
    _encode(folder / "segmentations" / f"{job.name}.png", drawing.mask * np.uint8(255), [])
    _encode(folder / "part_masks" / f"{job.name}.png", ids, [])
    return drawing.box


def _encode(path: Path, image: np.ndarray, flags: list[int]) -> None:
    done, data = cv2.imencode(path.suffix, image, flags)
    if not done:
        raise OSError(f"parts: {path} could not be encoded.")
    path.write_bytes(data.tobytes())


def write(
    options: PartsOptions,
    folder: str | Path,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> None:
    """Draw a data set into `folder`, laid out as CUB-200-2011.

    Beside CUB's `images/`, `segmentations/` (0 or 255) and text files it has `part_masks/` (gray, numbered as
    `part_masks/parts.txt` lists) and `parts.json` (the options). Files of those names are overwritten, others left.

    Args:
        folder: made if it is missing.
        progress: called with the images done and their number, after each image.
        workers: processes to draw with. More than 1 starts new interpreters, so a script that asks for it needs the
            usual `if __name__ == "__main__"` guard. The bytes are the same.

    Raises:
        ValueError: `workers` is less than 1.
        OSError: the folder can't be written.
    """
    if workers < 1:
        raise ValueError(f"parts: workers is {workers}; give 1 or more.")
    folder = Path(folder)
    names = [f"{k:03d}.{name}" for k, name in enumerate(class_names(options), 1)]
    for kind in ("images", "segmentations", "part_masks"):
        for name in names:
            (folder / kind / name).mkdir(parents=True, exist_ok=True)
    jobs = list(_jobs(options))
    save = partial(_save, options, folder)
    boxes: list[Box] = []
    if workers == 1:
        for job in jobs:
            boxes.append(save(job))
            if progress:
                progress(len(boxes), len(jobs))
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for box in pool.map(save, jobs, chunksize=4):
                boxes.append(box)
                if progress:
                    progress(len(boxes), len(jobs))

    def text(name: str, lines: list[str]) -> None:
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    text("classes.txt", [f"{k} {name}" for k, name in enumerate(names, 1)])
    text("images.txt", [f"{job.number} {job.name}.jpg" for job in jobs])
    text("image_class_labels.txt", [f"{job.number} {job.label + 1}" for job in jobs])
    text("train_test_split.txt", [f"{job.number} {int(job.split == 'train')}" for job in jobs])
    text(
        "bounding_boxes.txt",
        [f"{job.number} {x0} {y0} {x1 - x0} {y1 - y0}" for job, (x0, y0, x1, y1) in zip(jobs, boxes, strict=True)],
    )
    text("part_masks/parts.txt", [f"{k} {name}" for k, name in enumerate(PARTS)])
    text("parts.json", [json.dumps(asdict(options), indent=2)])
