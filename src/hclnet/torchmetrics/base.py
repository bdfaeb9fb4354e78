"""What all metric objects share: they look at a batch by their protocol, and add up what a registered metric counts."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from torchmetrics import Metric

from hclnet.metrics import Mask, Table, draw, get_protocol, look, true_class_ranks, unlocated
from hclnet.metrics import Metric as Registered
from hclnet.metrics.inputs import check_boxes, check_maps, check_masks, check_scores, check_sizes
from hclnet.metrics.registry import Count, total_counts, values
from hclnet.types import Sample
from hclnet_runtime.boxes import check_needs, parse_rule

Array = Tensor | np.ndarray | Sequence


class MapMetric(Metric):
    """What all of them share: settings, sums as states, and a registered metric of `hclnet.metrics` of these sums."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    settings: Tensor

    def __init__(
        self,
        protocol: str,
        iou_threshold: float,
        map_size: int,
        normalization: str,
        rule: str | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 < iou_threshold <= 1:
            raise ValueError(f"iou_threshold has to be above 0 and at most 1; {iou_threshold} is not.")
        if map_size < 1:
            raise ValueError(f"map_size has to be at least one pixel; {map_size} is not.")
        self._scoring = get_protocol(protocol, map_size, normalization=normalization)
        self._rule = parse_rule(rule or "fixed:0")  # without one no box of a rule is counted, and any does
        check_needs(self._rule, ("pixels", "features"), "A metric sees only maps")
        self.protocol, self.rule, self.iou_threshold = protocol, rule, iou_threshold
        self._ahead: dict[str, Int64[np.ndarray, " k"]] | None = None
        for name, sums in self._sums_of(np.zeros((0, 1, 1)), masks=np.zeros((0, 1, 1))).items():
            self.add_state(name, torch.from_numpy(sums), dist_reduce_fx="sum")
        # Sums of one batch are equal by chance, too: a MetricCollection would take two metrics for one.
        settings = repr((self._scoring, iou_threshold, str(self._rule), list(self._counts)))
        digest = list(hashlib.sha256(settings.encode()).digest()[:8])
        self.add_state("settings", torch.tensor(digest, dtype=torch.int64), dist_reduce_fx="max")

    @property
    def _counts(self) -> Mapping[str, Count]:
        raise NotImplementedError

    @property
    def _registered(self) -> Registered:
        raise NotImplementedError

    def describe(self) -> dict[str, str | int]:
        """How the value is measured, as `hclnet score --json` says it."""
        measured = self._scoring.describe(str(self._rule))
        return {name: value for name, value in measured.items() if name != "rule" or self.rule}

    def extra_repr(self) -> str:
        rule = f", rule={self.rule!r}" if self.rule else ""
        return f"protocol={self.protocol!r}, map_size={self._scoring.map_size}{rule}"

    def forward(self, *args: object, **kwargs: object) -> Tensor:
        """The value of this batch alone, which is added to those before. A refused batch leaves those as they are."""
        # Looked at before torchmetrics puts the sums aside for the batch's own; so each batch is looked at once.
        self._ahead = self._sums_of(**inspect.signature(self.update).bind(*args, **kwargs).arguments)
        try:
            return super().forward(*args, **kwargs)
        finally:
            self._ahead = None

    def compute(self) -> Tensor:
        """The value over all images so far, 0..1, in double precision (single where the device has no other)."""
        sums = {count: getattr(self, n).cpu().numpy().astype(np.float64)[None] for n, count in self._counts.items()}
        (value,) = values([self._registered], sums).values()
        kind = torch.float32 if self.device.type == "mps" else torch.float64
        return torch.tensor(value[0], dtype=kind, device=self.device)

    def merge_state(self, incoming_state: dict[str, Tensor] | Metric) -> None:
        """Add another one's sums, of the same class and settings.

        Raises:
            ValueError: it has other settings.
        """
        states = incoming_state.metric_state if isinstance(incoming_state, Metric) else incoming_state
        settings = states.get("settings") if isinstance(states, dict) else None
        if isinstance(settings, Tensor) and settings.tolist() != self.settings.tolist():
            raise ValueError(
                f"the other {type(self).__name__} has other settings (protocol, map size, IoU, box rule), so that "
                "their counts don't add up; merge metrics of equal settings."
            )
        super().merge_state(incoming_state)

    def _add(self, maps: Array, **others: Array | None) -> None:
        sums = self._sums_of(maps, **others) if self._ahead is None else self._ahead
        for name, each in sums.items():
            setattr(self, name, getattr(self, name) + torch.from_numpy(each).to(self.device))

    def _sums_of(
        self,
        maps: Array,
        boxes: Array | None = None,
        sizes: Array | None = None,
        logits: Array | None = None,
        labels: Array | None = None,
        masks: Array | None = None,
        ignore: Array | None = None,
    ) -> dict[str, Int64[np.ndarray, " k"]]:
        """The sums over a batch, by state; nothing is added where any of it is refused."""
        arrays = check_maps(_array(maps))
        count, shapes = len(arrays), check_sizes(None if sizes is None else _array(sizes), arrays)
        true = [np.zeros((0, 4))] * count if boxes is None else check_boxes([_array(of) for of in boxes], shapes)
        pictures: Sequence[Mask | None] = [None] * count
        if masks is not None:
            pictures = check_masks(_array(masks), None if ignore is None else _array(ignore), arrays)
        samples = [Sample(str(row), Path(), 0, "") for row in range(count)]
        table = Table(samples, shapes, self._scoring, masks is not None)
        rules = [] if boxes is None else [self._rule]
        for row, size in enumerate(map(tuple, shapes.tolist())):
            try:
                found, pixels = look(
                    draw(arrays[row], self._scoring), true[row], size, pictures[row], self._scoring, rules
                )
            except ValueError as error:
                raise ValueError(f"map {row} of the batch can't be scored: {error}") from None
            table.put(row, found[0] if found else unlocated(), pixels)
        records = table.records()
        if logits is not None:
            records = replace(records, rank=true_class_ranks(*check_scores(_array(logits), _array(labels), count)))
        sums = total_counts(records, np.ones((1, count)), tuple(self._counts.values()), self.iou_threshold)
        return {name: sums[each][0].astype(np.int64) for name, each in self._counts.items()}


def _array(given: object) -> np.ndarray:
    """As numpy's, without a loss: bfloat16 and what is narrower become float32."""
    if isinstance(given, Tensor):
        layout = getattr(getattr(given, "format", None), "value", "XYXY")
        if layout != "XYXY":
            raise ValueError(f"boxes come as {layout}; convert them to XYXY, with torchvision.ops.box_convert.")
        given = given.detach().as_subclass(Tensor)
        narrow = given.is_floating_point() and given.dtype not in (torch.float16, torch.float32, torch.float64)
        return (given.float() if narrow else given).cpu().numpy()
    if isinstance(given, Sequence) and any(isinstance(each, Tensor) for each in given):
        given = [_array(each) for each in given]
    try:
        return np.asarray(given)
    except ValueError:
        raise ValueError(
            "rows of unequal lengths are not an array: boxes of one image are N x 4, maps of a batch of one shape."
        ) from None
