"""The identity of data: the bytes of its files, not their place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np

from hclnet.types import DataSet, GroundTruth, MaskFiles

_SHORT = 8


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, as `sha256sum` prints it.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(images: Iterable[tuple[str, str, str]], ground_truth: str = "") -> str:
    """Of images, in whatever order they come.

    Args:
        images: of each its id, its class and the digest of its file.
        ground_truth: `ground_truth_fingerprint` of the same images.
    """
    return _fingerprint(sorted(images), ground_truth)


def _fingerprint(images: Iterable[tuple[str, str, str]], ground_truth: str = "") -> str:
    """The same of images in order."""
    digest = hashlib.sha256()
    for image in images:
        _add(digest, *image)
    _add(digest, ground_truth)
    return digest.hexdigest()


def fingerprint_of(dataset: DataSet, split: str) -> str:
    """Of the images of a split that can be read, and what is known of their boxes and masks."""
    return _fingerprint(_rows(dataset, split), ground_truth_of(dataset, split))


def images_of(dataset: DataSet, split: str) -> str:
    """Of the images of a split that can be read, whatever is known of their boxes and masks."""
    return _fingerprint(_rows(dataset, split))


def ground_truth_of(dataset: DataSet, split: str) -> str:
    """Of the boxes and masks of the images of a split that can be read; empty if they have none."""
    return ground_truth_fingerprint(dataset.ground_truth, dataset.columns.select(dataset.columns.in_split(split)).ids)


def _rows(dataset: DataSet, split: str) -> Iterator[tuple[str, str, str]]:
    """In order, one by one: there may be a million of them."""
    samples = dataset.columns.select(dataset.columns.in_split(split))
    rows = ((s.id, dataset.classes[s.label], s.sha256) for s in samples.in_order_of_ids())
    for _, of_one in groupby(rows, itemgetter(0)):
        yield from sorted(of_one)


def ground_truth_fingerprint(ground_truth: GroundTruth, ids: Iterable[str]) -> str:
    """Of the boxes and masks of these images; empty if they have none."""
    digest, any_known = hashlib.sha256(), False
    for name in sorted(name for name in ids if name in ground_truth.boxes or name in ground_truth.masks):
        boxes, masks = ground_truth.boxes.get(name), ground_truth.masks.get(name)
        any_known = True
        values = [] if boxes is None else np.asarray(boxes, dtype=np.float64).ravel().tolist()
        _add(digest, name, repr(values), repr(ground_truth.sizes.get(name)), *_mask_digests(masks))
    return digest.hexdigest() if any_known else ""


def short(digest: str) -> str:
    """Its beginning, for a folder's name."""
    return digest[:_SHORT]


def _mask_digests(masks: MaskFiles | None) -> list[str]:
    files = [*masks.foreground, *([masks.ignore] if masks.ignore else [])] if masks else []
    found = []
    for file in files:
        found.append("")
        with suppress(OSError):  # a missing mask is reported when it is scored
            found[-1] = file_digest(file)
    return found


def _add(digest: hashlib._Hash, *texts: str) -> None:
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "little") + raw)
