"""Copies of pictures: equal pixels in several files, and pairs that look like reduced or re-saved versions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from hclnet.types import Sample
from hclnet_runtime.data.images import check_image, image_size, open_image, pages_of

MOST_ALIKE = 10_000
"""Pairs that look alike are listed up to this number: on photos of one product, all pictures may look alike."""

_ENOUGH = 4096  # pixels a side, of which digests are made: of 20,000 they would take gigabytes
_SIDE = 16
_BITS = 24  # of the 256 of the hash that may differ
_LEVELS = 6.0  # mean difference of the small pictures, of 255
_ROWS = 16  # pictures compared at a time with all those that are about as bright


@dataclass(frozen=True, slots=True)
class Copies:
    """The same picture in several samples: equal pixels after decoding, and maybe equal files."""

    samples: tuple[Sample, ...]
    same_file: bool

    @property
    def kind(self) -> str:
        """`leak` between splits, else `contradiction` between classes, else `repeat`."""
        if len({s.split for s in self.samples}) > 1:
            return "leak"
        return "contradiction" if len({s.label for s in self.samples}) > 1 else "repeat"


@dataclass(frozen=True, slots=True)
class Picture:
    """What is kept of a picture: digests of its file and of its pixels, and how it looks from afar."""

    size: tuple[int, int]
    file: bytes
    pixels: bytes
    hash: UInt8[np.ndarray, "32"]
    small: UInt8[np.ndarray, "16 16 3"]
    pages: int = 1


def picture_of(path: Path) -> Picture | str:
    try:
        check_image(path)
        image, size, pages = open_image(path, at_least=_ENOUGH), image_size(path), pages_of(path)
        data = path.read_bytes()
    except (ValueError, OSError) as error:
        return str(error)
    pixels = hashlib.blake2b(f"{size}".encode(), digest_size=16)
    pixels.update(image.tobytes())
    gray = np.asarray(image.convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX))
    steps = np.packbits(gray[:, 1:] > gray[:, :-1])
    small = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BOX))
    return Picture(size, hashlib.blake2b(data, digest_size=16).digest(), pixels.digest(), steps, small, pages)


def find_copies(whole: Sequence[tuple[Sample, Picture]]) -> list[Copies]:
    groups: dict[bytes, list[tuple[Sample, Picture]]] = {}
    for sample, picture in whole:
        groups.setdefault(picture.pixels, []).append((sample, picture))
    return [
        Copies(tuple(sample for sample, _ in group), len({picture.file for _, picture in group}) == 1)
        for group in groups.values()
        if len(group) > 1
    ]


def look_alikes(whole: Sequence[tuple[Sample, Picture]]) -> Iterator[tuple[Sample, Sample]]:
    """Pairs that look alike, of the first of each group of copies."""
    first: dict[bytes, tuple[Sample, Picture]] = {}
    for sample, picture in whole:
        first.setdefault(picture.pixels, (sample, picture))
    if len(first) < 2:
        return
    samples = [sample for sample, _ in first.values()]
    small = np.stack([picture.small for _, picture in first.values()]).reshape(len(first), -1)
    # Pictures that differ by a level in the mean differ by no more than that in brightness: sorted by it, each is
    # compared only with those a little brighter.
    brightness = small.sum(1, dtype=np.int64)
    order = np.argsort(brightness, kind="stable")
    brightness, small = brightness[order], small[order]
    hashes = np.stack([picture.hash for _, picture in first.values()]).view(np.uint64)[order]
    most = int(_LEVELS * small.shape[1])
    found: list[tuple[int, int]] = []
    for start in range(0, len(order), _ROWS):
        stop = min(start + _ROWS, len(order))
        end = int(np.searchsorted(brightness, brightness[stop - 1] + most, side="right"))
        block, others = hashes[start:stop], hashes[start:end]
        rows, columns = np.nonzero(np.bitwise_count(block[:, None, 0] ^ others[None, :, 0]) <= _BITS)
        near = np.bitwise_count(block[rows] ^ others[columns]).sum(1) <= _BITS
        for i, j in zip(rows[near].tolist(), columns[near].tolist()):
            if i < j and np.abs(small[start + i].astype(np.int16) - small[start + j]).sum() <= most:
                one, other = int(order[start + i]), int(order[start + j])
                found.append((min(one, other), max(one, other)))
        if len(found) >= MOST_ALIKE:
            break
    for one, other in sorted(found[:MOST_ALIKE]):
        yield samples[one], samples[other]
