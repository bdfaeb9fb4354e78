"""Which images can't be read: found before a training, not hours into it."""

from __future__ import annotations

import os
import re
import sqlite3
from array import array
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import __version__ as _pillow

from hclnet.data.files import shown
from hclnet.data.identity import file_digest
from hclnet.progress import Report
from hclnet.samples import portions
from hclnet.types import DataSet, Sample, Skipped
from hclnet_runtime.caches import cache_home
from hclnet_runtime.data.images import check_image, open_image
from hclnet_runtime.data.reading import SECONDS, Reading

_RULE = f"{_pillow}, checksums and sizes"  # what whole means; files that were checked by another rule are checked again
_DIGEST = re.compile("[0-9a-f]{64}")
THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result of checking all images.

    Attributes:
        broken: those that can't be read, with the reason, in the order of the samples.
        digests: the SHA-256 of each sample's file; zeros of those that can't be read.
    """

    broken: tuple[Skipped, ...]
    digests: UInt8[np.ndarray, "n 32"]


def find_broken(
    samples: Sequence[Sample], progress: Report | None = None, seconds: float = SECONDS
) -> tuple[Skipped, ...]:
    """The images that can't be read, with the reason, in the order of the samples; see `inspect_images`."""
    return inspect_images(samples, progress, seconds).broken


def inspect_images(samples: Sequence[Sample], progress: Report | None = None, seconds: float = SECONDS) -> Inspection:
    """Find the images that can't be read, and what the others are known by.

    Every file's checksums are verified, and it is decoded to its end, JPEGs at an eighth of their size. Those found
    whole are remembered with their digests in the cache folder by path, size and time of change, and are not checked
    again.

    Args:
        samples: to check.
        progress: called with images done and images in all.
        seconds: in which an image has to be read; 0: no limit.
    """
    memory = _Memory()
    digests = np.zeros((len(samples), 32), np.uint8)
    unknown, broken, done = array("q"), [], 0
    for some in portions(enumerate(samples)):
        keys = [memory.key(sample.path) for _, sample in some]
        known = memory.whole(keys)
        for (place, _), key in zip(some, keys):
            if key in known:
                digests[place] = _bytes(known[key])
            else:
                unknown.append(place)
    with ThreadPoolExecutor(THREADS) as pool, Reading(seconds) as reading:
        for places in portions(unknown):
            looked_at = [samples[place] for place in places]
            keys, whole = [memory.key(sample.path) for sample in looked_at], []
            inspected = pool.map(partial(_inspected, reading), (sample.path for sample in looked_at))
            for place, sample, key, (reason, digest) in zip(places, looked_at, keys, inspected):
                if reason:
                    broken.append(Skipped(sample, reason))
                else:
                    digests[place] = _bytes(digest)
                    whole.append((key, digest))
                done += 1
                if progress:
                    progress(done, len(unknown))
            memory.add(whole)
    return Inspection(tuple(broken), digests)


def without_broken(
    dataset: DataSet,
    on_bad_image: str,
    split: str | None = None,
    progress: Report | None = None,
    seconds: float = SECONDS,
) -> DataSet:
    """The data set without the images that can't be read; labels and splits of the others stay as they are.

    The samples that were checked then have the digests of their files.

    Args:
        dataset: as a reader made it.
        on_bad_image: `fail`, which is the default of every command: metrics then never rest on fewer images than one
            thinks, and going on without some has to be asked for. Or `skip`.
        split: check this split only.
        progress: called with images done and images in all.
        seconds: in which an image has to be read; 0: no limit.

    Raises:
        ValueError: there are such images and `on_bad_image` is `fail`, the message lists them; or no training image of
            a class is left.
    """
    which = slice(None) if split is None else dataset.columns.in_split(split)
    inspected = dataset.columns.select(which)
    inspection = inspect_images(inspected, progress, seconds)
    broken, columns = inspection.broken, dataset.columns.with_digests(inspection.digests, which)
    if not broken:
        return replace(dataset, samples=columns)
    if on_bad_image == "fail":
        raise ValueError(
            f"{counted(len(broken), 'image')} of {len(inspected):,} can't be read. Repair or remove them, or leave "
            f"them out with --on-bad-image skip.\n{listed(broken)}"
        )
    lost = {skipped.sample.id for skipped in broken}
    remaining = columns.select(np.fromiter((name not in lost for name in columns.ids), bool, len(columns)))
    have, had = (set(of.labels[of.in_split("train")].tolist()) for of in (remaining, columns))
    if empty := had - have:
        names = ", ".join(shown(dataset.classes[k]) for k in sorted(empty))
        reasons = listed(skipped for skipped in broken if skipped.sample.label in empty)
        raise ValueError(f"Without the images that can't be read, no training image of {names} remains.\n{reasons}")
    return replace(dataset, samples=remaining, skipped=(*dataset.skipped, *broken))


def listed(broken: Iterable[Skipped], most: int = 20) -> str:
    """The reasons, an indented line each; they name the files."""
    reasons = [skipped.reason for skipped in broken]
    more = [f"... and {len(reasons) - most} more; `hclnet data check` lists all"] if len(reasons) > most else []
    return "\n".join(f"  {line}" for line in reasons[:most] + more)


def counted(number: int, what: str) -> str:
    """`1 image`, `2 images`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _bytes(digest: str) -> UInt8[np.ndarray, " 32"]:
    return np.frombuffer(bytes.fromhex(digest), np.uint8)


def _inspected(reading: Reading, path: Path) -> tuple[str | None, str]:
    try:
        return reading.read(_inspect, path)
    except ValueError as error:  # it took too long
        return str(error), ""


def _inspect(path: Path) -> tuple[str | None, str]:
    """Why an image can't be read, or None, and the digest of its file."""
    try:
        check_image(path)
        open_image(path, at_least=32)
        return None, file_digest(path)
    except ValueError as error:
        return str(error), ""
    except OSError as error:  # it went between the two
        return f"{shown(path)} can't be read: {error.strerror}.", ""


_Key = tuple[bytes, int, int, int, str]


class _Memory:
    """What was found whole, in a small database; without it, all is decoded again."""

    def key(self, path: Path) -> _Key | None:
        """What says that a file is the same as before; None if it is not there.

        The time at which the file's entry changed is in it, since a program may set the other one back.
        """
        try:
            stat = path.stat()
        except OSError:
            return None
        return os.fsencode(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, _RULE

    def whole(self, keys: Iterable[_Key | None]) -> dict[_Key | None, str]:
        """Those that are known to be whole, with the digest of each."""
        found: dict[_Key | None, str] = {}
        with suppress(sqlite3.Error, OSError, ValueError), closing(self._opened()) as database:
            query = (
                "SELECT digest FROM looked WHERE path = ? AND bytes = ? AND changed = ? AND entry = ? AND pillow = ?"
            )
            for key in keys:
                if key and (row := database.execute(query, key).fetchone()) and _DIGEST.fullmatch(str(row[0])):
                    found[key] = row[0]
        return found

    def add(self, seen: Sequence[tuple[_Key | None, str]]) -> None:
        rows = [(*key, digest) for key, digest in seen if key]
        with suppress(sqlite3.Error, OSError, ValueError), closing(self._opened()) as database, database:
            database.executemany("INSERT OR REPLACE INTO looked VALUES (?, ?, ?, ?, ?, ?)", rows)

    def _opened(self) -> sqlite3.Connection:
        file = cache_home() / "whole-images.sqlite"
        file.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(file, timeout=5)
        database.execute(
            "CREATE TABLE IF NOT EXISTS looked "
            "(path BLOB PRIMARY KEY, bytes INT, changed INT, entry INT, pillow TEXT, digest TEXT)"
        )
        return database
