"""Metrics of boxes: at the best threshold, at a box rule, and of images that are classified right."""

from __future__ import annotations

from collections.abc import Mapping

from hclnet.metrics import METRICS
from hclnet.metrics import Metric as Registered
from hclnet.metrics.registry import (
    V2_IOUS,
    Count,
    any_at_v2_ious,
    boxed,
    right,
    right_at_ious,
    right_at_levels,
    right_in_top,
    top_k_loc,
)
from hclnet.torchmetrics.base import Array, MapMetric

# States by name, and what they are sums of. Metrics that share them share one look at the maps in a MetricCollection.
_AT_LEVELS: dict[str, Count] = {"images": boxed, "right": right_at_levels}
_AT_LEVELS |= {f"any_{round(100 * iou)}": count for iou, count in zip(V2_IOUS, any_at_v2_ious)}
_AT_RULE = {"images": boxed, "right": right, "right_at_ious": right_at_ious}


class _BoxMetric(MapMetric):
    """Of maps and boxes."""

    def update(self, maps: Array, boxes: Array, sizes: Array | None = None) -> None:
        """Look at a batch.

        Args:
            maps: of the target classes, B x H x W.
            boxes: for each map its ground-truth boxes, N x 4, pixels of the map; N may be 0.
            sizes: width and height of the images that boxes are in pixels of, a pair or B x 2, where not the maps'.

        Raises:
            ValueError: something is not as it has to be; the message says what and where. Nothing was added.
        """
        self._add(maps=maps, boxes=boxes, sizes=sizes)


class MaxBoxAcc(_BoxMetric):
    r"""How often the box of the largest component is right, at the one threshold that is best for all images.

    .. math:: \max_\tau \frac{1}{N} \sum_n 1[\mathrm{IoU}(\mathrm{box}(s_n, \tau), B_n) \ge \delta]

    `s_n` is the map of image n, `B_n` its ground-truth boxes, of which the best counts. N is the number of images with
    a box. From Choe et al., "Evaluating Weakly Supervised Object Localization Methods Right", CVPR 2020.

    Args:
        protocol: `hclnet` or `wsoleval`; docs/protocols.md says what they do.
        iou_threshold: delta, the smallest IoU of a right box.
        map_size: side that maps are brought to, pixels.
        normalization: how maps come to 0..1, such as `minmax` or `ivr:35`; of protocol `hclnet`.
        kwargs: those of `torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> from hclnet.torchmetrics import MaxBoxAcc
        >>> maps = torch.zeros(2, 8, 8)
        >>> maps[0, 2:6, 2:6] = 1
        >>> maps[1, :2, :2] = 1
        >>> boxes = [torch.tensor([[2, 2, 6, 6]]), torch.tensor([[4, 4, 8, 8], [0, 4, 2, 6]])]
        >>> metric = MaxBoxAcc(protocol="wsoleval")
        >>> metric.update(maps, boxes)
        >>> metric.compute()
        tensor(0.5000, dtype=torch.float64)
    """

    _counts = _AT_LEVELS
    _registered = property(lambda self: METRICS["max_box_acc"])

    def __init__(
        self,
        protocol: str = "hclnet",
        iou_threshold: float = 0.5,
        map_size: int = 224,
        normalization: str = "minmax",
        **kwargs: object,
    ) -> None:
        super().__init__(protocol, iou_threshold, map_size, normalization, None, **kwargs)


class MaxBoxAccV2(_BoxMetric):
    r"""The same for the best component, and the mean over IoU 0.3, 0.5 and 0.7, each at its own best threshold.

    .. math:: \frac{1}{3} \sum_{\delta \in \{.3, .5, .7\}} \max_\tau \frac{1}{N} \sum_n
        1[\max_{b \in \mathrm{boxes}(s_n, \tau)} \mathrm{IoU}(b, B_n) \ge \delta]

    From Choe et al., CVPR 2020, in the form of their TPAMI paper of 2022 and of their code.

    The arguments are those of `MaxBoxAcc`.

    Example:
        >>> import torch
        >>> from hclnet.torchmetrics import MaxBoxAccV2
        >>> maps = torch.zeros(1, 8, 8)
        >>> maps[0, 2:6, 2:6] = 1
        >>> metric = MaxBoxAccV2()
        >>> metric(maps, [[[2, 2, 6, 8]]])  # an IoU of 2/3, or a little less at 224 px
        tensor(0.6667, dtype=torch.float64)
    """

    _counts = _AT_LEVELS
    _registered = property(lambda self: METRICS["max_box_acc_v2"])

    def __init__(
        self, protocol: str = "hclnet", map_size: int = 224, normalization: str = "minmax", **kwargs: object
    ) -> None:
        super().__init__(protocol, 0.5, map_size, normalization, None, **kwargs)


class GTKnownLoc(_BoxMetric):
    r"""How often the box is right that a box rule makes of the map, whatever was predicted.

    .. math:: \frac{1}{N} \sum_n 1[\mathrm{IoU}(\mathrm{rule}(s_n), B_n) \ge \delta]

    Also called CorLoc; in the paper of HCLNet (arXiv 2011.08014) in section 4, "Evaluation metrics".

    Args:
        rule: the box rule, such as `fixed:0.2` (a share of the maximum), `otsu3` or `auto`. There is no backbone here
            whose features `auto` could ask, so it goes by the map, as in `hclnet score`.

    The other arguments are those of `MaxBoxAcc`.

    Example:
        >>> import torch
        >>> from hclnet.torchmetrics import GTKnownLoc
        >>> maps = torch.zeros(2, 8, 8)
        >>> maps[:, 2:6, 2:6] = 1
        >>> metric = GTKnownLoc("fixed:0.2")
        >>> metric.update(maps, [[[2, 2, 6, 6]], [[0, 0, 3, 3]]])
        >>> metric.compute()
        tensor(0.5000, dtype=torch.float64)
    """

    _counts = _AT_RULE
    _registered = property(lambda self: METRICS["gt_known"])

    def __init__(
        self,
        rule: str = "auto",
        protocol: str = "hclnet",
        iou_threshold: float = 0.5,
        map_size: int = 224,
        normalization: str = "minmax",
        **kwargs: object,
    ) -> None:
        super().__init__(protocol, iou_threshold, map_size, normalization, rule, **kwargs)


class BoxAccV2(_BoxMetric):
    r"""The box of a box rule, and the mean over IoU 0.3, 0.5 and 0.7. Unlike `MaxBoxAccV2` it depends on the rule.

    .. math:: \frac{1}{3} \sum_{\delta \in \{.3, .5, .7\}} \frac{1}{N} \sum_n
        1[\mathrm{IoU}(\mathrm{rule}(s_n), B_n) \ge \delta]

    Args:
        rule: as of `GTKnownLoc`.

    The other arguments are those of `MaxBoxAcc`.

    Example:
        >>> import torch
        >>> from hclnet.torchmetrics import BoxAccV2
        >>> maps = torch.zeros(1, 8, 8)
        >>> maps[0, 2:6, 2:6] = 1
        >>> BoxAccV2("otsu3")(maps, [[[2, 2, 6, 8]]])
        tensor(0.6667, dtype=torch.float64)
    """

    _counts = _AT_RULE
    _registered = property(lambda self: METRICS["box_acc_v2"])

    def __init__(
        self,
        rule: str = "auto",
        protocol: str = "hclnet",
        map_size: int = 224,
        normalization: str = "minmax",
        **kwargs: object,
    ) -> None:
        super().__init__(protocol, 0.5, map_size, normalization, rule, **kwargs)


class TopKLoc(MapMetric):
    r"""How often the box is right and the target class is among the k most probable.

    .. math:: \frac{1}{N} \sum_n 1[\mathrm{IoU}(\mathrm{rule}(s_n), B_n) \ge \delta] \,
        1[y_n \in \mathrm{top}_k(p_n)]

    In the paper of HCLNet (arXiv 2011.08014) in section 4, "Evaluation metrics". A class that is as probable as the
    target counts as more probable. With at most k classes it is `GTKnownLoc`.

    Args:
        k: how many classes.
        rule: as of `GTKnownLoc`.

    The other arguments are those of `MaxBoxAcc`.

    Example:
        >>> import torch
        >>> from hclnet.torchmetrics import TopKLoc
        >>> maps = torch.zeros(2, 8, 8)
        >>> maps[:, 2:6, 2:6] = 1
        >>> logits = torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0]])
        >>> metric = TopKLoc(k=1, rule="fixed:0.2")
        >>> metric.update(maps, [[[2, 2, 6, 6]], [[2, 2, 6, 6]]], logits, labels=torch.tensor([0, 2]))
        >>> metric.compute()
        tensor(0.5000, dtype=torch.float64)
    """

    def __init__(
        self,
        k: int = 1,
        rule: str = "auto",
        protocol: str = "hclnet",
        iou_threshold: float = 0.5,
        map_size: int = 224,
        normalization: str = "minmax",
        **kwargs: object,
    ) -> None:
        if k < 1:
            raise ValueError(f"k has to be at least 1; {k} is not.")
        self.k = k  # before the states, which depend on it
        super().__init__(protocol, iou_threshold, map_size, normalization, rule, **kwargs)

    @property
    def _counts(self) -> Mapping[str, Count]:
        return {"images": boxed, f"right_in_top_{self.k}": right_in_top(self.k)}

    @property
    def _registered(self) -> Registered:
        return top_k_loc(self.k)

    def update(self, maps: Array, boxes: Array, logits: Array, labels: Array, sizes: Array | None = None) -> None:
        """Look at a batch.

        Args:
            maps: of the target classes, B x H x W.
            boxes: for each map its ground-truth boxes, N x 4, pixels of the map; N may be 0.
            logits: of all classes, B x C; or probabilities.
            labels: the target classes, B.
            sizes: width and height of the images that boxes are in pixels of, a pair or B x 2, where not the maps'.

        Raises:
            ValueError: something is not as it has to be; the message says what and where. Nothing was added.
        """
        self._add(maps=maps, boxes=boxes, sizes=sizes, logits=logits, labels=labels)
