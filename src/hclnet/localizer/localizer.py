"""What a user saves, loads and calls: weights, classes, preprocessing, method, fusion and box rule, in one folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import torch

from hclnet.backbones import Backbone, check_sides
from hclnet.config import Inference, RunConfig
from hclnet.device import precision_name, resolve_device, resolve_precision
from hclnet.hub.address import is_address
from hclnet.localizer.features import inference_batch
from hclnet.localizer.hub import OnHub
from hclnet.localizer.network import Network, sides_of
from hclnet.maps.augmentation import View, views
from hclnet.maps.foreground import ForegroundScore, not_learned
from hclnet.methods import Method
from hclnet.settings import changed_inference
from hclnet.types import Gray, Localization
from hclnet_runtime.boxes import parse_rule
from hclnet_runtime.data.images import OWN
from hclnet_runtime.pictures import as_picture, decoded_pictures
from hclnet_runtime.request import as_classes, as_count, check_list


class Localizer(OnHub):
    """A trained method on its backbone, ready to use.

    Args:
        backbone: with its weights.
        method: on it.
        classes: names, in the order of the logits.
        size: side of the square that images are resized to, pixels.
        inference: how maps become boxes.
        precision: auto, float32 or bfloat16: what it is used in.
        gray: how gray of more than 8 bits becomes 8 bits.
        foreground: the foreground score for the box rule `auto`, by the side that images had when it was learned,
            pixels.

    Attributes:
        trained_precision: what it was trained in, float32 or bfloat16, whatever it is used in now; None: not known.
    """

    def __init__(
        self,
        backbone: Backbone,
        method: Method,
        classes: tuple[str, ...],
        size: int,
        inference: Inference,
        precision: str = "auto",
        foreground: dict[int, ForegroundScore] | None = None,
        gray: Gray = OWN,
    ) -> None:
        self.backbone = backbone
        self.method = method
        self.classes = classes
        self.size = size
        self.inference = inference
        self.precision = precision
        self.trained_precision: str | None = None
        self.foreground = dict(foreground or {})
        self.gray = gray
        self.origin: tuple[str, str] | None = None  # data and folder of the run that it was loaded from
        inference.check(classes)
        self.to("cpu")

    def to(self, device: str | torch.device) -> Localizer:
        """Move to a device (`auto`, `cpu`, `cuda` ...), into eval mode."""
        self.device = resolve_device(str(device))
        self.dtype = resolve_precision(self.precision, self.device)
        for module in (self.backbone, self.method):
            module.to(self.device).to(memory_format=torch.channels_last).eval()
        self.foreground = {side: one.to(self.device) for side, one in self.foreground.items()}
        self._folded: Backbone | None = None  # made when it is used: a localizer is often only asked for its settings
        return self

    @property
    def views(self) -> tuple[View, ...]:
        """The views of an image that the settings ask for; only the image as it is, unless they say otherwise."""
        return views(self.inference, self.size)

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides of the squares that an image is seen as, pixels."""
        return sides_of(self.inference, self.size)

    @property
    def batch(self) -> int:
        """How many images it computes at a time."""
        return inference_batch(self.device)

    @property
    def network(self) -> Network:
        """What computes, from squares to maps, with the weights and under the settings of now."""
        if self._folded is None:
            self._folded = self.backbone.folded()
        return Network(self._folded, self.method, self.foreground, self.inference, self.size, self.dtype)

    def check_sizes(self, settings: Inference | None = None) -> None:
        """Whether the box rule has what it needs at the sizes that images are seen at.

        The rule `auto` needs a foreground score, which is learned at each size for itself. A localizer without any, of
        before there was such a thing or of the packaged classifier, never needs it.

        Args:
            settings: of maps and boxes; the localizer's own by default.

        Raises:
            ValueError: it lacks that of a size, and the message says how to add it; or the backbone does not see images
                of a size.
        """
        settings = settings or self.inference
        check_sides(self.backbone.name, self.backbone.side, (view.size for view in views(settings, self.size)))
        if "foreground" not in parse_rule(settings.box).needs or not self.foreground:
            return
        sides = {scale: views(settings.model_copy(update={"scales": (scale,)}), self.size) for scale in settings.scales}
        lacking = {scale: seen[0].size for scale, seen in sides.items() if seen[0].size not in self.foreground}
        if lacking:
            raise ValueError(not_learned(lacking, self.foreground, *(self.origin or ("DATA", "RUN"))))

    @property
    def fusion(self) -> str | None:
        """The fusion in use: the chosen one, or the method's own; None for a method with one branch."""
        return self.inference.fusion or self.method.fusion

    @property
    def computes_in(self) -> str:
        """Its precision, as journals name it."""
        return precision_name(self.dtype)

    def with_inference(self, **changes: Any) -> Localizer:
        """The same weights with other settings of maps and boxes, such as `fusion="max"` or `box="fixed:0.2"`.

        Raises:
            ValueError: a setting is unknown or impossible.
        """
        inference = changed_inference(self.inference, changes)
        inference.check(self.classes)
        other = copy(self)
        other.inference = inference
        return other

    def locate(
        self,
        image: Any,
        top: int = 1,
        classes: Iterable[str] | None = None,
        max_objects: int = 1,
    ) -> Localization:
        """Classify an image and box the objects of each class; of an image that is predicted to show none, nothing.

        Args:
            image: the path of a file, a Pillow image, or an H x W x 3 uint8 array.
            top: box the `top` most probable classes.
            classes: box these instead, as far as they are there: see the setting `min_score`, 0 unless it was
                calibrated or set. The background class is never boxed.
            max_objects: how many objects of each class there may be; see `hclnet_runtime.boxes.objects`.

        Raises:
            ValueError: the image can't be read, a class is unknown, an argument is of the wrong kind, or the box rule
                lacks what it needs at the sizes that images are seen at (`check_sizes`).
        """
        from hclnet.localizer.locating import locate_pictures

        asked = self._asked(top, classes, max_objects)
        (found,) = locate_pictures(self, iter([as_picture(image, self.gray)]), *asked)
        return found

    def locate_batch(
        self,
        images: Any,
        top: int = 1,
        classes: Iterable[str] | None = None,
        max_objects: int = 1,
    ) -> list[Localization]:
        """Box the objects in each of several images: the same as `locate` one by one, and faster on a GPU.

        On a processor every box, heatmap and probability is the same as of `locate`, to the last bit. A GPU computes
        images in batches, where last bits depend on the batch.

        Args:
            images: a list or another iterable of images: paths of files, Pillow images, H x W x 3 uint8 arrays. A
                generator is taken a few images ahead. The results hold heatmaps: take a few hundred images at a
                time, or `hclnet.locate_files`.
            top: as for `locate`.
            classes: as for `locate`.
            max_objects: as for `locate`.

        Returns:
            One result for each image, in order.

        Raises:
            ValueError: as `locate`; where an image is the reason, the message has its place in the list, from 0.
        """
        from hclnet.localizer.locating import locate_pictures

        check_list(images)
        asked = self._asked(top, classes, max_objects)
        pictures = decoded_pictures(images, self.sides, self.gray, self.batch)
        return list(locate_pictures(self, pictures, *asked))

    def _asked(self, top: Any, classes: Any, max_objects: Any) -> tuple[int, tuple[str, ...] | None, int]:
        """What is asked of the localizer, checked."""
        self.check_sizes()
        return as_count("top", top), as_classes(classes, self.classes), as_count("max_objects", max_objects)

    def save(self, folder: str | Path) -> None:
        """Write `model.safetensors` and `localizer.json`; each is replaced whole or not at all."""
        from hclnet.localizer import files

        files.save(self, Path(folder))

    def fingerprint(self) -> str:
        """Equal for localizers that have the same weights and classes and see images alike; settings of maps and boxes
        are apart from it."""
        from hclnet.localizer import files

        return files.fingerprint(self)

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "auto") -> Localizer:
        """The localizer in a run folder, or in the folder itself; or that of `hf:user/name@revision` on the hub.

        Raises:
            ValueError: there is none, its files are damaged or of another version, or the device can't be used.
        """
        from hclnet.localizer import files

        if is_address(folder):
            return cls.from_pretrained(folder, device=device)
        return files.load(Path(folder), device)

    @classmethod
    def from_config(cls, config: RunConfig, classes: tuple[str, ...]) -> Localizer:
        """An untrained one, initialized from the configuration's seed.

        Raises:
            ValueError: the configuration asks for what does not exist.
        """
        from hclnet.localizer import build

        return build.from_config(config, classes)

    @classmethod
    def imagenet(cls, device: str | torch.device = "auto") -> Localizer:
        """The packaged EfficientNet-Lite0 ImageNet classifier with CAM: 1000 classes, no training.

        Raises:
            ValueError: the package with the weights is missing, or the device can't be used.
        """
        from hclnet.localizer import build

        return build.imagenet(device)

    @classmethod
    def from_classifier(
        cls,
        model: Any,
        class_names: Sequence[str],
        *,
        size: int | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        device: str | torch.device = "auto",
    ) -> Localizer:
        """A localizer of a classifier that is trained, without any training of its own.

        Its own head gives the class maps: global average pooling and a linear layer, with a layer norm in between or
        not (CAM), or a linear layer on a class token (coupled as in TS-CAM). Probabilities are the classifier's. It
        takes over the model, which it moves, and it can't be saved: make it anew from the model.

        Args:
            model: a `torch.nn.Module` of timm or torchvision, or another one that takes normalized images,
                b x 3 x h x w, and returns logits, b x c.
            class_names: in the order of the logits.
            size: side of the square that images are resized to, pixels; the model's own, or 224.
            mean: of the input, per channel, for images in 0..1; the model's own, or ImageNet's.
            std: the standard deviation, likewise.
            device: auto, cpu, cuda, cuda:N or mps.

        Raises:
            ValueError: it is no model, names and logits are not equally many, the images that it takes are not of three
                channels, or the head is another one; the message says so.
        """
        from hclnet.localizer import classifier

        return classifier.from_classifier(model, class_names, size=size, mean=mean, std=std, device=device)
