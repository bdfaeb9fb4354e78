"""The field's localization metrics as `torchmetrics.Metric` objects, for a training or evaluation loop of one's own.

    from hclnet.torchmetrics import BoxAccV2, GTKnownLoc, MaxBoxAcc, MaxBoxAccV2, PxAP, TopKLoc

Each object looks at maps by the protocol that it names, as `hclnet score` does, and adds up whole numbers: of images,
and of those that are right. So its value is the command line's to the last digit, whatever the batches are; and that of
several processes with unequal shares is that of one process. It is computed by `hclnet.metrics`, as the command line's.

All take maps, B x H x W, of the *target* (true) classes, of any resolution, number type and device; and boxes, a list
of N x 4, `x0 y0 x1 y1`, half-open, in the maps' pixels. A map of H x W and its boxes give what `hclnet score` gives for
an image W pixels wide and H pixels high: the protocol brings both to its own size, 224 px. Where boxes are in pixels of
an image that is larger than its map, leave them so and say the image's width and height as `sizes`.

An image without a box is not counted. Where none has one, the value is NaN. With several metrics in a
`torchmetrics.MetricCollection`, pass arguments by name: each takes those that it knows.
"""

from hclnet.torchmetrics.boxes import BoxAccV2, GTKnownLoc, MaxBoxAcc, MaxBoxAccV2, TopKLoc
from hclnet.torchmetrics.pixels import PxAP

__all__ = ["BoxAccV2", "GTKnownLoc", "MaxBoxAcc", "MaxBoxAccV2", "PxAP", "TopKLoc"]
