"""The scale of a run's gray images of more than 8 bits, learned from its training images."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Real

from hclnet.samples import portions
from hclnet.types import Gray
from hclnet_runtime.data.gray import is_deep, scale_of
from hclnet_runtime.data.images import opened

_IMAGES = 400  # from which a scale is learned
_VALUES = 2**22  # of all of them together


def learn_gray(paths: Iterable[str | Path], setting: float | str = "auto") -> Gray:
    """One scale for all images of a run.

    Args:
        paths: the training images. The scale is learned from up to 400 of those that are gray of more than 8 bits: the
            99.9th percentile of the values of all of them is shown as 255.
        setting: `auto`; or a number, which is shown as 255, and 0 as 0; or `file`, each image by its own depth.
    """
    if setting == "file":
        return Gray(by_depth=True)
    if not isinstance(setting, str):
        return Gray((0, setting), (0, setting))
    with ThreadPoolExecutor(4) as pool:
        deep_images: dict[str, list[str | Path]] = {"whole": [], "fractions": []}
        for some in portions(paths):
            for path, mode in zip(some, pool.map(_mode, some)):
                if mode:
                    deep_images["fractions" if mode == "F" else "whole"].append(path)
        found = Gray()
        for kind, deep in deep_images.items():
            if deep:
                chosen = [deep[i] for i in np.linspace(0, len(deep) - 1, min(len(deep), _IMAGES)).round().astype(int)]
                values = pool.map(partial(_some_of, most=_VALUES // len(chosen)), chosen)
                scale = scale_of(np.concatenate(list(values)))
                found = replace(found, whole=scale) if kind == "whole" else replace(found, fractions=scale)
    return found


def described(gray: Gray) -> Iterator[str]:
    """The scales as sentences for a person."""
    for what, scale in (("16-bit gray images", gray.whole), ("gray images of fractions", gray.fractions)):
        if scale:
            yield f"{what}: {scale[0]:g}..{scale[1]:g} is shown as 0..255"


def _mode(path: str | Path) -> str | None:
    """Pillow's mode of a deep gray image; None of all others, and of what can't be opened: others say so."""
    try:
        with opened(path) as image:
            return image.mode if is_deep(image) else None
    except ValueError:
        return None


def _some_of(path: str | Path, most: int) -> Real[np.ndarray, " n"]:
    """Values of an image, spread evenly over it."""
    try:
        with opened(path) as image:
            values = np.asarray(image).ravel()
    except ValueError:
        return np.zeros(0, dtype=np.uint16)
    step = math.ceil(values.size / most)
    return values[:: step + (step > 1 and step % 2 == 0)]  # an odd step does not stay in the same columns
