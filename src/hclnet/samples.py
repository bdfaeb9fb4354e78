"""Labeled images: one, and any number of them as columns. A million rows take some 100 MB. No torch in here."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import index
from pathlib import Path
from typing import SupportsIndex, TypeVar, overload

import numpy as np
from jaxtyping import Bool, Int64, UInt8

T = TypeVar("T")
_ENCODING = "utf-8", "surrogatepass"  # names of files need not be text
_SHORT = 100  # bytes of a text; more of them are sorted one by one
_DIGEST = 32  # bytes of a SHA-256


@dataclass(frozen=True, slots=True)
class Sample:
    """One labeled image: all that training ever sees of it. It has no boxes; those are in `GroundTruth`.

    Attributes:
        sha256: of its file, as `sha256sum` prints it, once the file was looked at and found whole; empty before. Two
            samples that differ in nothing else are equal.
    """

    id: str
    path: Path
    label: int
    split: str
    sha256: str = field(default="", compare=False)


class Samples(Sequence[Sample]):
    """Samples as columns of bytes and numbers; each is made when it is asked for.

    As objects a million of them would take 500 MB and more. It is equal to a tuple of the same samples.
    """

    __slots__ = ("_digests", "_folder_of", "_folders", "_ids", "_names", "_split_names", "_split_of", "labels")

    def __init__(self, samples: Iterable[Sample] = ()) -> None:
        ids, names = _Builder(), _Builder()
        folders: dict[str, int] = {}
        splits: dict[str, int] = {}
        folder_of, labels, split_of = array("i"), array("q"), array("i")
        digests = bytearray()
        for sample in samples:
            if sample.sha256:
                digests += bytes(_DIGEST * len(labels) - len(digests)) + bytes.fromhex(sample.sha256)
            ids.add(sample.id)
            path = os.fspath(sample.path)
            cut = path.rfind(os.sep) + 1
            names.add(path[cut:])
            folder_of.append(folders.setdefault(path[:cut], len(folders)))
            labels.append(sample.label)
            split_of.append(splits.setdefault(sample.split, len(splits)))
        self._ids, self._names = ids.column(), names.column()
        self._folders, self._split_names = tuple(folders), tuple(splits)
        self._folder_of, self._split_of = np.array(folder_of, np.int32), np.array(split_of, np.int32)
        self.labels: Int64[np.ndarray, " n"] = np.array(labels, np.int64)
        self._digests: UInt8[np.ndarray, "n 32"] | None = None
        if digests:
            digests += bytes(_DIGEST * len(labels) - len(digests))
            self._digests = np.frombuffer(digests, np.uint8).reshape(-1, _DIGEST)

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> Samples:
        """These samples; as they are where they are columns already."""
        return samples if isinstance(samples, Samples) else cls(samples)

    @property
    def ids(self) -> Iterator[str]:
        """The ids, in order."""
        return map(self._ids.text, range(len(self)))

    @property
    def paths(self) -> Iterator[str]:
        """The paths as text, in order."""
        return map(self._path, range(len(self)))

    @property
    def splits(self) -> dict[str, int]:
        """How many there are of each split, in the order in which they come."""
        codes, first, counts = np.unique(self._split_of, return_index=True, return_counts=True)
        return {self._split_names[codes[k]]: int(counts[k]) for k in np.argsort(first)}

    def in_order_of_ids(self) -> Iterator[Sample]:
        """All of them, one after the other."""
        return (self[place] for place in self._ids.sorted_places())

    def in_split(self, name: str) -> Bool[np.ndarray, " n"]:
        """Which ones are of a split."""
        code = self._split_names.index(name) if name in self._split_names else -1
        found: np.ndarray = self._split_of == code
        return found

    def select(self, which: np.ndarray | slice) -> Samples:
        """Some of them, by a truth value for each, by their places, or by a slice. What they say is shared."""
        some = object.__new__(Samples)
        some._ids, some._names = self._ids.select(which), self._names.select(which)
        some._folders, some._split_names = self._folders, self._split_names
        some._folder_of, some._split_of = self._folder_of[which], self._split_of[which]
        some.labels = self.labels[which]
        some._digests = None if self._digests is None else self._digests[which]
        return some

    def with_splits(self, names: Iterable[str]) -> Samples:
        """The same samples in these splits, one name for each."""
        same, splits = self.select(slice(None)), dict[str, int]()
        same._split_of = np.fromiter((splits.setdefault(name, len(splits)) for name in names), np.int32, len(self))
        same._split_names = tuple(splits)
        return same

    def with_digests(self, digests: UInt8[np.ndarray, "m 32"], of: np.ndarray | slice) -> Samples:
        """The same samples with the SHA-256 of the files of some of them; a row of zeros is no digest.

        Args:
            digests: of these, in order.
            of: which ones, by a truth value for each, by their places, or by a slice.
        """
        same = self.select(slice(None))
        same._digests = np.zeros((len(self), _DIGEST), np.uint8) if self._digests is None else self._digests.copy()
        same._digests[of] = digests
        return same

    @overload
    def __getitem__(self, place: SupportsIndex) -> Sample: ...

    @overload
    def __getitem__(self, place: slice) -> Samples: ...

    def __getitem__(self, place: SupportsIndex | slice) -> Sample | Samples:
        if isinstance(place, slice):
            return self.select(place)
        one = index(place)
        split = self._split_names[self._split_of[one]]
        return Sample(self._ids.text(one), Path(self._path(one)), int(self.labels[one]), split, self._digest(one))

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Sample]:
        return (self[place] for place in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Samples | tuple | list):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other))

    __hash__ = None  # type: ignore[assignment] # as a list

    def __repr__(self) -> str:
        return f"Samples({len(self):,})" if len(self) > 3 else f"Samples({list(self)!r})"

    def _path(self, place: int) -> str:
        folder: str = self._folders[self._folder_of[place]]
        return folder + self._names.text(place)

    def _digest(self, place: int) -> str:
        digest = b"" if self._digests is None else self._digests[place].tobytes()
        return digest.hex() if any(digest) else ""


@dataclass(frozen=True, slots=True)
class _Texts:
    """A column of texts.

    Attributes:
        content: all of them, one after the other.
        start, end: of each, bytes.
    """

    content: bytearray
    start: np.ndarray
    end: np.ndarray

    def text(self, place: int) -> str:
        text: str = self.content[self.start[place] : self.end[place]].decode(*_ENCODING)
        return text

    def sorted_places(self) -> np.ndarray:
        """Their places, in the order of the texts: that of their bytes is the same."""
        longest = int((self.end - self.start).max(initial=0))
        if longest > _SHORT:
            return np.array(sorted(range(len(self.start)), key=self.text), np.int64)
        raw = (bytes(self.content[start:end]) for start, end in zip(self.start, self.end))
        return np.argsort(np.fromiter(raw, f"S{max(longest, 1)}", len(self.start)), kind="stable")

    def select(self, which: np.ndarray | slice) -> _Texts:
        return _Texts(self.content, self.start[which], self.end[which])


class _Builder:
    """Texts that become a column."""

    def __init__(self) -> None:
        self._content, self._ends = bytearray(), array("Q", [0])

    def add(self, text: str) -> None:
        self._content += text.encode(*_ENCODING)
        self._ends.append(len(self._content))

    def column(self) -> _Texts:
        ends = np.array(self._ends, np.uint32 if len(self._content) < 2**32 else np.uint64)
        return _Texts(self._content, ends[:-1], ends[1:])


def labels_of(samples: Sequence[Sample]) -> Int64[np.ndarray, " n"]:
    """Their labels, in order."""
    if isinstance(samples, Samples):
        return samples.labels
    return np.fromiter((sample.label for sample in samples), np.int64, len(samples))


def portions(items: Iterable[T], size: int = 1000) -> Iterator[list[T]]:
    """Lists of so many at most, in order: a pool of threads keeps what it is given until all is done."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
