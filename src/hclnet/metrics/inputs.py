"""A batch of maps, boxes and masks from somebody's own loop, checked before anything is counted. Each mistake that
would give a wrong number in silence gets a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64, Real

from hclnet.metrics.masks import Mask

_LARGE = 32  # pixels: from this side on no object is a single pixel


def check_maps(maps: np.ndarray) -> Real[np.ndarray, "b h w"]:
    """Maps of the target classes.

    Raises:
        ValueError: they are not numbers, or not B x H x W.
    """
    if maps.ndim == 4:
        raise ValueError(
            f"maps have shape {maps.shape}; they have to be B x H x W, one map of the target class an image: "
            "maps[torch.arange(B), labels], or maps[:, 0] where there is one map an image."
        )
    if maps.ndim != 3 or 0 in maps.shape[1:]:
        raise ValueError(
            f"maps have shape {maps.shape}; they have to be B x H x W, one map of the target class an image."
        )
    if maps.dtype.kind not in "fiub":
        raise ValueError(f"maps hold {maps.dtype}, not numbers; pass them as float32.")
    return maps.astype(np.uint8) if maps.dtype.kind == "b" else maps


def check_sizes(sizes: np.ndarray | None, maps: Real[np.ndarray, "b h w"]) -> Int64[np.ndarray, "b 2"]:
    """Width and height of the images that the boxes are in pixels of; without any those of the maps.

    Raises:
        ValueError: there is not one pair for all images or one each, or it is not of whole positive numbers.
    """
    count, height, width = maps.shape
    given = np.array([width, height]) if sizes is None else sizes
    if given.shape not in ((2,), (count, 2)):
        raise ValueError(
            f"sizes have shape {given.shape}; they have to be one pair (width, height), or {count} x 2, a pair for "
            "each map."
        )
    if given.dtype.kind not in "fiu" or not (given > 0).all() or (given % 1 != 0).any():
        raise ValueError("sizes have to be whole numbers of pixels above 0: (width, height).")
    return np.broadcast_to(given.astype(np.int64), (count, 2))


def check_boxes(boxes: Sequence[np.ndarray], sizes: Int64[np.ndarray, "b 2"]) -> list[Float64[np.ndarray, "_ 4"]]:
    """The ground-truth boxes of each image, N x 4; one box may be a row of four, and no box anything empty.

    Args:
        boxes: of each image.
        sizes: width and height of the images.

    Raises:
        ValueError: they are not as many as the images, of a wrong shape, not finite, without area, not in the
            images' pixels.
    """
    if len(boxes) != len(sizes):
        raise ValueError(f"there are {len(sizes)} maps and boxes for {len(boxes)}: pass an N x 4 array for each map.")
    checked = [_boxes_of(i, each, size) for i, (each, size) in enumerate(zip(boxes, sizes.tolist()))]
    known = [(each, size) for each, size in zip(checked, sizes) if len(each)]
    shares = all((each >= 0).all() and (each <= 1).all() for each, _ in known)
    if known and shares and (len(known) > 1 or (known[0][1] >= _LARGE).all()):
        raise ValueError(
            "every box lies within 0..1, as if it were in shares of the image; boxes have to be in pixels: "
            "multiply x by the width and y by the height."
        )
    return checked


def _boxes_of(i: int, boxes: np.ndarray, size: list[int]) -> Float64[np.ndarray, "n 4"]:
    if boxes.size == 0:
        return np.zeros((0, 4))
    if boxes.dtype.kind not in "fiu" or boxes.ndim not in (1, 2) or boxes.shape[-1] != 4:
        raise ValueError(
            f"boxes[{i}] is {boxes.dtype} of shape {boxes.shape}; it has to be N x 4 numbers, x0 y0 x1 y1."
        )
    boxes = boxes.reshape(-1, 4).astype(np.float64)
    if not np.isfinite(boxes).all():
        raise ValueError(f"boxes[{i}] has NaN or infinite values; leave out boxes that are not known.")
    for box in boxes:
        (low, high), text = box.reshape(2, 2), " ".join(f"{v:g}" for v in box)
        if not (low < high).all():
            raise ValueError(
                f"boxes[{i}] has {text}, which has no area as x0 y0 x1 y1; x, y, width, height have to be turned into "
                "corners first."
            )
        beyond = np.array(size) / 2  # a box may stick out a little, one in other pixels sticks out far
        if (high <= 0).any() or (low >= size).any() or (high > size + beyond).any() or (low < -beyond).any():
            raise ValueError(
                f"boxes[{i}] has {text}, which does not lie on an image of {size[0]} x {size[1]} pixels. Boxes are in "
                "the maps' pixels; where they are in an image's, pass its width and height as sizes."
            )
    return boxes


def check_masks(masks: np.ndarray, ignore: np.ndarray | None, maps: Real[np.ndarray, "b h w"]) -> list[Mask]:
    """True masks, B x h x w of any resolution, and what is to be ignored.

    Raises:
        ValueError: they are not as many as the maps, of a wrong shape, or values that are not a mask's.
    """
    held = _mask_values("masks", masks, maps)
    left_out = None if ignore is None else _mask_values("ignore", ignore, maps)
    return [Mask((each,), None if left_out is None else left_out[i]) for i, each in enumerate(held)]


def _mask_values(name: str, masks: np.ndarray, maps: Real[np.ndarray, "b h w"]) -> Real[np.ndarray, "b mh mw"]:
    if masks.ndim != 3 or len(masks) != len(maps) or 0 in masks.shape[1:]:
        raise ValueError(f"{name} have shape {masks.shape}; with {len(maps)} maps they have to be {len(maps)} x H x W.")
    if masks.dtype.kind == "b":
        return masks.astype(np.uint8)
    if masks.dtype.kind not in "fiu" or not np.isfinite(masks).all() or (masks.size and masks.min() < 0):
        raise ValueError(f"{name} have to be boolean, or numbers from 0 up that are brighter where the object is.")
    if masks.dtype.kind == "f":
        return masks.astype(np.float32)
    if masks.size and masks.max() > 255:
        raise ValueError(f"{name} have values up to {masks.max()}; whole numbers have to be gray values of 0 to 255.")
    if set(np.unique(masks).tolist()) in ({0, 1, 255}, {1, 255}):
        raise ValueError(
            f"{name} have the values 0, 1 and 255, as where 255 says that a pixel is to be ignored: pass masks == 1, "
            "and masks == 255 as ignore."
        )
    return masks.astype(np.uint8)


def check_scores(scores: np.ndarray, labels: np.ndarray, count: int) -> tuple[np.ndarray, Int64[np.ndarray, " b"]]:
    """Scores of every class, and the true classes.

    Raises:
        ValueError: they do not fit each other or the maps, or a score is NaN.
    """
    if scores.ndim != 2 or len(scores) != count or not scores.shape[1]:
        raise ValueError(f"logits have shape {scores.shape}; with {count} maps they have to be {count} x classes.")
    if scores.dtype.kind not in "fiu" or np.isnan(scores).any():
        raise ValueError("logits have NaN, or are not numbers, so no class is the most probable.")
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise ValueError(f"labels are {labels.dtype} of shape {labels.shape}; they have to be {count} whole numbers.")
    if count and (labels.min() < 0 or labels.max() >= scores.shape[1]):
        raise ValueError(
            f"labels are from {labels.min()} to {labels.max()}; with {scores.shape[1]} classes they have to be from 0 "
            f"to {scores.shape[1] - 1}."
        )
    return scores, labels.astype(np.int64)
