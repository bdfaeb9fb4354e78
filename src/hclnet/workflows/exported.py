"""An exported model in place of a run, for what only locates."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from hclnet.config import Inference
from hclnet.hub.address import is_address
from hclnet.localizer.localizer import Localizer
from hclnet.settings import changed_inference
from hclnet.types import Localization
from hclnet_runtime import Model, load
from hclnet_runtime.text import shown

_ENDINGS = (".onnx", ".xml")


class ExportedModel:
    """A model of the runtime that answers as a `Localizer` does.

    Attributes:
        classes: names, in the order of the probabilities.
        inference: settings of maps and boxes.
        gray: how gray of more than 8 bits becomes 8 bits.
        sides: of the squares that an image is seen as, pixels.
        batch: how many images it computes at a time.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.gray, self.sides, self.batch = model.gray, model.sides, model.batch
        self.classes, self.inference = model.classes, Inference(**model.inference)

    def __reduce__(self) -> tuple[Any, ...]:
        """It is opened again where it comes out: the file has to be there too."""
        return _opened_again, (os.path.abspath(self._model.path), self.inference.model_dump())  # noqa: PTH100

    @property
    def fusion(self) -> str | None:
        """The fusion in the network."""
        return self.inference.fusion

    @property
    def computes_in(self) -> str:
        """The precision of the file, and the library."""
        return f"{self._model.about['precision']} by {self._model.engine}"

    def fingerprint(self) -> str:
        """That of the localizer that was exported."""
        return str(self._model.about["fingerprint"])

    def with_inference(self, **changes: Any) -> ExportedModel:
        """The same network with other settings of boxes.

        Raises:
            ValueError: a setting is unknown or impossible, or it is settled in the network.
        """
        before, now = self.inference.model_dump(), changed_inference(self.inference, changes).model_dump()
        return ExportedModel(self._model.with_inference(**{name: of for name, of in now.items() if of != before[name]}))

    def check_sizes(self) -> None:
        """The file has what its box rule needs: whoever exported it has checked that."""

    def locate(
        self, image: Any, top: int = 1, classes: Iterable[str] | None = None, max_objects: int = 1
    ) -> Localization:
        """As `Localizer.locate`."""
        return self._model.locate(image, top, classes, max_objects)

    def locate_batch(
        self, images: Any, top: int = 1, classes: Iterable[str] | None = None, max_objects: int = 1
    ) -> list[Localization]:
        """As `Localizer.locate_batch`."""
        return self._model.locate_batch(images, top, classes, max_objects)


def _opened_again(path: str, inference: dict[str, Any]) -> ExportedModel:
    return ExportedModel(load(path)).with_inference(**inference)


def is_exported(model: str | Path) -> bool:
    """Whether it is an exported model by its name."""
    return os.fspath(model).lower().endswith(_ENDINGS)


def open_model(model: str | Path | None, device: str | torch.device) -> Localizer | ExportedModel:
    """What locates: a run, an exported model, or the packaged classifier.

    Args:
        model: a run folder, `hf:user/name` on the hub, a file that `hclnet export` wrote, or None.
        device: an exported model computes on the processor.

    Raises:
        ValueError: there is no such model, or the device can't be used.
    """
    if model is None:
        return Localizer.imagenet(device)
    if is_address(model) or not is_exported(model) or Path(model).is_dir():
        return Localizer.load(model, device)
    if str(device) not in ("auto", "cpu"):
        raise ValueError(
            f"{shown(model)} is an exported model, which computes on the processor: {device} can't be asked for."
        )
    return ExportedModel(load(model))
