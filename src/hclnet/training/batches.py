"""Batches to learn from. What is in them is a function of (seed, epoch, sample), so that resume replays the same."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from hclnet.backbones import Features
from hclnet.localizer.cache import FeatureStore
from hclnet.samples import labels_of
from hclnet.training.part import WHOLE, Part
from hclnet.types import Gray, Sample
from hclnet_runtime.data.images import OWN, enlarged, load_square

_MOST_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Batch:
    """Either features (of a frozen backbone) or images, 0..255, with class probabilities as targets."""

    targets: Float[Tensor, "b c"]
    features: Features | None = None
    images: UInt8[Tensor, "b s s 3"] | None = None


class EpochBatches(Sampler):
    """Shuffled lists of indices with their epoch: a function of seed and epoch.

    A single image that would be left for a batch of its own goes with the batch before: one image has no statistics for
    a batch norm.

    Args:
        count: of images.
        batch: images in a batch, of all processes together.
        seed: of the order.
        part: what this process has of each batch; the batches themselves do not depend on it.
    """

    def __init__(self, count: int, batch: int, seed: int, part: Part = WHOLE) -> None:
        self.count, self.batch, self.seed, self.epoch, self.part = count, batch, seed, 0, part

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch, on resume too."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, self.count // self.batch + (self.count % self.batch > 1))

    def size(self, number: int) -> int:
        """Images of a batch, from 0, of all processes together."""
        end = self.count if number == len(self) - 1 else (number + 1) * self.batch
        return end - number * self.batch

    def __iter__(self) -> Iterator[tuple[int, Int64[np.ndarray, "b"]]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.count)
        for number in range(len(self)):
            start = number * self.batch
            yield self.epoch, self.part.of(order[start : start + self.size(number)])


def check_divides(count: int, batch: int, devices: int) -> None:
    """Whether each process gets an image of each batch.

    Args:
        count: of training images.
        batch: images in a batch.
        devices: how many processes share a batch.

    Raises:
        ValueError: one would get none; the message says what to do.
    """
    if (least := _least(count, batch)) >= devices:
        return
    if batch < devices or count < devices:
        larger = f", or --set batch={devices}" if count >= devices else ""
        raise ValueError(
            f"--devices {devices}: batches of {min(batch, count)} have not an image for each device. Take fewer "
            f"devices{larger}."
        )
    fits = (size for size in range(batch + 1, count + 1) if _least(count, size) >= devices)
    raise ValueError(
        f"--devices {devices}: the last batch of an epoch has {least} of {count:,} images, not one for each device. "
        f"Take fewer devices, or --set batch={next(fits)}."
    )


def _least(count: int, batch: int) -> int:
    batches = EpochBatches(count, batch, 0)
    return min(batches.size(0), batches.size(len(batches) - 1))


def _targets(labels: Int64[np.ndarray, "b"], classes: int) -> Float[Tensor, "b c"]:
    return torch.nn.functional.one_hot(torch.from_numpy(labels), classes).float()


def _coin(seed: int, epoch: int, index: int) -> np.random.Generator:
    return np.random.default_rng([seed, epoch, 1 + index])


def step_random(seed: int, epoch: int, step: int) -> np.random.Generator:
    """All the chance in what a method changes in one step. Its seeds are not those of orders and coins."""
    return np.random.default_rng([seed, epoch, 0, 1 + step])


class FeatureBatches(Dataset):
    """Cached features; each image or its mirror image, by a coin."""

    def __init__(self, store: FeatureStore, samples: Sequence[Sample], classes: int, seed: int) -> None:
        self.store, self.classes, self.seed = store, classes, seed
        self.labels = labels_of(samples)

    def __getitem__(self, key: tuple[int, Int64[np.ndarray, "b"]]) -> Batch:
        epoch, indices = key
        mirror = np.array([_coin(self.seed, epoch, int(i)).random() < 0.5 for i in indices])
        return Batch(_targets(self.labels[indices], self.classes), features=self.store.batch(indices, mirror))


class ImageBatches(Dataset):
    """Images squashed to 8/7 of the size (256 for 224, reading 16), cropped at random, mirrored by a coin."""

    def __init__(self, samples: Sequence[Sample], size: int, classes: int, seed: int, gray: Gray = OWN) -> None:
        self.samples, self.size, self.classes, self.seed, self.gray = samples, size, classes, seed, gray
        self.labels = labels_of(samples)

    def __getitem__(self, key: tuple[int, Int64[np.ndarray, "b"]]) -> Batch:
        epoch, indices = key
        images = np.stack([self._image(epoch, int(i)) for i in indices])
        return Batch(_targets(self.labels[indices], self.classes), images=torch.from_numpy(images))

    def _image(self, epoch: int, index: int) -> UInt8[np.ndarray, "s s 3"]:
        large = enlarged(self.size)
        pixels = load_square(self.samples[index].path, large, self.gray)
        coin = _coin(self.seed, epoch, index)
        y, x = coin.integers(0, large - self.size + 1, 2)
        crop = pixels[y : y + self.size, x : x + self.size]
        return crop[:, ::-1] if coin.random() < 0.5 else crop


def loader(
    dataset: FeatureBatches | ImageBatches, batch: int, seed: int, workers: int = 0, part: Part = WHOLE
) -> DataLoader:
    """Batches as the data set makes them, or a part of each, in the order of `EpochBatches`."""
    sampler = EpochBatches(len(dataset.labels), batch, seed, part)
    return DataLoader(dataset, batch_size=None, sampler=sampler, num_workers=workers)


def workers_of(device: torch.device, devices: int, asked: int | None = None) -> int:
    """How many processes decode for one that trains.

    A graphics card waits for images: they are decoded by all cores, shared by the cards, but no more than are of use. A
    processor that trains has no core to spare. Where Python does not copy processes but starts them anew (macOS,
    Windows, and Linux from Python 3.14 on) a script would need a guard around its main part, so there it is only done
    if it is asked for.

    Args:
        device: that is trained on.
        devices: how many train together.
        asked: the setting `workers`; None if it is not set.
    """
    if asked is not None:
        return asked
    if device.type == "cpu" or _start_method() != "fork":
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_MOST_WORKERS, cores // devices)


def _start_method() -> str:
    """How Python starts other processes, which a program may still set afterwards."""
    return multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
