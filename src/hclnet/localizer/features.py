"""Images -> the backbone's features, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Lock
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from hclnet.backbones.backbone import Backbone, Features
from hclnet.device import autocast
from hclnet.samples import portions
from hclnet.types import Gray
from hclnet_runtime.data.images import OWN, load_square
from hclnet_runtime.pictures import in_threads

T = TypeVar("T")
R = TypeVar("R")

_THREADS = 2
_AHEAD = 4  # images decoded beyond the batch that is wanted next


def inference_batch(device: torch.device) -> int:
    """How many images are computed at a time: as many as keep a GPU busy, and elsewhere one.

    On a processor the last bits of a product or a convolution depend on how many images are in the batch. One at a
    time, an image has the same maps and boxes alone, among others and from the feature cache.
    """
    return 64 if device.type == "cuda" else 1


def image_batches(
    paths: Iterable[str | Path], size: int, batch: int, gray: Gray = OWN
) -> Iterator[UInt8[np.ndarray, "b s s 3"]]:
    """Upright images squashed to `size` x `size`, in order, decoded by threads ahead of use.

    `gray` is as of `open_image`.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        images = in_threads(lambda path: load_square(path, size, gray), paths, pool, batch + _AHEAD)
        for some in portions(images, batch):
            yield np.stack(some)


def as_input(
    images: UInt8[Tensor, "b s s 3"] | UInt8[np.ndarray, "b s s 3"], backbone: Backbone, device: torch.device
) -> Float[Tensor, "b 3 s s"]:
    """Normalized by the backbone's mean and standard deviation, channels last in memory."""
    x = torch.tensor(images) if isinstance(images, np.ndarray) else images
    x = x.to(device).permute(0, 3, 1, 2).float().div_(255)
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (backbone.mean, backbone.std))
    return ((x - mean) / std).contiguous(memory_format=torch.channels_last)


def extract(
    backbone: Backbone,
    images: Float[Tensor, "b 3 s s"],
    stages: Sequence[str],
    dtype: torch.dtype,
) -> Features:
    """Features of the stages, computed and returned in `dtype`."""
    with autocast(images.device, dtype):
        features = backbone(images, stages)
    return {name: value.to(dtype) for name, value in features.items()}


def computes_together(backbone: Backbone, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether features of several images are computed at a time, each by one thread (`computed`).

    They are in bfloat16 on a processor: it takes less time than all threads at one image ("images at a time" in
    `benchmarks/training_speed.py`), and the features are the same. In float32 one thread computes a convolution in
    another way than several, with other last bits.
    """
    return device.type == "cpu" and dtype == torch.bfloat16 and backbone.reentrant


def computed(work: Callable[[T], R], items: Iterable[T], together: bool) -> Iterator[R]:
    """What `work` makes of each item, in order.

    Args:
        work: such as of an image its features; together it is called in other threads, in the caller's gradient mode.
        items: together, a few more are taken than are worked at.
        together: work at as many items at a time as torch has threads, each by one thread, in place of all threads at
            one item.
    """
    pool, threads = _single_threads() if together else (None, 1)
    if pool is None:
        yield from map(work, items)
        return
    gradients, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    def in_mode(item: T) -> R:
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):  # the first sets both
            return work(item)

    with pool:
        yield from in_threads(in_mode, items, pool, threads + 1)


_changing_threads = Lock()


def _single_threads() -> tuple[ThreadPoolExecutor | None, int]:
    """As many threads as torch has, each of which computes alone, and how many; none where torch has one thread.

    A thread has as many of torch's as torch was set to when the thread first asked. So torch is set to one for a
    moment; a thread of somebody else that first asks in that moment has one too.
    """
    with _changing_threads:
        count = torch.get_num_threads()
        if count == 1:
            return None, 1
        pool, ready = ThreadPoolExecutor(count), Barrier(count + 1)

        def begin() -> None:
            torch.get_num_threads()
            ready.wait()

        try:
            torch.set_num_threads(1)
            for _ in range(count):
                pool.submit(begin)
            ready.wait()
        except BaseException as error:
            ready.abort()
            pool.shutdown(wait=False, cancel_futures=True)
            if not isinstance(error, RuntimeError):  # such as Ctrl-C
                raise
            return None, 1  # the system starts no more threads
        finally:
            torch.set_num_threads(count)
        return pool, count
