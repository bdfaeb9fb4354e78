"""A localizer and a split -> one table of per-image records, for any number of inference settings in one pass."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, Real

from hclnet.backbones import Features
from hclnet.boxes import Evidence, Rule, parse_rule
from hclnet.config import Inference
from hclnet.data.images import enlarged
from hclnet.data.masks import check_ground_truth, image_sizes
from hclnet.localizer.features import cached_features, image_batches, inference_batch
from hclnet.localizer.localizer import Localizer
from hclnet.maps.augmentation import View, mean_probabilities, merge, views
from hclnet.maps.heatmap import branch_maps, fused_maps, heatmaps
from hclnet.methods import Output
from hclnet.metrics import Counts, Found, Scoring, Table, get_protocol, true_class_ranks
from hclnet.progress import Report
from hclnet.report import ImageMaps, image_maps
from hclnet.types import GroundTruth, MaskFiles, Records, Sample


@torch.inference_mode()
def evaluate_localizer(
    localizer: Localizer,
    samples: Sequence[Sample],
    ground_truth: GroundTruth,
    variants: Sequence[Inference] | None = None,
    cache: bool = False,
    progress: Report | None = None,
    keep: Callable[[int, ImageMaps], None] | None = None,
    protocol: str = "hclnet",
    tell: Callable[[str], None] | None = None,
) -> list[Records]:
    """Score a localizer on images whose class, and where known whose boxes, are given.

    Localization uses the map of the true class. Classification never does: it is that of the method's own logits.

    Args:
        localizer: what to score.
        samples: the images.
        ground_truth: their boxes, as far as there are any.
        variants: settings of maps and boxes to score, each for itself; the localizer's own by default. Features and
            branches are computed once for all of them.
        cache: keep the backbone's features on disk, for a backbone that many localizers share.
        progress: called with images done and images in all.
        keep: called for every image in order, for each variant's number, with what a report draws of its maps.
        protocol: that localization is scored under. `wsoleval` has its own upsampling and map size, whatever the
            variants say.
        tell: called with a sentence for each thing that is strange about the ground truth.

    Returns:
        A table of records per variant, rows in the order of the samples.

    Raises:
        ValueError: an image or a mask can't be read, the ground truth can't be used, there is no such protocol, or the
            box rule `auto` lacks what it needs at a size (`Localizer.check_sizes`).
    """
    variants = list(variants or [localizer.inference])
    for variant in variants:
        localizer.check_sizes(variant)
    rules = [parse_rule(v.box) for v in variants]
    scoring = [protocol_of(protocol, v) for v in variants]
    # Variants that differ only in the box rule, or in how images are classified, share their maps.
    groups: dict[Inference, list[int]] = {}
    for k, variant in enumerate(variants):
        groups.setdefault(variant.model_copy(update={"box": "", "crops": 1, "min_score": 0.0}), []).append(k)
    looks = {shared: views(shared, localizer.size) for shared in groups}
    sizes = image_sizes(samples)
    labels = np.array([s.label for s in samples], dtype=np.int64)
    hidden = {shared: _hidden(localizer, shared, samples) for shared in groups}
    ground_truths = {shared: ground_truth.without(ids) for shared, ids in hidden.items()}
    check_ground_truth(ground_truth.without(set.intersection(*hidden.values())), samples, sizes, tell)
    k = min(5, len(localizer.classes))
    # Variants that look alike, or all by their crops, classify alike.
    classifiers = [10 if v.crops == 10 else views(v, localizer.size) for v in variants]
    classified = {by: _Classified(k) for by in classifiers}
    masked = any(s.id in ground_truth.masks for s in samples)
    tables = [Table(samples, sizes, each, masked) for each in scoring]
    done = 0
    with ThreadPoolExecutor(2) as pool:  # the component tree releases the interpreter
        for features in _feature_batches(localizer, samples, set(chain(*looks.values())), cache):
            count = len(next(iter(next(iter(features.values())).values())))
            chunk = slice(done, done + count)
            true = torch.from_numpy(labels[chunk]).to(localizer.device)
            outputs = {view: localizer.output(of, true) for view, of in features.items()}
            merged = {seen: merge([outputs[view] for view in seen], seen) for seen in set(looks.values())}
            for by, column in classified.items():
                if by != 10:
                    column.add(merged[by].logits, merged[by].logits.float().softmax(1), true)
            if 10 in classified:
                probabilities = _by_ten_crops(localizer, samples[chunk])
                classified[10].add(probabilities, probabilities, true)
            likely = {s: localizer.foreground_of([features[v] for v in s], s) or [None] * count for s in merged}
            for shared, members in groups.items():
                under, output = scoring[members[0]], merged[looks[shared]]
                maps = _maps(output, shared, localizer.method.fusion, under)
                small = _small(output, shared, localizer.method.fusion) if keep else [None] * len(maps)
                boxes = [
                    under.gt_boxes(ground_truths[shared].boxes_in(s.id, tuple(size)), tuple(size))
                    for s, size in zip(samples[chunk], sizes[chunk].tolist())
                ]
                masks = [ground_truths[shared].masks.get(s.id) for s in samples[chunk]]
                look = partial(_look, scoring=under, rules=[rules[m] for m in members])
                found_in = pool.map(look, maps, boxes, masks, small, likely[looks[shared]])
                for row, (found, pixels, kept) in enumerate(found_in, done):
                    for member, one in zip(members, found):
                        one = _nowhere(one) if samples[row].id in hidden[shared] else one
                        tables[member].put(row, one, pixels)
                        if keep:
                            keep(member, replace(kept, level=one.level))
            done = chunk.stop
            if progress:
                progress(done, len(samples))
    return [table.records(*classified[by].columns()) for by, table in zip(classifiers, tables)]


@torch.inference_mode()
def class_probabilities(
    localizer: Localizer, samples: Sequence[Sample], cache: bool = False, progress: Report | None = None
) -> Float[np.ndarray, "n c"]:
    """How probable the localizer finds every class in every image, as `locate` does.

    Args:
        localizer: with the settings of how it looks at images.
        samples: the images.
        cache: keep the backbone's features on disk.
        progress: called with images done and images in all.
    """
    rows, looks, done = [], localizer.views, 0
    for features in _feature_batches(localizer, samples, set(looks), cache):
        if localizer.inference.crops == 10:
            count = len(next(iter(features[looks[0]].values())))
            rows.append(_by_ten_crops(localizer, samples[done : done + count]).cpu().numpy())
        else:
            rows.append(mean_probabilities([localizer.output(features[view]) for view in looks]).cpu().numpy())
        done += len(rows[-1])
        if progress:
            progress(done, len(samples))
    return np.concatenate(rows)


def _by_ten_crops(localizer: Localizer, samples: Sequence[Sample]) -> Float[torch.Tensor, "b c"]:
    (images,) = image_batches([s.path for s in samples], enlarged(localizer.size), len(samples), localizer.gray)
    return localizer.crop_probabilities(images)


class _Classified:
    """The columns of records that say what images were classified as, in the making."""

    def __init__(self, k: int) -> None:
        self.k, self.rows = k, []

    def add(
        self,
        scores: Float[torch.Tensor, "b c"],
        probabilities: Float[torch.Tensor, "b c"],
        true: Int64[torch.Tensor, "b"],
    ) -> None:
        best = probabilities.topk(self.k)
        rank = true_class_ranks(scores.float().cpu().numpy(), true.cpu().numpy())
        self.rows.append([best.indices.cpu().numpy(), best.values.cpu().numpy(), rank])

    def columns(self) -> list[np.ndarray]:
        return [np.concatenate(column) for column in zip(*self.rows)]


def protocol_of(name: str, inference: Inference) -> Scoring:
    """The protocol of a name with the settings of maps; `wsoleval` has its own, min-max too.

    Raises:
        ValueError: there is no such protocol.
    """
    if name == "hclnet":
        return get_protocol(name, inference.map_size, inference.upsampling, inference.cam_normalization)
    return get_protocol(name)


def _hidden(localizer: Localizer, settings: Inference, samples: Sequence[Sample]) -> set[str]:
    """The images of the class that is nothing to be boxed."""
    settings.check(localizer.classes)
    return {s.id for s in samples if localizer.classes[s.label] == settings.background_class}


def _nowhere(found: Found) -> Found:
    """The same, without a box: at the last level every mask is empty."""
    return found._replace(level=255, box=np.zeros_like(found.box))


def _small(output: Output, settings: Inference, default_fusion: str | None) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each image the fused map and the branches' maps at feature resolution."""
    fused = fused_maps(output, settings, default_fusion).cpu().numpy()
    return list(zip(fused, branch_maps(output).transpose(0, 1).cpu().numpy()))


def _maps(
    output: Output, settings: Inference, default_fusion: str | None, scoring: Scoring
) -> Float[np.ndarray, "b h w"]:
    """Heatmaps, or for a protocol with an upsampling of its own the maps that it starts from."""
    if scoring.name == "hclnet":
        return heatmaps(output, settings, default_fusion).cpu().numpy()
    if not settings.upsample_first:
        return fused_maps(output, settings, default_fusion).cpu().numpy()
    return heatmaps(output, settings.model_copy(update={"cam_normalization": "minmax"}), default_fusion).cpu().numpy()


def _look(
    map: Float[np.ndarray, "h w"],
    gt_boxes: Real[np.ndarray, "m 4"],
    mask: MaskFiles | None,
    small: tuple[np.ndarray, np.ndarray] | None,
    foreground: Float32[np.ndarray, "gh gw"] | None,
    scoring: Scoring,
    rules: Sequence[Rule],
) -> tuple[list[Found], tuple[Counts, Counts] | None, ImageMaps | None]:
    heatmap = map if scoring.name == "hclnet" else scoring.heatmap(map)
    levels = scoring.levels(heatmap)
    found = scoring.locate(Evidence(levels, foreground=foreground), gt_boxes, rules)
    pixels = scoring.pixels(heatmap, levels, mask) if mask else None
    return found, pixels, image_maps(*small, levels, scoring.upsampling, how=scoring.normalization) if small else None


def _feature_batches(
    localizer: Localizer, samples: Sequence[Sample], seen: Collection[View], cache: bool
) -> Iterator[dict[View, Features]]:
    """Features of the images by view, in batches."""
    reads, sides = localizer.method.in_features, sorted({view.size for view in seen})
    batch = inference_batch(localizer.device, sides[-1])
    if cache:
        kept = (localizer.dtype, localizer.device)
        stores = {
            s: cached_features(localizer.backbone, reads, samples, s, *kept, View(s, True) in seen, gray=localizer.gray)
            for s in sides
        }
        for start in range(0, len(samples), batch):
            rows = np.arange(start, min(start + batch, len(samples)))
            read = {v: stores[v.size].batch(rows, np.ones(len(rows), bool) if v.mirrored else None) for v in seen}
            yield {v: {name: of.to(localizer.device) for name, of in features.items()} for v, features in read.items()}
    else:
        paths = [s.path for s in samples]
        for images in zip(*(image_batches(paths, side, batch, localizer.gray) for side in sides)):
            of = dict(zip(sides, images))
            yield {view: localizer.features(of[view.size], view.mirrored) for view in seen}
