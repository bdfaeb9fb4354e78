"""Batches to learn from. What is in them is a function of (seed, epoch, sample), so that resume replays the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from hclnet.backbones import Features
from hclnet.localizer.cache import FeatureStore
from hclnet.types import Gray, Sample
from hclnet_runtime.data.images import OWN, enlarged, load_square


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
    """

    def __init__(self, count: int, batch: int, seed: int) -> None:
        self.count, self.batch, self.seed, self.epoch = count, batch, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch, on resume too."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, self.count // self.batch + (self.count % self.batch > 1))

    def __iter__(self) -> Iterator[tuple[int, Int64[np.ndarray, "b"]]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.count)
        for number in range(len(self)):
            end = self.count if number == len(self) - 1 else (number + 1) * self.batch
            yield self.epoch, order[number * self.batch : end]


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
        self.labels = np.array([s.label for s in samples], dtype=np.int64)

    def __getitem__(self, key: tuple[int, Int64[np.ndarray, "b"]]) -> Batch:
        epoch, indices = key
        mirror = np.array([_coin(self.seed, epoch, int(i)).random() < 0.5 for i in indices])
        return Batch(_targets(self.labels[indices], self.classes), features=self.store.batch(indices, mirror))


class ImageBatches(Dataset):
    """Images squashed to 8/7 of the size (256 for 224, reading 16), cropped at random, mirrored by a coin."""

    def __init__(self, samples: Sequence[Sample], size: int, classes: int, seed: int, gray: Gray = OWN) -> None:
        self.samples, self.size, self.classes, self.seed, self.gray = samples, size, classes, seed, gray
        self.labels = np.array([s.label for s in samples], dtype=np.int64)

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


def loader(dataset: FeatureBatches | ImageBatches, batch: int, seed: int, workers: int = 0) -> DataLoader:
    """Whole batches as the data set makes them, in the order of `EpochBatches`."""
    sampler = EpochBatches(len(dataset.labels), batch, seed)
    return DataLoader(dataset, batch_size=None, sampler=sampler, num_workers=workers)
