"""Checks of ground-truth boxes. In a wrong unit or order they would make every metric 0 without an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from hclnet.data.files import shown
from hclnet.types import GroundTruth, Sample

SLACK = 1.0
"""Pixels by which a box may reach over the edge: rounding, or counting from 1."""

_ENOUGH = 10  # boxes from which on it is not by chance that all of them lie alike
_TINY = 2  # pixels a side of images in which a box within 0..1 can be meant

Size = tuple[int, int]
Boxes = Float[np.ndarray, "n 4"]
Sizes = Float[np.ndarray, "n 2"]
Name = Callable[[int], str]
Faults = Bool[np.ndarray, "n"]


def check_boxes(
    ground_truth: GroundTruth, samples: Sequence[Sample], sizes: Mapping[str, Size] | None = None
) -> tuple[str, ...]:
    """Refuse boxes by which nothing can be scored, and say what is strange about the others.

    A reader calls it without sizes, since it opens no image; whoever makes a metric calls it again with them.

    Args:
        ground_truth: boxes by sample id.
        samples: those whose boxes are looked at.
        sizes: width and height of the images, as far as they are known; the sizes that came with the ground truth are
            known anyhow.

    Returns:
        A sentence for each suspicion: boxes that reach outside of their image, that seem to be
        `x, y, width, height`, that seem to have been drawn in smaller pictures, or in pictures that lay on their side.

    Raises:
        ValueError: a box is not finite, has no area, lies within 0..1 or outside of its image. The message counts them,
            names the first ones and says what they may be.
    """
    boxes, size, name = _listed(ground_truth, samples, sizes)
    for bad, what, why in _faults(boxes, size):
        if bad.any():
            rows = np.flatnonzero(bad)
            first = "; ".join(f"{name(k)}: {_box_text(boxes[k], size[k])}" for k in rows[:3])
            more = f"; and {len(rows) - 3:,} more" if len(rows) > 3 else ""
            raise ValueError(f"{len(rows):,} of {_counted(len(boxes))} {what}: {first}{more}. {why}")
    return (*_doubts(boxes, size, name), *_shape_doubts(ground_truth, samples, sizes or {}))


def box_doubts(
    ground_truth: GroundTruth, samples: Sequence[Sample], sizes: Mapping[str, Size] | None = None
) -> tuple[str, ...]:
    """What `check_boxes` returns, of the boxes that have no fault."""
    boxes, size, name = _listed(ground_truth, samples, sizes)
    fit = np.flatnonzero(~np.any([bad for bad, *_ in _faults(boxes, size)], axis=0))
    return tuple(_doubts(boxes[fit], size[fit], lambda k: name(fit[k])))


def box_fault(box: Float[np.ndarray, "4"], size: Size | None = None) -> str | None:
    """Why nothing can be scored by a box, in a few words; None if there is no reason.

    Args:
        box: x0, y0, x1, y1.
        size: width and height of its image, if known.
    """
    sides = np.array([size or (np.nan, np.nan)], dtype=np.float64)
    found = next((what for bad, what, _ in _faults(box[None], sides) if bad.any()), None)
    return found and f"box {_box_text(box)} {_SINGULAR[found]}"


def reaches_outside(box: Float[np.ndarray, "4"], size: Size) -> bool:
    """Whether a box reaches over the edge of its image by more than rounding explains."""
    return bool(_outside(box[None], np.array([size], dtype=np.float64))[0])


_SINGULAR = {
    "are not finite": "is not finite",
    "have no area": "has no area",
    "are within 0 and 1": "is within 0 and 1: a fraction of the image?",
    "are outside of their image": "is outside of the image",
}


def _faults(boxes: Boxes, size: Sizes) -> Iterator[tuple[Faults, str, str]]:
    """For each kind of fault which boxes have it, what it is, and what to do."""
    need = "Boxes are x0, y0, x1, y1 in pixels of the upright image, with x0 < x1 and y0 < y1."
    yield ~np.all(np.isfinite(boxes), axis=1), "are not finite", f"{need} For an image without a box leave the box out."
    unit = np.all(boxes >= 0, axis=1) & np.all(boxes <= 1, axis=1) & ~np.any(size <= _TINY, axis=1)
    why = f"{need} If these are fractions of the image, multiply x by its width and y by its height."
    yield unit, "are within 0 and 1", why
    empty = (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])
    hint = " If these are x, y, width and height, x1 is x + width and y1 is y + height." if _as_extents(boxes) else ""
    yield empty, "have no area", need + hint
    away = np.any(boxes[:, :2] >= size, axis=1) | np.any(boxes[:, 2:] <= 0, axis=1)
    yield away, "are outside of their image", f"{need} {_drawn_elsewhere(boxes, size)}"


def _listed(
    ground_truth: GroundTruth, samples: Sequence[Sample], sizes: Mapping[str, Size] | None
) -> tuple[Boxes, Sizes, Name]:
    """All boxes in pixels of their images, the sizes of these, NaN where unknown, and what gives a box's image."""
    ids = [s.id for s in samples if s.id in ground_truth.boxes and len(ground_truth.boxes[s.id])]
    known = {**ground_truth.sizes, **(sizes or {})}
    found = [ground_truth.boxes_in(key, known[key]) if key in known else ground_truth.boxes[key] for key in ids]
    owner = np.repeat(np.arange(len(ids)), [len(boxes) for boxes in found])
    size = np.array([known.get(key, (np.nan, np.nan)) for key in ids], dtype=np.float64).reshape(-1, 2)
    return np.concatenate([np.zeros((0, 4)), *found]), size[owner], lambda k: shown(ids[owner[k]])


def _doubts(boxes: Boxes, size: Sizes, name: Name) -> Iterator[str]:
    outside = np.flatnonzero(_outside(boxes, size))
    if len(outside):
        k = outside[0]
        yield (
            f"{len(outside):,} of {_counted(len(boxes))} {'reaches' if len(outside) == 1 else 'reach'} outside of the "
            f"image, such as {name(k)}: {_box_text(boxes[k], size[k])}. {_drawn_elsewhere(boxes, size)}"
        )
    seen = np.isfinite(size).all(1)
    boxes, size = boxes[seen], size[seen]
    if len(boxes) < _ENOUGH:
        return
    if (boxes[:, 2:] < size / 2).all():
        yield (
            f"none of {_counted(len(boxes))} reaches the right or the lower half of its image. Were they drawn in "
            "smaller pictures, or are they percent? They must be in pixels of these images."
        )
    else:
        # Read as corners, x + width lies left of the right edge: each box would have its middle in the upper left
        # quarter, which boxes around objects do not all have.
        sums = boxes[:, :2] + boxes[:, 2:]
        if (sums <= size + SLACK).all() and (sums < size - 2 * SLACK).any(1).mean() > 0.5:
            yield (
                f"all of {_counted(len(boxes))} have their middle in the upper left quarter of the image. Are they x, "
                "y, width, height? They must be x0, y0, x1, y1."
            )


def _shape_doubts(ground_truth: GroundTruth, samples: Sequence[Sample], sizes: Mapping[str, Size]) -> Iterator[str]:
    """Images that were annotated lying on their side: by a tool that does not heed how a photograph is to be turned."""
    pairs = [(s.id, size, sizes[s.id]) for s in samples if (size := ground_truth.size_of(s.id)) and s.id in sizes]
    turned = [(key, size, upright) for key, size, upright in pairs if size == upright[::-1] and size != upright]
    if turned:
        key, size, upright = turned[0]
        yield (
            f"{len(turned):,} of {len(pairs):,} images with boxes had width and height exchanged when they were drawn, "
            f"such as {shown(key)}: {size[0]} x {size[1]}, and upright {upright[0]} x {upright[1]}. Did the tool "
            "ignore the EXIF orientation? Then these boxes are wrong: turn the images, and draw them again."
        )


def _outside(boxes: Boxes, size: Sizes) -> Faults:
    return np.any(boxes[:, :2] < -SLACK, axis=1) | np.any(boxes[:, 2:] > size + SLACK, axis=1)


def _as_extents(boxes: Boxes) -> bool:
    """Whether third and fourth numbers could be widths and heights."""
    return bool(np.isfinite(boxes).all() and (boxes[:, 2:] > 0).all())


def _drawn_elsewhere(boxes: Boxes, size: Sizes) -> str:
    """What may be wrong with boxes that reach outside."""
    swapped = boxes[:, [1, 0, 3, 2]]
    if not _outside(swapped, size).any():
        return "Read as y0, x0, y1, x1 all of them fit: are x and y exchanged?"
    return "Were they drawn in pictures of another size, or before these were turned or cropped?"


def _box_text(box: Float[np.ndarray, "4"], size: Float[np.ndarray, "2"] | None = None) -> str:
    corners = " ".join(f"{value:g}" for value in box.tolist())
    if size is None or not np.isfinite(size).all():
        return corners
    return f"{corners} in {size[0]:.0f} x {size[1]:.0f}"


def _counted(number: int) -> str:
    return f"{number:,} ground-truth box{'' if number == 1 else 'es'}"
