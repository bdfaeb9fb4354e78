"""A localizer and a split -> one table of per-image records, for any number of inference settings in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float

from hclnet.boxes import Rule, component_tree, parse_rule, scale, to_levels
from hclnet.config import Inference
from hclnet.data.images import image_size
from hclnet.features import cached_features, image_batches, inference_batch
from hclnet.heatmaps import branch_maps, fused_maps, heatmaps
from hclnet.localizer import Localizer
from hclnet.methods import Output
from hclnet.metrics import localisation_row
from hclnet.progress import Report
from hclnet.report import ImageMaps, image_maps
from hclnet.types import Records, Sample, Truth

_NO_BOXES = np.zeros((0, 4))


@torch.inference_mode()
def evaluate_localizer(
    localizer: Localizer,
    samples: Sequence[Sample],
    truth: Truth,
    variants: Sequence[Inference] | None = None,
    cache: bool = False,
    progress: Report | None = None,
    keep: Callable[[int, ImageMaps], None] | None = None,
) -> list[Records]:
    """Score a localizer on images whose class, and where known whose boxes, are given.

    Localisation uses the map of the true class. Classification never does: it is that of the method's own logits.

    Args:
        localizer: what to score.
        samples: the images.
        truth: their boxes, as far as there are any.
        variants: settings of maps and boxes to score, each for itself; the localizer's own by default. Features and
            branches are computed once for all of them.
        cache: keep the trunk's features on disk, for a trunk that many localizers share.
        progress: called with images done and images in all.
        keep: called for every image in order, for each variant's number, with what a report draws of its maps.

    Returns:
        A table of records per variant, rows in the order of the samples.

    Raises:
        ValueError: an image can't be read.
    """
    variants = list(variants or [localizer.inference])
    rules = [parse_rule(v.box) for v in variants]
    # Variants that differ only in the box rule share their maps.
    groups: dict[Inference, list[int]] = {}
    for k, variant in enumerate(variants):
        groups.setdefault(variant.model_copy(update={"box": ""}), []).append(k)
    sizes = np.array([image_size(s.path) for s in samples], dtype=np.int64)
    labels = np.array([s.label for s in samples], dtype=np.int64)
    k = min(5, len(localizer.classes))
    top_classes, top_scores, ranks = [], [], []
    rows: list[list[tuple]] = [[] for _ in variants]
    done = 0
    with ThreadPoolExecutor(2) as pool:  # the component tree releases the interpreter
        for features in _feature_batches(localizer, samples, cache):
            chunk = slice(done, done + len(next(iter(features.values()))))
            true = torch.from_numpy(labels[chunk]).to(localizer.device)
            with torch.autocast(localizer.device.type, torch.bfloat16, enabled=localizer.dtype == torch.bfloat16):
                output = localizer.method(features, true)
            probabilities = output.logits.float().softmax(1)
            best = probabilities.topk(k)
            top_classes.append(best.indices.cpu().numpy())
            top_scores.append(best.values.cpu().numpy())
            # Ties count against the true class, as in a stable order they would half of the time.
            own = output.logits.gather(1, true[:, None])
            ranks.append(((output.logits >= own).sum(1) - 1).cpu().numpy())
            for shared, members in groups.items():
                maps = heatmaps(output, shared, localizer.method.fusion).cpu().numpy()
                small = _small(output, shared, localizer.method.fusion) if keep else [None] * len(maps)
                boxes = [
                    _on_map(truth.boxes.get(s.id, _NO_BOXES), size, shared.map_size)
                    for s, size in zip(samples[chunk], sizes[chunk])
                ]
                chosen = [rules[m] for m in members]
                work = partial(_rows, rules=chosen, upsampling=shared.upsampling)
                for found in pool.map(work, maps, boxes, small):
                    for member, (row, kept) in zip(members, found):
                        rows[member].append(row)
                        if keep:
                            keep(member, kept)
            done = chunk.stop
            if progress:
                progress(done, len(samples))
    return [
        _records(samples, labels, sizes, top_classes, top_scores, ranks, found, variant.map_size)
        for found, variant in zip(rows, variants)
    ]


def _small(output: Output, settings: Inference, default_fusion: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each image the fused map and the branches' maps at feature resolution."""
    fused = fused_maps(output, settings, default_fusion).cpu().numpy()
    return list(zip(fused, branch_maps(output).transpose(0, 1).cpu().numpy()))


def _rows(
    heatmap: Float[np.ndarray, "s s"],
    boxes: Float[np.ndarray, "n 4"],
    small: tuple[np.ndarray, np.ndarray] | None,
    rules: list[Rule],
    upsampling: str,
) -> list[tuple[tuple, ImageMaps | None]]:
    levels = to_levels(heatmap)
    tree = component_tree(levels)
    rows = [localisation_row(levels, tree, boxes, rule) for rule in rules]
    if small is None:
        return [(row, None) for row in rows]
    maps = image_maps(*small, levels, upsampling)
    return [(row, replace(maps, level=rule.level(levels, tree))) for row, rule in zip(rows, rules)]


def _on_map(boxes: Float[np.ndarray, "n 4"], size: np.ndarray, side: int) -> Float[np.ndarray, "n 4"]:
    return scale(boxes, tuple(size.tolist()), (side, side))


def _feature_batches(localizer: Localizer, samples: Sequence[Sample], cache: bool):
    reads, batch = localizer.method.reads, inference_batch(localizer.device)
    if cache:
        store = cached_features(localizer.trunk, reads, samples, localizer.size, localizer.dtype, localizer.device)
        for start in range(0, len(store), batch):
            features = store.batch(np.arange(start, min(start + batch, len(store))))
            yield {name: value.to(localizer.device) for name, value in features.items()}
    else:
        for images in image_batches([s.path for s in samples], localizer.size, batch):
            yield localizer.features(images)


def _records(
    samples: Sequence[Sample],
    labels: np.ndarray,
    sizes: np.ndarray,
    top_classes: list[np.ndarray],
    top_scores: list[np.ndarray],
    ranks: list[np.ndarray],
    rows: list[tuple],
    side: int,
) -> Records:
    boxes, ious, level_iou, level_best = (np.stack(column) for column in zip(*rows))
    on_image = np.concatenate(
        [scale(b[None].astype(np.float64), (side, side), tuple(size.tolist())) for b, size in zip(boxes, sizes)]
    )
    return Records(
        ids=[s.id for s in samples],
        paths=[str(s.path) for s in samples],
        labels=labels,
        sizes=sizes,
        top_classes=np.concatenate(top_classes),
        top_scores=np.concatenate(top_scores),
        rank=np.concatenate(ranks),
        boxes=on_image,
        iou=ious,
        level_iou=level_iou,
        level_best=level_best,
    )
