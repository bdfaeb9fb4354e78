"""Metrics of pixels."""

from __future__ import annotations

from hclnet.metrics import METRICS
from hclnet.metrics.registry import inside, outside
from hclnet.torchmetrics.base import Array, MapMetric

_OF_PIXELS = {"inside": inside, "outside": outside}


class PxAP(MapMetric):
    r"""The area under the precision-recall curve of all pixels of all images.

    .. math:: \sum_l \mathrm{Prec}(\tau_l) (\mathrm{Rec}(\tau_l) - \mathrm{Rec}(\tau_{l-1}))

    Over the thresholds from the top. From Choe et al., CVPR 2020. NaN where no pixel is in a mask.

    The arguments are those of `MaxBoxAcc`.

    Example:
        >>> import torch
        >>> from hclnet.torchmetrics import PxAP
        >>> masks = torch.zeros(1, 8, 8, dtype=torch.bool)
        >>> masks[0, 2:6, 2:6] = True
        >>> PxAP(protocol="wsoleval", map_size=8)(masks.float(), masks)
        tensor(1., dtype=torch.float64)
    """

    _counts = _OF_PIXELS
    _registered = property(lambda self: METRICS["pxap"])

    def __init__(
        self, protocol: str = "hclnet", map_size: int = 224, normalization: str = "minmax", **kwargs: object
    ) -> None:
        super().__init__(protocol, 0.5, map_size, normalization, None, **kwargs)

    def update(self, maps: Array, masks: Array, ignore: Array | None = None) -> None:
        """Look at a batch.

        Args:
            maps: of the target classes, B x H x W.
            masks: of the objects, B x h x w of any resolution over the whole image: boolean, or gray values 0 to 255
                or from 0 up, of which the protocol says from where on a pixel counts.
            ignore: likewise where pixels are counted neither as object nor as background; masks go before.

        Raises:
            ValueError: something is not as it has to be; the message says what and where. Nothing was added.
        """
        self._add(maps=maps, masks=masks, ignore=ignore)
