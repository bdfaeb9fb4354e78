"""Ground-truth masks as files: their values, and whether they can be used for metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Integer, Real
from PIL import Image

from hclnet.data.files import shown
from hclnet.data.ground_truth import check_boxes
from hclnet.types import GroundTruth, MaskFiles, Sample
from hclnet_runtime.data.gray import is_deep
from hclnet_runtime.data.images import MOST_PIXELS, image_size
from hclnet_runtime.data.pillow import without_pixel_limit, without_remarks
from hclnet_runtime.data.whole import check_whole
from hclnet_runtime.text import as_clause

Size = tuple[int, int]


def check_ground_truth(
    ground_truth: GroundTruth,
    samples: Sequence[Sample],
    sizes: Integer[np.ndarray, "n 2"],
    log: Callable[[str], None] | None = None,
) -> None:
    """Refuse boxes and masks that would make every metric wrong without an error; called before metrics are computed.

    Args:
        ground_truth: boxes and masks by sample id.
        samples: that are scored.
        sizes: width and height of their images, pixels.
        log: called with a sentence for each thing that is strange and may yet be right.

    Raises:
        ValueError: as `hclnet.data.ground_truth.check_boxes`; or a mask is of another shape than its image.
    """
    known = {sample.id: (int(width), int(height)) for sample, (width, height) in zip(samples, sizes)}
    for doubt in check_boxes(ground_truth, samples, known):
        if log:
            log(doubt)
    masked = [
        (path, known[s.id])
        for s in samples
        if s.id in ground_truth.masks
        for path in files_of(ground_truth.masks[s.id])
    ]
    wrong = [fault for path, size in masked if (fault := shape_fault(path, size))]
    if wrong:
        more = f"; and {len(wrong) - 3:,} more" if len(wrong) > 3 else ""
        raise ValueError(
            f"{len(wrong):,} of {len(masked):,} masks can't be used: {'; '.join(wrong[:3])}{more}. A mask shows the "
            "whole upright image, at any size."
        )


def image_sizes(samples: Sequence[Sample]) -> Integer[np.ndarray, "n 2"]:
    """Width and height of the upright images, pixels, from their headers.

    Raises:
        ValueError: one can't be read.
    """
    return np.array([image_size(s.path) for s in samples], dtype=np.int64).reshape(-1, 2)


def files_of(mask: MaskFiles) -> Iterator[Path]:
    """The files of a mask, that of what is ignored last."""
    yield from mask.foreground
    if mask.ignore:
        yield mask.ignore


def shape_fault(path: Path, size: Size) -> str | None:
    """Why a mask does not show the whole image, by its header; None also for files that can't be read (found later)."""
    try:
        found = image_size(path)
    except ValueError:
        return None
    if same_shape(found, size):
        return None
    return f"mask {shown(path)} is {found[0]} x {found[1]}, another shape than that of the image, {size[0]} x {size[1]}"


def same_shape(one: Size, size: Size) -> bool:
    """Whether rounding the sides explains the difference."""
    return abs(one[0] * size[1] - one[1] * size[0]) <= max(size)


def read_gray(path: Path) -> Real[np.ndarray, "h w"]:
    """The values of a mask's file, brighter where it holds: 8 bits, or in float32 what has more.

    Raises:
        ValueError: the file is missing, damaged or not an image, or 255 seems to mean in it what is to be ignored.
    """
    try:
        check_whole(path)
        with without_remarks(), without_pixel_limit(), Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"it has {image.width:,} x {image.height:,} pixels, too many")
            if is_deep(image):
                return np.nan_to_num(np.asarray(image).astype(np.float32), nan=0, posinf=0, neginf=0)
            gray = np.asarray(image.convert("L"))
    except FileNotFoundError:
        raise ValueError(f"There is no mask file {shown(path)}.") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f"The mask {shown(path)} can't be read: {as_clause(error)}. Replace it with a valid image."
        ) from None
    if set(np.flatnonzero(np.bincount(gray.ravel(), minlength=256)).tolist()) in ({0, 1, 255}, {1, 255}):
        raise ValueError(
            f"The mask {shown(path)} has the values 0, 1 and 255; 255 seems to mark pixels to ignore. "
            "Write the object as 255 into one file, and the pixels to ignore into another."
        )
    return gray
