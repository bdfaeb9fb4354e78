"""What a user saves, loads and calls: weights, classes, preprocessing, method, fusion and box rule, in one folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from pydantic import ValidationError

from hclnet.backbones import Backbone, Features
from hclnet.boxes import Evidence, find_objects, parse_rule, scale, to_levels
from hclnet.config import Inference, RunConfig, readable
from hclnet.data.images import OWN, check_image, enlarged, image_size, load_square, squash, ten_crops
from hclnet.device import autocast, resolve_device, resolve_precision
from hclnet.localizer.features import as_input, extract
from hclnet.localizer.request import as_classes, as_count, as_path_or_picture
from hclnet.maps.augmentation import View, mean_probabilities, merge, merge_maps, views
from hclnet.maps.foreground import ForegroundScore, not_learnt
from hclnet.maps.heatmap import branch_maps, heatmaps
from hclnet.methods import Method, Output
from hclnet.settings import check_inference
from hclnet.types import Gray, Localization, LocatedObject

_PREDICTIONS = 5  # shown besides the classes asked for


class Localizer:
    """A trained method on its backbone, ready to use.

    Args:
        backbone: with its weights.
        method: on it.
        classes: names, in the order of the logits.
        size: side of the square that images are resized to, pixels.
        inference: how maps become boxes.
        precision: auto, float32 or bfloat16: what it is used in.
        gray: how gray of more than 8 bits becomes 8 bits.
        foreground: of the last stage that the method reads, for the box rule `auto`; by the side that images had when
            it was learnt, pixels.

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
            module.to(self.device, memory_format=torch.channels_last).eval()
        self.foreground = {side: one.to(self.device) for side, one in self.foreground.items()}
        self._folded: Backbone | None = None  # made when it is used: a localizer is often only asked for its settings
        return self

    @property
    def views(self) -> tuple[View, ...]:
        """How an image is looked at; once, unless the settings say otherwise."""
        return views(self.inference, self.size)

    def features(self, images: UInt8[np.ndarray, "b s s 3"], mirrored: bool = False) -> Features:
        """What the method reads of images of side `size`, or of another that a view has."""
        if self._folded is None:
            self._folded = self.backbone.folded()
        x = as_input(images, self.backbone, self.device)
        return extract(self._folded, x.flip(3) if mirrored else x, self.method.in_features, self.dtype)

    def output(self, features: Features, classes: torch.Tensor | None = None) -> Output:
        """What the method makes of features, in the localizer's precision."""
        with autocast(self.device, self.dtype):
            return self.method(features, classes)

    def foreground_of(
        self, features: Sequence[Features], seen: Sequence[View]
    ) -> list[Float32[np.ndarray, "gh gw"]] | None:
        """The foreground score of each image, by cell of the features of its looks; None if it was not learnt at their
        sizes.

        Features change with the size of what is seen, so that what was learnt at one size says nothing at another:
        see `check_sizes`.
        """
        if {view.size for view in seen} - set(self.foreground):
            return None
        looks = [self.foreground[view.size](of[self.method.in_features[-1]]) for view, of in zip(seen, features)]
        return list(merge_maps(looks, seen).cpu().numpy())

    def check_sizes(self, settings: Inference | None = None) -> None:
        """Whether the box rule has what it needs at the sizes that are looked at.

        The rule `auto` needs a foreground score, which is learnt at each size for itself. A localizer without any, of
        before there was such a thing or of the packaged classifier, never needs it.

        Args:
            settings: of maps and boxes; the localizer's own by default.

        Raises:
            ValueError: it lacks that of a size; the message says how to add it.
        """
        settings = settings or self.inference
        if "foreground" not in parse_rule(settings.box).needs or not self.foreground:
            return
        sides = {scale: views(settings.model_copy(update={"scales": (scale,)}), self.size) for scale in settings.scales}
        lacking = {scale: seen[0].size for scale, seen in sides.items() if seen[0].size not in self.foreground}
        if lacking:
            raise ValueError(not_learnt(lacking, self.foreground, *(self.origin or ("DATA", "RUN"))))

    @property
    def fusion(self) -> str | None:
        """The fusion in use: the chosen one, or the method's own; None for a method with one branch."""
        return self.inference.fusion or self.method.fusion

    def with_inference(self, **changes: Any) -> Localizer:
        """The same weights with other settings of maps and boxes, such as `fusion="max"` or `box="fixed:0.2"`.

        Raises:
            ValueError: a setting is unknown or impossible.
        """
        check_inference(changes)
        try:
            inference = Inference(**{**self.inference.model_dump(), **changes})
        except ValidationError as error:
            raise ValueError(readable(error)) from None
        inference.check(self.classes)
        other = copy(self)
        other.inference = inference
        return other

    @torch.inference_mode()
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
                calibrated or set. The class that is no object is never boxed.
            max_objects: how many objects of each class there may be; see `hclnet.boxes.objects`.

        Raises:
            ValueError: the image can't be read, a class is unknown, an argument is of the wrong kind, or the box rule
                lacks what it needs at the sizes that images are looked at (`check_sizes`).
        """
        self.check_sizes()
        top, max_objects = as_count("top", top), as_count("max_objects", max_objects)
        classes, given = as_classes(classes, self.classes), as_path_or_picture(image, self.gray)
        path, sides = "", {view.size for view in self.views}
        if isinstance(given, str):
            path = given
            check_image(path)
            square, size = partial(load_square, path, gray=self.gray), image_size(path)
        else:
            square, size = partial(squash, given), given.size
        pixels = {side: square(side)[None] for side in sides}
        features = [self.features(pixels[view.size], view.mirrored) for view in self.views]
        if self.inference.crops == 10:
            probabilities = self.crop_probabilities(square(enlarged(self.size))[None])[0].cpu()
        else:
            probabilities = mean_probabilities([self.output(of) for of in features])[0].cpu()
        if classes is None:
            asked = self._to_box(probabilities, top)
        else:
            asked = torch.tensor([self.classes.index(name) for name in classes])
            asked = asked[probabilities[asked].argsort(descending=True)]
        fused, parts = self._maps(features, asked)
        (foreground,) = self.foreground_of(features, self.views) or [None]
        return self._localization(path, size, probabilities, asked, fused, parts, foreground, max_objects)

    @torch.inference_mode()
    def crop_probabilities(self, images: UInt8[np.ndarray, "b l l 3"]) -> Float[torch.Tensor, "b c"]:
        """The mean of the softmax over ten crops of side `size` (paper, section 4; reading 17).

        Args:
            images: squashed to `enlarged(size)`.
        """
        return mean_probabilities([self.output(self.features(crop)) for crop in ten_crops(images, self.size)])

    def _to_box(self, probabilities: torch.Tensor, top: int) -> torch.Tensor:
        """The `top` most probable classes that are objects; if the class that is none is the most probable, only it."""
        ranked = probabilities.argsort(descending=True, stable=True)
        if self.inference.background_class is not None:
            nothing = self.classes.index(self.inference.background_class)
            ranked = ranked[:1] if ranked[0] == nothing else ranked[ranked != nothing]
        return ranked[:top]

    def _maps(self, features: Sequence[Features], asked: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        rows = [{name: value.expand(len(asked), -1, -1, -1) for name, value in of.items()} for of in features]
        output = merge([self.output(of, asked.to(self.device)) for of in rows], self.views)
        fused = heatmaps(output, self.inference, self.method.fusion)
        return fused.cpu().numpy(), branch_maps(output).transpose(0, 1).cpu().numpy()

    def _localization(
        self,
        path: str,
        size: tuple[int, int],
        probabilities: torch.Tensor,
        asked: torch.Tensor,
        fused: np.ndarray,
        parts: np.ndarray,
        foreground: Float32[np.ndarray, "gh gw"] | None,
        max_objects: int,
    ) -> Localization:
        rule, side = parse_rule(self.inference.box), self.inference.map_size
        objects = []
        names = [self.classes[k] for k in asked]
        scores = probabilities[asked].tolist()
        for name, score, heatmap in zip(names, scores, fused):
            if name == self.inference.background_class or score < self.inference.min_score:
                continue
            found = find_objects(Evidence(to_levels(heatmap), foreground=foreground), rule, max_objects)
            for one in found:
                x0, y0, x1, y1 = scale(one.box[None].astype(np.float64), (side, side), size)[0].tolist()
                peak = one.peak / found[0].peak if len(found) > 1 else 1.0
                objects.append(LocatedObject(name, score * peak, (x0, y0, x1, y1), one.mask))
        ranked = probabilities.argsort(descending=True, stable=True)
        shown = {*ranked[:_PREDICTIONS].tolist(), *asked.tolist()}
        predictions = tuple((self.classes[k], float(probabilities[k])) for k in ranked.tolist() if k in shown)
        return Localization(
            path, size, tuple(objects), predictions, dict(zip(names, fused)), dict(zip(names, parts)), self.gray
        )

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
        """The localizer in a run folder, or in the folder itself.

        Raises:
            ValueError: there is none, its files are damaged or of another version, or the device can't be used.
        """
        from hclnet.localizer import files

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
