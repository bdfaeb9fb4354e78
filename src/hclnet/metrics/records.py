"""Records, one row an image: made, kept on disk and put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Float, Integer, Real

from hclnet.metrics.masks import Counts
from hclnet.metrics.scoring import Found, Scoring
from hclnet.storage import whole
from hclnet.types import Records, Sample
from hclnet_runtime.boxes import scale

_COLUMNS = tuple(field.name for field in fields(Records) if field.name != "protocol")


class Table:
    """Records in the making: the localization columns, filled row by row, in any order.

    Args:
        samples: the images, a row each.
        sizes: their width and height, pixels.
        protocol: that is scored under.
        masks: whether any of them has a ground-truth mask.
    """

    def __init__(
        self, samples: Sequence[Sample], sizes: Integer[np.ndarray, "n 2"], protocol: Scoring, masks: bool
    ) -> None:
        n, self._protocol = len(samples), protocol
        bins = protocol.bins if masks else 0
        counts = np.min_scalar_type(protocol.map_size**2)
        # Single precision: an IoU is a fraction of whole pixels, and no two that matter are nearer than 1e-6.
        self._records = Records(
            ids=[s.id for s in samples],
            paths=[str(s.path) for s in samples],
            labels=np.array([s.label for s in samples], dtype=np.int64),
            sizes=sizes,
            top_classes=np.zeros((n, 0), dtype=np.int64),
            top_scores=np.zeros((n, 0), dtype=np.float32),
            rank=np.full(n, -1, dtype=np.int64),
            boxes=np.zeros((n, 4)),
            iou=np.zeros(n, dtype=np.float32),
            level_iou=np.zeros((n, 256), dtype=np.float32),
            level_best=np.zeros((n, 256), dtype=np.float32),
            inside=np.zeros((n, bins), dtype=counts),
            outside=np.zeros((n, bins), dtype=counts),
            protocol=protocol.name,
        )

    def put(self, row: int, found: Found, pixels: tuple[Counts, Counts] | None) -> None:
        """What was found on a map, and its pixels in and out of the ground-truth mask if there is one."""
        records, side = self._records, self._protocol.map_size
        size = tuple(records.sizes[row].tolist())
        records.boxes[row] = scale(found.box[None], (side, side), size)[0]
        records.iou[row] = found.iou
        records.level_iou[row] = found.level_iou
        records.level_best[row] = found.level_best
        if pixels:
            records.inside[row], records.outside[row] = pixels

    def records(
        self,
        top_classes: Integer[np.ndarray, "n k"] | None = None,
        top_scores: Float[np.ndarray, "n k"] | None = None,
        rank: Integer[np.ndarray, " n"] | None = None,
    ) -> Records:
        """The whole table; without arguments, one of maps that no classifier stands behind."""
        if rank is None or top_classes is None or top_scores is None:
            return self._records
        return replace(self._records, top_classes=top_classes, top_scores=top_scores, rank=rank)


def true_class_ranks(scores: Real[np.ndarray, "n c"], labels: Integer[np.ndarray, " n"]) -> Integer[np.ndarray, " n"]:
    """The position of each image's true class among all classes, 0 for the best; ties count against it, as in a stable
    order they would half of the time.

    Args:
        scores: of every class, such as logits or probabilities.
        labels: the true classes.
    """
    return (scores >= np.take_along_axis(scores, labels[:, None], axis=1)).sum(axis=1) - 1


def concatenate(parts: Sequence[Records]) -> Records:
    """All rows of all parts, in order.

    Raises:
        ValueError: there are no parts, or they are of different classifiers or protocols.
    """
    if not parts:
        raise ValueError("there are no records to put together; pass at least one part, which may have no rows.")
    widths = sorted({part.top_classes.shape[1] for part in parts})
    if len(widths) > 1:
        raise ValueError(
            f"the parts hold the top {' and the top '.join(map(str, widths))} classes, so they come from different "
            "classifiers; put together only records of one model."
        )
    if len(protocols := sorted({part.protocol for part in parts})) > 1:
        raise ValueError(f"the parts were scored under {' and '.join(protocols)}; put together only one protocol's.")
    columns = {}
    for name in _COLUMNS:
        values = [getattr(part, name) for part in parts]
        columns[name] = list(chain(*values)) if isinstance(values[0], list) else np.concatenate(values)
    return Records(**columns, protocol=parts[0].protocol)  # type: ignore[arg-type]  # lists and arrays, by name


def save(records: Records, path: str | Path) -> None:
    """Write the records as one `.npz` at exactly `path`. What stood there is replaced whole or, on error, not at all.

    Raises:
        ValueError: the disk is full, or the file can't be written (`hclnet.storage.Unwritable`).
    """
    path = Path(path)
    columns = {name: getattr(records, name) for name in _COLUMNS}
    columns["protocol"] = records.protocol
    # Text as fixed-width unicode: a list of str would be pickled.
    columns = {name: np.array(c, dtype=np.str_) if isinstance(c, list | str) else c for name, c in columns.items()}
    # An open file, since `savez` appends .npz to a name that lacks it.
    with whole(path) as part, part.open("wb") as file:
        np.savez(file, **columns)


def load_records(path: str | Path) -> Records:
    """The records that `save` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or its columns are not those of records.
    """
    path = Path(path)
    with path.open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as stored:
                columns = {name: stored[name] for name in stored.files}
        except Exception as error:  # a damaged archive can fail in any way
            raise ValueError(f"{path} is not a readable records file ({error}); run the evaluation again.") from error
    if set(columns) != (known := {*_COLUMNS, "protocol"}):
        missing, extra = sorted(known - set(columns)), sorted(set(columns) - known)
        raise ValueError(
            f"{path} does not hold records of this version: missing columns {missing}, unknown columns {extra}; run "
            "the evaluation again."
        )
    protocol = str(columns.pop("protocol"))
    if len({len(column) for column in columns.values()}) != 1:
        raise ValueError(f"{path} has columns of different lengths, so it is damaged; run the evaluation again.")
    return Records(**{name: c.tolist() if c.dtype.kind == "U" else c for name, c in columns.items()}, protocol=protocol)
