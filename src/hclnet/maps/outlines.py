"""Outlines of objects in training images: GrabCut, which a foreground score starts.

Rother et al., "GrabCut: Interactive foreground extraction using iterated graph cuts", SIGGRAPH 2004, as OpenCV has it.
Its start is random; here it is the same for every image, so that an outline depends on the image and the score alone.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

SIDE = 112  # pixels of the square that outlines are drawn in
_ROUNDS = 3  # of colors and cuts in turn


def outline(pixels: UInt8[np.ndarray, "s s 3"], foreground: Float32[np.ndarray, "gh gw"]) -> UInt8[np.ndarray, "s s"]:
    """1 inside of objects and 0 outside, in the image's pixels; all zeros where the score has only one side.

    It draws random numbers from OpenCV's generator of the thread that calls it.

    Args:
        pixels: the image, squashed to a square.
        foreground: the foreground score of its cells, above 0 where an object is likely.
    """
    likely = cv2.resize(foreground, pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR) > 0
    mask = np.where(likely, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    if likely.all() or not likely.any():
        return np.zeros(mask.shape, dtype=np.uint8)
    inside, outside, no_rectangle = np.zeros((1, 65)), np.zeros((1, 65)), (0, 0, 0, 0)
    cv2.setRNGSeed(0)
    try:
        image = np.ascontiguousarray(pixels[:, :, ::-1])
        cv2.grabCut(image, mask, no_rectangle, outside, inside, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # fewer pixels on a side than it has colors
        return np.zeros(mask.shape, dtype=np.uint8)
    return mask & 1  # GC_FGD and GC_PR_FGD are odd
