"""Batches that several processes share: what a loss has to know of the images that the others have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, distributed

_share: ContextVar[float | None] = ContextVar("share", default=None)


@contextmanager
def has_share(share: float) -> Iterator[None]:
    """Training says so where this process has only this share of the images of a batch, 0..1."""
    token = _share.set(share)
    try:
        yield
    finally:
        _share.reset(token)


def share_of_total(total: Tensor) -> Tensor:
    """What a process divides by in place of a total over its own images, so that the loss is that of the whole batch.

    Training weights the losses of the processes by their images. That is right for a mean over images. A loss that
    divides by another total, such as that of pixels that count, passes it through here.

    Args:
        total: over the images of this process; no gradient goes through it.

    Returns:
        The total over the whole batch, times this process's share of its images: in the precision of the total, and
        float32 if that is a whole number. Where one process has the whole batch, the total as it is.
    """
    share = _share.get()
    if share is None:
        return total
    whole = total.detach().double()
    distributed.all_reduce(whole)
    return (whole * share).to(total.dtype if total.is_floating_point() else torch.float32)
