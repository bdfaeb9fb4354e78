"""HaS: hide-and-seek (Singh & Lee, ICCV 2017)."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import Field, NonNegativeInt
from torch import Tensor

from hclnet.methods import cam


class HaSOptions(cam.CAMOptions):
    grids: list[NonNegativeInt] = Field(
        [0, 16, 32, 44, 56], min_length=1, description="sides of the patches to choose from, px of the input; 0: none"
    )
    hide: float = Field(0.5, ge=0, le=1, description="probability of a patch to be hidden")


def hidden(
    count: int, height: int, width: int, options: HaSOptions, random: np.random.Generator
) -> Bool[np.ndarray, "b h w"]:
    """Which pixels of each image are hidden (their section 3.1).

    For each image a side S is chosen, and each patch of its grid of S x S patches is hidden by a coin of its own. The
    last row and column are cut off where S does not divide the image.
    """
    masks = np.zeros((count, height, width), dtype=bool)
    for mask in masks:
        side = int(random.choice(options.grids))
        if side:
            coins = random.random((-(-height // side), -(-width // side))) < options.hide
            mask[:] = coins.repeat(side, 0).repeat(side, 1)[:height, :width]
    return masks


class HaS(cam.CAM):
    """CAM's network, taught on images with patches hidden at random, so that it can't rely on one part.

    Training only: for each image a patch size is chosen from `grids`, and each patch is hidden with probability `hide`
    by the mean color of the backbone's training images. At test the whole image is seen. (Another common setting is
    one grid of 4 px.)
    """

    name = "has"
    paper = "Singh & Lee, Hide-and-Seek: Forcing a Network to be Meticulous for WSOL and Action Localization, ICCV 2017"
    Options = HaSOptions
    options: HaSOptions
    augments_batches = True

    def augment_batch(
        self, images: Float[Tensor, "b 3 h w"], targets: Float[Tensor, "b c"], random: np.random.Generator
    ) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b c"]]:
        height, width = images.shape[2:]
        masks = hidden(len(images), height, width, self.options, random)
        # The mean color is 0 once images are normalized. A clone keeps the order in memory, channels last.
        return images.clone().masked_fill_(torch.from_numpy(masks).to(images.device).unsqueeze(1), 0), targets


METHOD = HaS
