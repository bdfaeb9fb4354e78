"""A person's own classifier from the command line: a model of timm, its weights, and the names of its classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor

from hclnet.backbones import timm_weights
from hclnet.backbones.anatomy import anatomy
from hclnet.backbones.timm_models import PREFIX
from hclnet.backbones.weights import Misfit, by_name, read_tensors
from hclnet.data.named import find_images
from hclnet.localizer.build import imagenet_names
from hclnet.localizer.classifier import from_classifier
from hclnet.localizer.localizer import Localizer
from hclnet.maps.foreground import IMAGES
from hclnet.types import Log, Sample
from hclnet_runtime.data.reading import Reading
from hclnet_runtime.pictures import picture_from, read_file

_SIZES = ("dynamic_img_size", "strict_img_size")  # options of a model that let it see images of any size


def classifier_localizer(
    name: str,
    weights: str | Path | None = None,
    classes_file: str | Path | None = None,
    size: int | None = None,
    device: str | torch.device = "auto",
) -> Localizer:
    """A localizer of a classifier of timm's kind, without any training.

    Args:
        name: `timm:` and timm's name of the model.
        weights: its file; by default, or for `auto`, those that timm names after the model.
        classes_file: text with the name of a class in each line, in the order of the model's outputs; ImageNet's 1000
            names by default, where the weights are timm's.
        size: side of the square that images are resized to, pixels; the model's own by default.
        device: as of `Localizer.load`.

    Raises:
        ValueError: model, weights or names are missing or do not fit one another; the message says what to do.
    """
    if not name.startswith(PREFIX):
        raise ValueError(f"--classifier {name}: write {PREFIX} and a name of timm's, such as {PREFIX}resnet50.")
    bare = name.removeprefix(PREFIX)
    found = anatomy(bare)
    weights = None if str(weights) == "auto" else weights
    if found.side is not None and size not in (None, found.side):
        raise ValueError(f"{name} takes images of {found.side} px only, not of {size}: leave --size out.")
    classes = _names(name, classes_file, weights is not None)
    options = {key: value for key, value in found.options.items() if key in _SIZES}
    model: Any = timm.create_model(bare, pretrained=False, num_classes=len(classes), **options)
    if weights is None:
        source = f"The weights of {name} from timm's hub"
        tensors = timm_weights.fetched(bare, name, random=False)
    else:
        source, tensors = str(weights), read_tensors(_file(weights))
    model.load_state_dict(_fitting(model, timm_weights.converted(found, tensors), source, name, len(classes)))
    return from_classifier(model, classes, size=size, name=name, device=device)


def _file(weights: str | Path) -> Path:
    path = Path(weights).expanduser()
    if not path.is_file():
        what = (
            "A classifier with random weights knows no class" if str(weights) == "none" else f"There is no file {path}"
        )
        raise ValueError(f"{what}: give the file of the classifier's weights with --weights FILE.")
    return path


def _names(name: str, file: str | Path | None, own_weights: bool) -> tuple[str, ...]:
    if file is None:
        config: Any = timm.get_pretrained_cfg(name.removeprefix(PREFIX))
        if own_weights or config.num_classes != 1000:
            raise ValueError(
                f"{name}: nobody knows what its classes are called. Name a text with a class in each line, in the "
                "order of the outputs, with --classes-file."
            )
        return imagenet_names()
    try:
        lines = Path(file).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise ValueError(f"--classes-file {file} can't be read: {reason}.") from None
    names = [line.strip() for line in lines if line.strip()]
    if twice := [one for one in names if names.count(one) > 1]:
        raise ValueError(f"--classes-file {file} has {twice[0]!r} twice; each class needs a name of its own.")
    if not names:
        raise ValueError(f"--classes-file {file} is empty; it has the name of a class in each line.")
    return tuple(names)


def _fitting(model: Any, tensors: dict[str, Tensor], source: str, name: str, classes: int) -> dict[str, Tensor]:
    """The model's state dict from tensors with all of its names.

    Raises:
        ValueError: one is missing, too many or of another shape.
    """
    own: dict[str, Tensor] = model.state_dict()
    head = model.pretrained_cfg["classifier"]
    bias = tensors.get(f"{head}.bias", tensors.get(f"{head}.weight"))
    if bias is not None and len(bias) != classes:
        raise ValueError(f"{source} tells {len(bias)} classes apart, and {classes} names are given.")
    try:
        return by_name(own, {key: key for key in own}, tensors, heads=())
    except Misfit as misfit:
        raise ValueError(f"{source} does not hold the classifier {name}: {misfit}.") from None


def learn_from(localizer: Localizer, folder: str | Path, reading: Reading, log: Log | None = None) -> None:
    """Learn the foreground score of a classifier's localizer from images without labels, for the box rule `auto`.

    What the classifier takes an image for stands for its label.

    Args:
        localizer: which gets the score.
        folder: of images like those that are to be located, of which at most `IMAGES` are used, evenly spread.
        reading: what reads them.
        log: called with a line for a person.

    Raises:
        ValueError: there is no image that can be read.
    """
    from hclnet.training.foreground import learn_missing

    found = find_images([folder]).images
    chosen = np.linspace(0, len(found) - 1, min(IMAGES, len(found))).round().astype(int)
    samples, bare = [], localizer.with_inference(box="fixed:0.5")
    for k in chosen:
        path = found[k].path
        try:
            read = reading.read(read_file, path, bare.gray, tuple(bare.sides))
            label = localizer.classes.index(bare.locate(picture_from(path, read, bare.gray)).label)
        except ValueError:  # a broken image teaches nothing
            continue
        samples.append(Sample(str(path), path, label, "train"))
    if not samples:
        raise ValueError(f"--learn-from {folder}: none of its images can be read.")
    learn_missing(localizer, samples, localizer.views)
    localizer.to(localizer.device)
    if log:
        log(f"The foreground score was learned from {len(samples):,} images in {folder}, without labels.")
