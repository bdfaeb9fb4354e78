"""`hclnet score`: the heatmaps of any model and a ground truth -> the records and metrics that `evaluate` makes of a
localizer.

Maps are read one after the other and scored in threads; never more than a few are in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer

from hclnet.config import Inference
from hclnet.data import as_one_split, find_split
from hclnet.data.masks import check_ground_truth
from hclnet.data.splits import ALL
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
from hclnet.types import DataSet, GroundTruth, Log, Records, Sample
from hclnet.workflows.datasets import as_dataset
from hclnet.workflows.map_files import Read, checked_maps, match_maps, open_maps
from hclnet_runtime.boxes import Rule, check_needs, parse_rule
from hclnet_runtime.data.images import image_size, load_square
from hclnet_runtime.pictures import in_threads
from hclnet_runtime.text import shown

_AHEAD = 8  # maps read and not yet scored, per thread


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
        split: which part of it, or `all`.
        protocol: `hclnet` or `wsoleval`; see docs/protocols.md.
        box: the box rule of `gt_known`; the usual one by default.
        map_size: side that maps are brought to, pixels.
        cam_normalization: how maps come to 0..1, see `hclnet_runtime.boxes.normalize`; of protocol `hclnet`.
        progress: called with images done and images in all.
        log: called with a sentence for each thing that is strange about the ground truth.

    Raises:
        ValueError: data or maps are not as they have to be; the message says which and what to do.
    """
    box = box or Inference().box
    rule, scoring = parse_rule(box), get_protocol(protocol, map_size, normalization=cam_normalization)
    dataset = as_dataset(ground_truth)
    dataset = as_one_split(dataset) if split == ALL else dataset
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
        sizes = np.array([dataset.ground_truth.size_of(s.id) or image_size(s.path) for s in samples], dtype=np.int64)
        records = score_maps(chosen, samples, sizes, dataset.ground_truth, scoring, rule, progress, log=log)
    values = weighted_metrics(records, resamples(len(records)))
    named = {"maps": str(maps), "truth": str(source), "split": in_split[0].split, "box": box}
    measured = {**named, "protocol": scoring.describe(box), **compute_metrics(records), "intervals": intervals(values)}
    return Score(records, measured, values)


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

    def looked(numbered: tuple[int, np.ndarray]) -> tuple[list[Found], tuple[Counts, Counts] | None]:
        row, map = numbered
        sample = samples[row]
        try:
            size = tuple(sizes[row].tolist())
            boxes, mask = ground_truth.boxes_in(sample.id, size), ground_truth.masks.get(sample.id)
            drawn = draw(map, scoring, partial(load_square, sample.path))
            return look(drawn, boxes, size, mask, scoring, [rule])
        except ValueError as error:
            raise ValueError(f"The map of {sample.id} can't be scored: {error}") from None

    with ThreadPoolExecutor(workers) as pool:
        given = enumerate(checked_maps(maps, samples))
        for row, ((found,), pixels) in enumerate(in_threads(looked, given, pool, _AHEAD * workers - 1)):
            table.put(row, found, pixels)
            if progress and ((row + 1) % 64 == 0 or row + 1 == len(samples)):
                progress(row + 1, len(samples))
    return table.records()
