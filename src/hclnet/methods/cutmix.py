"""CutMix (Yun et al., ICCV 2019), as a baseline of localization."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from hclnet.methods import cam


class CutMixOptions(cam.CAMOptions):
    beta: float = Field(1, gt=0, description="both parameters of the beta distribution of lambda; 1: uniform")
    probability: float = Field(1, ge=0, le=1, description="of a batch to be mixed")


def cut(height: int, width: int, share: float, random: np.random.Generator) -> tuple[int, int, int, int]:
    """The box x0, y0, x1, y1 that is pasted, pixels (their eq. 2).

    Its sides are sqrt(1 - share) of the image's and its center is anywhere, so that the image cuts some of it off.

    Args:
        share: lambda, of the image that stays.
        random: draws the center: x, then y.
    """
    ratio = math.sqrt(1 - share)
    half_width, half_height = int(width * ratio) // 2, int(height * ratio) // 2
    x, y = int(random.integers(width)), int(random.integers(height))
    return (
        max(x - half_width, 0),
        max(y - half_height, 0),
        min(x + half_width, width),
        min(y + half_height, height),
    )


class CutMix(cam.CAM):
    """CAM's network, taught on images with a box of another image pasted in, and on both labels.

    Training only: lambda ~ Beta(beta, beta); each image of a batch gets the same box of another image of the batch,
    of 1 - lambda of its area. lambda is then computed again from the box that lies inside of the image, and the targets
    are mixed by it, which makes the loss lambda * CE(a) + (1 - lambda) * CE(b) (their eq. 1).
    """

    name = "cutmix"
    paper = "Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers, ICCV 2019"
    Options = CutMixOptions
    options: CutMixOptions
    augments_batches = True

    def augment_batch(
        self, images: Float[Tensor, "b 3 h w"], targets: Float[Tensor, "b c"], random: np.random.Generator
    ) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b c"]]:
        if random.random() >= self.options.probability:
            return images, targets
        height, width = images.shape[2:]
        share = random.beta(self.options.beta, self.options.beta)
        other = torch.from_numpy(random.permutation(len(images))).to(images.device)
        x0, y0, x1, y1 = cut(height, width, share, random)
        mixed = images.clone()
        mixed[:, :, y0:y1, x0:x1] = images[other, :, y0:y1, x0:x1]
        share = 1 - (x1 - x0) * (y1 - y0) / (height * width)
        return mixed, share * targets + (1 - share) * targets[other]


METHOD = CutMix
