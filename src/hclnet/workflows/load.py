"""`hclnet.load` and `hclnet.locate`: a localizer from a folder, and the objects in one image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hclnet.localizer.localizer import Localizer
from hclnet.randomness import random_states_kept
from hclnet.types import Localization


@random_states_kept()
def load(run: str | Path, device: str | torch.device = "auto") -> Localizer:
    """The localizer of a run: `load("runs/mine").locate("photo.jpg").box`.

    Args:
        run: a run folder, or a localizer's.
        device: auto, cpu, cuda, cuda:N or mps, as text or as torch's device.

    Raises:
        ValueError: there is no localizer in the folder, it can't be read, or the device can't be used.
    """
    return Localizer.load(run, device)


@random_states_kept()
def locate(
    image: str | Path | Image.Image | np.ndarray,
    model: str | Path | Localizer | None = None,
    top: int = 1,
    max_objects: int = 1,
) -> Localization:
    """Box the objects in one image.

    Args:
        image: a file, a Pillow image, or an array of H x W or H x W x 3.
        model: a run folder or a localizer; without one, the packaged ImageNet classifier with CAM.
        top: box the `top` most probable classes.
        max_objects: how many objects of each class there may be; see `hclnet_runtime.boxes.objects`.

    Raises:
        ValueError: the image or the model can't be read, or a count is not a whole number of at least 1.
    """
    if not isinstance(model, Localizer):
        model = Localizer.imagenet() if model is None else Localizer.load(model)
    return model.locate(image, top, max_objects=max_objects)
