"""A batch that several processes share: each has a part of its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor, distributed


@dataclass(frozen=True, slots=True)
class Part:
    """The part that one process has of each batch.

    Attributes:
        rank: which process, from 0.
        processes: how many share a batch.
    """

    rank: int = 0
    processes: int = 1

    def of(self, batch: Int64[np.ndarray, " b"]) -> Int64[np.ndarray, " k"]:
        """Its images: neighbors in the batch. Where the batch can't be divided evenly, the first processes have one
        more than the others."""
        return np.array_split(batch, self.processes)[self.rank]

    def of_whole(self, whole: Tensor) -> Tensor:
        """Its rows of a tensor that `gathered` made."""
        start, end = self._bounds(len(whole))[self.rank]
        return whole[start:end]

    def gathered(self, own: Tensor, count: int) -> Tensor:
        """The rows of all processes, in the order of the batch.

        Args:
            own: the rows of this process.
            count: rows of the whole batch.
        """
        bounds = self._bounds(count)
        most = max(end - start for start, end in bounds)
        room = own.new_zeros((most, *own.shape[1:]))
        room[: len(own)] = own
        parts = [torch.empty_like(room) for _ in bounds]
        distributed.all_gather(parts, room)
        return torch.cat([part[: end - start] for part, (start, end) in zip(parts, bounds)])

    def summed(self, values: Sequence[Tensor], device: torch.device) -> list[float]:
        """Numbers that each process has added up for itself, over all of them; `device` is the process's own."""
        if self.processes == 1:
            return [float(value) for value in values]
        totals = torch.tensor([float(value) for value in values], dtype=torch.float64, device=device)
        distributed.all_reduce(totals)
        found: list[float] = totals.tolist()
        return found

    def _bounds(self, count: int) -> list[tuple[int, int]]:
        sizes = [count // self.processes + (rank < count % self.processes) for rank in range(self.processes)]
        ends = np.cumsum(sizes).tolist()
        return [(end - size, end) for size, end in zip(sizes, ends)]


WHOLE = Part()
"""One process has all of each batch."""
