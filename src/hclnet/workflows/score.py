"""`hclnet score`: anybody's heatmaps and a ground truth -> the records and metrics that `evaluate` makes of a
localizer.

Maps are read one after the other and scored in threads; never more than a few are in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Integer, Real
from safetensors import SafetensorError, safe_open

from hclnet.boxes import Rule, check_needs, parse_rule
from hclnet.config import Inference
from hclnet.data import find_split
from hclnet.data.files import SUFFIXES
from hclnet.data.images import image_size, load_square
from hclnet.data.masks import check_ground_truth
from hclnet.metrics import (
    Counts,
    Found,
    Resampled,
    Scoring,
    Table,
    compute_metrics,
    draw,
    get_protocol,
    intervals,
    look,
    resamples,
    weighted_metrics,
)
from hclnet.progress import Report
from hclnet.text import as_clause, shown
from hclnet.types import DataSet, GroundTruth, Log, Records, Sample
from hclnet.workflows.datasets import as_dataset

_AHEAD = 8  # maps read and not yet looked at, per thread

Read = Callable[[], np.ndarray]


@dataclass(frozen=True, slots=True)
class Score:
    """What maps are worth.

    Attributes:
        records: a row an image, without classification.
        metrics: fractions, their intervals, and the protocol they were measured under.
        values: the metrics over `hclnet.metrics.resamples`, to be paired with those of other maps of the same images.
    """

    records: Records
    metrics: dict[str, Any]
    values: Resampled

    @property
    def figures(self) -> dict[str, Any]:
        """The metrics, by the name that version 0.1 has for them."""
        return self.metrics


def score(
    maps: str | Path,
    ground_truth: str | Path | DataSet,
    split: str = "test",
    protocol: str = "hclnet",
    box: str | None = None,
    map_size: int = 224,
    cam_normalization: str = "minmax",
    progress: Report | None = None,
    log: Log | None = None,
) -> Score:
    """Score heatmaps of the true classes, whatever made them.

    Args:
        maps: a folder of `<image id>.npy`, or one `.npz` or `.safetensors` file with image ids as keys; of any
            resolution, ids with or without the image's extension.
        ground_truth: a data set with boxes or masks: a path of any layout that `hclnet.read` reads, or what it
            returned.
        split: which part of it.
        protocol: `hclnet` or `wsoleval`; see docs/protocols.md.
        box: the box rule of `gt_known`; the usual one by default.
        map_size: side that maps are brought to, pixels.
        cam_normalization: how maps come to 0..1, see `hclnet.boxes.normalize`; of protocol `hclnet`.
        progress: called with images done and images in all.
        log: called with a sentence for each thing that is strange about the ground truth.

    Raises:
        ValueError: data or maps are not as they have to be; the message says which and what to do.
    """
    box = box or Inference().box
    rule, scoring = parse_rule(box), get_protocol(protocol, map_size, normalization=cam_normalization)
    dataset = as_dataset(ground_truth)
    source = dataset.root if isinstance(ground_truth, DataSet) else ground_truth
    in_split, boxes, masks = (
        dataset.split(find_split(dataset, split)),
        dataset.ground_truth.boxes,
        dataset.ground_truth.masks,
    )
    samples = [s for s in in_split if s.id in boxes or s.id in masks]
    if not samples:
        raise ValueError(
            f"{source} has neither boxes nor masks for its {in_split[0].split} images: nothing to score by."
        )
    check_needs(rule, ("features",), "hclnet score has maps and no backbone")
    if absent := [s for s in samples if not s.path.is_file()]:
        where = f"{len(absent)} of the {len(samples)} images, such as {shown(absent[0].id)}, are not there to be read"
        check_needs(rule, ("pixels",), where)
    scored = {s.id for s in samples}
    others = [s for s in dataset.samples if s.id not in scored]
    with open_maps(maps) as found:
        chosen = match_maps(found, samples, others)
        # Where the ground truth says how large the images are, none of them needs to be here.
        sizes = np.array([dataset.ground_truth.sizes.get(s.id) or image_size(s.path) for s in samples], dtype=np.int64)
        records = score_maps(chosen, samples, sizes, dataset.ground_truth, scoring, rule, progress, log=log)
    values = weighted_metrics(records, resamples(len(records)))
    named = {"maps": str(maps), "truth": str(source), "split": in_split[0].split, "box": box}
    measured = {**named, "protocol": scoring.describe(box), **compute_metrics(records), "intervals": intervals(values)}
    return Score(records, measured, values)


@contextmanager
def open_maps(path: str | Path) -> Iterator[dict[str, Read]]:
    """The maps at a path by their id, each read when it is called for, while the context lasts.

    Args:
        path: a folder with `<image id>.npy` in it, at any depth; or one `.npz` or `.safetensors` file whose keys are
            the image ids.

    Raises:
        ValueError: there is nothing at the path, or no maps in it.
    """
    path, archive = Path(path), None
    if path.is_dir():
        files = sorted(p for p in path.rglob("*.npy") if p.is_file() and not p.name.startswith("."))
        maps = {p.relative_to(path).as_posix().removesuffix(".npy"): _npy(p) for p in files}
        wanted = "a .npy file for each image"
    elif not path.is_file():
        raise ValueError(f"There is nothing at {path}. Give a folder of .npy files, or one .npz or .safetensors file.")
    elif path.suffix == ".npz":
        archive = _opened_npz(path)
        maps, wanted = {name: partial(archive.__getitem__, name) for name in archive.files}, "an array for each image"
    elif path.suffix == ".safetensors":
        maps, wanted = _safetensors(path), "a tensor for each image"
    else:
        raise ValueError(f"{path} is not a file of maps: they come as .npz, .safetensors or a folder of .npy files.")
    try:
        if not maps:
            raise ValueError(f"There are no maps in {path}: it needs {wanted}, named by the image's id.")
        yield maps
    finally:
        if archive:
            archive.close()


def match_maps(maps: Mapping[str, Read], samples: Sequence[Sample], others: Sequence[Sample] = ()) -> list[Read]:
    """For each image its map: of the same id, or of one that differs only in an image's extension at the end.

    Args:
        maps: by id.
        samples: the images that are scored.
        others: images of the same data set that may have a map and are not scored.

    Raises:
        ValueError: an image has no map or several, or a map belongs to no image; the message has examples.
    """
    bare: dict[str, list[str]] = {}
    for name in maps:
        bare.setdefault(_bare(name), []).append(name)
    stems: dict[str, int] = {}
    for sample in samples:
        stems[_bare(sample.id)] = stems.get(_bare(sample.id), 0) + 1
    ids = {sample.id for sample in samples}
    chosen, missing = {}, []
    for sample in samples:
        like = [name for name in bare.get(_bare(sample.id), []) if name not in ids]
        if sample.id in maps:
            chosen[sample.id] = sample.id
        elif len(like) > 1 or (like and stems[_bare(sample.id)] > 1):
            raise ValueError(
                f"{sample.id} could be {' or '.join(like)}: there are several such images or maps. Name the maps by "
                "the images' whole ids."
            )
        elif like:
            chosen[sample.id] = like[0]
        else:
            missing.append(sample.id)
    known = set(chosen.values()) | {s.id for s in others}
    elsewhere = {_bare(s.id) for s in others}
    extra = [name for name in maps if name not in known and _bare(name) not in elsewhere]
    if missing or extra:
        parts = [f"{len(missing)} of the {len(samples)} images have no map: {_some(missing)}"] if missing else []
        parts += [f"{len(extra)} of the {len(maps)} maps belong to no image: {_some(extra)}"] if extra else []
        raise ValueError(
            f"{'. '.join(parts)}. Ids here look like {samples[0].id}; name the maps by them, with or without extension."
        )
    return [maps[chosen[sample.id]] for sample in samples]


def score_maps(
    maps: Sequence[Read],
    samples: Sequence[Sample],
    sizes: Integer[np.ndarray, "n 2"],
    ground_truth: GroundTruth,
    scoring: Scoring,
    rule: Rule,
    progress: Report | None = None,
    workers: int = 2,
    log: Log | None = None,
) -> Records:
    """Score maps of the true classes.

    Args:
        maps: one an image; each has any height and width.
        samples: the images.
        sizes: their width and height, pixels.
        ground_truth: their boxes and masks.
        scoring: the protocol.
        rule: the box rule.
        progress: called with images done and images in all.
        workers: threads.
        log: called with a sentence for each thing that is strange about the ground truth.

    Returns:
        Records without classification.

    Raises:
        ValueError: a map is damaged, of a wrong shape or not finite, or the ground truth can't be used; the message has
            the image's id.
    """
    check_ground_truth(ground_truth, samples, sizes, log)
    table = Table(samples, sizes, scoring, any(s.id in ground_truth.masks for s in samples))

    def looked(row: int, map: np.ndarray) -> tuple[list[Found], tuple[Counts, Counts] | None]:
        sample = samples[row]
        try:
            size = tuple(sizes[row].tolist())
            boxes, mask = ground_truth.boxes_in(sample.id, size), ground_truth.masks.get(sample.id)
            drawn = draw(map, scoring, partial(load_square, sample.path))
            return look(drawn, boxes, size, mask, scoring, [rule])
        except ValueError as error:
            raise ValueError(f"The map of {sample.id} can't be scored: {error}") from None

    with ThreadPoolExecutor(workers) as pool:
        for row, ((found,), pixels) in enumerate(_in_order(pool, looked, _checked(maps, samples), _AHEAD * workers)):
            table.put(row, found, pixels)
            if progress and ((row + 1) % 64 == 0 or row + 1 == len(samples)):
                progress(row + 1, len(samples))
    return table.records()


def _in_order(pool: ThreadPoolExecutor, look: Callable, maps: Iterator[np.ndarray], ahead: int) -> Iterator[Any]:
    """Results in order, while at most `ahead` maps wait: `pool.map` would read all of them first."""
    waiting: deque[Future] = deque()
    try:
        for row, map in enumerate(maps):
            waiting.append(pool.submit(look, row, map))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _checked(maps: Sequence[Read], samples: Sequence[Sample]) -> Iterator[Real[np.ndarray, "h w"]]:
    for sample, get in zip(samples, maps):
        try:
            map = get()
        except (OSError, ValueError, TypeError, BadZipFile, SafetensorError) as error:
            raise ValueError(f"The map of {sample.id} can't be read: {as_clause(error)}. Write it again.") from None
        if map.ndim != 2 or 0 in map.shape:
            raise ValueError(
                f"The map of {sample.id} has shape {tuple(map.shape)}; it has to be height x width, one map of the "
                "image's true class."
            )
        if map.dtype.kind not in "fiub":
            raise ValueError(f"The map of {sample.id} holds {map.dtype}, not numbers; write it as float32.")
        other = {"b": np.uint8, "f": np.float64 if map.dtype.itemsize > 8 else map.dtype}.get(map.dtype.kind, map.dtype)
        with np.errstate(over="ignore"):  # what becomes infinite is refused as such
            yield map.astype(other, copy=False)


def _npy(path: Path) -> Read:
    return lambda: np.load(path, mmap_mode="r", allow_pickle=False)


def _opened_npz(path: Path) -> np.lib.npyio.NpzFile:
    try:
        return np.lib.npyio.NpzFile(path, allow_pickle=False)  # type: ignore[arg-type]  # takes paths too
    except (OSError, ValueError, BadZipFile) as error:
        raise ValueError(f"{path} can't be read: {as_clause(error)}. Write it again with numpy.savez.") from None


def _safetensors(path: Path) -> dict[str, Read]:
    try:
        archive = safe_open(path, framework="numpy")
        return {name: partial(archive.get_tensor, name) for name in archive.keys()}  # noqa: SIM118, it is no dict
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} can't be read: {as_clause(error)}. Write it again with safetensors.") from None


def _bare(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in SUFFIXES else name


def _some(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
