"""`hclnet.load` and `hclnet.locate`: a localizer from a folder, and the objects in one image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hclnet.localizer.localizer import Localizer
from hclnet.randomness import random_states_kept
from hclnet.types import Localization
from hclnet.workflows.exported import is_exported, open_model
from hclnet_runtime import Model
from hclnet_runtime.text import shown


@random_states_kept()
def load(run: str | Path, device: str | torch.device = "auto") -> Localizer:
    """The localizer of a run: `load("runs/mine").locate("photo.jpg").box`.

    Args:
        run: a run folder, or a localizer's; or a model on the hub, as `hf:user/name` or `hf:user/name@revision`.
        device: auto, cpu, cuda, cuda:N or mps, as text or as torch's device.

    Raises:
        ValueError: there is no localizer in the folder, it can't be read, or the device can't be used.
    """
    if is_exported(run) and Path(run).is_file():
        raise ValueError(f"{shown(run)} is an exported model. Load it with hclnet_runtime.load.")
    return Localizer.load(run, device)


@random_states_kept()
def locate(
    image: str | Path | Image.Image | np.ndarray,
    model: str | Path | Localizer | Model | None = None,
    top: int = 1,
    max_objects: int = 1,
) -> Localization:
    """Box the objects in one image.

    Args:
        image: a file, a Pillow image, or an array of H x W or H x W x 3.
        model: a run folder, `hf:user/name` on the hub, a localizer, or an exported model or its file; without one, the
            packaged ImageNet classifier with CAM.
        top: box the `top` most probable classes.
        max_objects: how many objects of each class there may be; see `hclnet_runtime.boxes.objects`.

    Raises:
        ValueError: the image or the model can't be read, or a count is not a whole number of at least 1.
    """
    found = model if isinstance(model, Localizer | Model) else open_model(model, "auto")
    return found.locate(image, top, max_objects=max_objects)
