"""A localizer and a split -> one table of per-image records, for any number of inference settings in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64

from hclnet.backbones import Features
from hclnet.config import Inference
from hclnet.data.masks import check_ground_truth, image_sizes
from hclnet.localizer.features import image_batches
from hclnet.localizer.localizer import Localizer
from hclnet.localizer.network import Variant
from hclnet.localizer.pipeline import feature_batches, map_rows
from hclnet.maps.augmentation import View
from hclnet.metrics import Counts, Found, Scoring, Table, look, protocol_of, true_class_ranks
from hclnet.progress import Report
from hclnet.report import ImageMaps, image_maps
from hclnet.types import GroundTruth, Records, Sample
from hclnet_runtime.boxes import Rule, parse_rule
from hclnet_runtime.data.images import enlarged, load_square
from hclnet_runtime.locating import MapRow
from hclnet_runtime.pictures import in_threads

_THREADS, _AHEAD = 2, 16  # the component tree releases the interpreter; images whose maps wait for it


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
    log: Callable[[str], None] | None = None,
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
        log: called with a sentence for each thing that is strange about the ground truth.

    Returns:
        A table of records per variant, rows in the order of the samples.

    Raises:
        ValueError: an image or a mask can't be read, the ground truth can't be used, there is no such protocol, or the
            box rule lacks what it needs at a size (`Localizer.check_sizes`).
    """
    variants = list(variants or [localizer.inference])
    for variant in variants:
        localizer.check_sizes(variant)
        variant.check(localizer.classes)
    sizes, network = image_sizes(samples), localizer.network
    masked = any(s.id in ground_truth.masks for s in samples)
    groups = _grouped(localizer, samples, sizes, variants, protocol, masked)
    hidden = set.intersection(*(group.hidden for group in groups))
    check_ground_truth(ground_truth.without(hidden), samples, sizes, log)
    every = sorted((member for group in groups for member in group.members), key=lambda member: member.number)
    classified = {member.classifier: _Classified(min(5, len(localizer.classes))) for member in every}
    seen = set(chain(*(group.variant.views for group in groups)))
    with_features = any("features" in member.rule.needs for member in every)

    def rows() -> Iterator[tuple[int, list[MapRow]]]:
        """The place of each image among the samples, and its maps by group."""
        done = 0
        for features in feature_batches(localizer, samples, seen, cache):
            some = samples[done : done + _count(features)]
            true = torch.tensor([s.label for s in some], device=localizer.device)
            answers = network.heads(features, true, [group.variant for group in groups], with_features)
            for by, column in classified.items():
                if by != _TEN_CROPS:
                    of = next(a for a, group in zip(answers, groups) if group.variant.views == by)
                    column.add(of.logits, of.probabilities, true)
            if _TEN_CROPS in classified:
                probabilities = _by_ten_crops(localizer, some)
                classified[_TEN_CROPS].add(probabilities, probabilities, true)
            yield from enumerate(zip(*(map_rows(answer) for answer in answers)), done)
            done += len(some)

    def looked(item: tuple[int, Sequence[MapRow]]) -> list[_Seen]:
        place, maps = item
        sample, size = samples[place], tuple(sizes[place].tolist())
        square = partial(load_square, sample.path, gray=localizer.gray)
        return [group.look(row, sample, size, ground_truth, square, bool(keep)) for group, row in zip(groups, maps)]

    with ThreadPoolExecutor(_THREADS) as pool:
        for done, found_in in enumerate(in_threads(looked, rows(), pool, _AHEAD)):
            for group, (found, pixels, maps) in zip(groups, found_in):
                for member, one in zip(group.members, found):
                    member.table.put(done, one, pixels)
                    if keep and maps is not None:
                        keep(member.number, replace(maps, level=one.level))
            if progress:
                progress(done + 1, len(samples))
    return [member.table.records(*classified[member.classifier].columns()) for member in every]


@torch.inference_mode()
def class_probabilities(
    localizer: Localizer, samples: Sequence[Sample], cache: bool = False, progress: Report | None = None
) -> Float[np.ndarray, "n c"]:
    """How probable the localizer finds every class in every image, as `locate` does.

    Args:
        localizer: with the settings of test-time augmentation.
        samples: the images.
        cache: keep the backbone's features on disk.
        progress: called with images done and images in all.
    """
    rows, done = [], 0
    for features in feature_batches(localizer, samples, localizer.views, cache):
        if localizer.inference.crops == 10:
            rows.append(_by_ten_crops(localizer, samples[done : done + _count(features)]).cpu().numpy())
        else:
            rows.append(localizer.network.probabilities(features).cpu().numpy())
        done += len(rows[-1])
        if progress:
            progress(done, len(samples))
    return np.concatenate(rows)


_TEN_CROPS: tuple[View, ...] = ()
"""In place of the views that an image is classified by."""


_Seen = tuple[list[Found], tuple[Counts, Counts] | None, ImageMaps | None]
"""What one image contributes to the records of each member of a group, and what a report draws of it."""


class _Member(NamedTuple):
    """One of the settings that records are made under.

    Attributes:
        number: its place among them.
        rule: its box rule.
        classifier: the views that classify.
        table: its records in the making.
    """

    number: int
    rule: Rule
    classifier: tuple[View, ...]
    table: Table


@dataclass(slots=True)
class _Group:
    """Settings that differ only in the box rule, or in how images are classified: they share their maps.

    Attributes:
        variant: of the maps.
        scoring: the protocol under it.
        hidden: ids of the images of the background class, which are not boxed.
        members: the settings.
    """

    variant: Variant
    scoring: Scoring
    hidden: set[str]
    members: list[_Member] = field(default_factory=list)

    def look(
        self,
        row: MapRow,
        sample: Sample,
        size: tuple[int, int],
        ground_truth: GroundTruth,
        square: Callable[[int], np.ndarray],
        keep: bool,
    ) -> _Seen:
        """What one image contributes."""
        drawn, scoring, hidden = row.draw(self.scoring, square), self.scoring, sample.id in self.hidden
        boxes = np.zeros((0, 4)) if hidden else ground_truth.boxes_in(sample.id, size)
        mask = None if hidden else ground_truth.masks.get(sample.id)
        found, pixels = look(drawn, boxes, size, mask, scoring, [member.rule for member in self.members])
        if hidden:
            found = [_nowhere(one) for one in found]
        if not keep:
            return found, pixels, None
        levels, how = drawn.evidence.levels, scoring.normalization
        return found, pixels, image_maps(row.grid, row.branches, levels, scoring.upsampling, how=how)


def _grouped(
    localizer: Localizer,
    samples: Sequence[Sample],
    sizes: np.ndarray,
    variants: Sequence[Inference],
    protocol: str,
    masked: bool,
) -> list[_Group]:
    groups: dict[Inference, _Group] = {}
    for number, settings in enumerate(variants):
        shared = settings.model_copy(update={"box": "", "crops": 1, "min_score": 0.0})
        if shared not in groups:
            hidden = {s.id for s in samples if localizer.classes[s.label] == settings.background_class}
            groups[shared] = _Group(localizer.network.variant(shared), protocol_of(protocol, settings), hidden)
        group = groups[shared]
        classifier = _TEN_CROPS if settings.crops == 10 else group.variant.views
        table = Table(samples, sizes, group.scoring, masked)
        group.members.append(_Member(number, parse_rule(settings.box), classifier, table))
    return list(groups.values())


def _count(features: dict[View, Features]) -> int:
    return len(next(iter(next(iter(features.values())).values())))


def _by_ten_crops(localizer: Localizer, samples: Sequence[Sample]) -> Float[torch.Tensor, "b c"]:
    (images,) = image_batches([s.path for s in samples], enlarged(localizer.size), len(samples), localizer.gray)
    return localizer.network.crop_probabilities(images)


class _Classified:
    """The columns of records that say what images were classified as, in the making."""

    def __init__(self, k: int) -> None:
        self.k = k
        self.rows: list[list[np.ndarray]] = []

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


def _nowhere(found: Found) -> Found:
    """The same, without a box: at the last level every mask is empty."""
    return found._replace(level=255, box=np.zeros_like(found.box))
