"""A localizer of a classifier that a person has trained, without any training: its own head gives the class maps.

What the head reads is found by running the model (`head.py`): features whose global mean it gets (CAM), or tokens whose
class token it gets (TS-CAM's coupling). What is found is used only if it gives the logits that the model itself gives.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from hclnet.backbones import ATTENTION, CLASS_TOKEN, Backbone, Features, StageInfo
from hclnet.backbones.anatomy import attention_rows
from hclnet.backbones.stages import FeatureHook
from hclnet.backbones.timm_models import fitting
from hclnet.config import Inference, Strict
from hclnet.device import resolve_device
from hclnet.localizer.head import HeadSource, look, refusal, same
from hclnet.localizer.localizer import Localizer
from hclnet.methods import Method, Output
from hclnet.methods.cam import CAM, CAMOptions
from hclnet.methods.ts_cam import attention_map, coupled
from hclnet_runtime.request import as_count

_STAGE = "features"
_PATCHES = (14, 16, 32)  # sides that transformers have, pixels
_SIDE = 224  # of images, pixels, where the model does not say another one


class _Own(Strict):
    """A head that is there has no options."""


class ClassToken(Method):
    """The class token's own linear head on the patches, times the class token's attention to them (TS-CAM)."""

    name = "class_token"
    paper = (
        "Gao et al., TS-CAM: Token Semantic Coupled Attention Map for Weakly Supervised Object Localization, ICCV 2021"
    )
    Options = _Own
    needs = (ATTENTION, CLASS_TOKEN)

    def __init__(self, backbone: Backbone, classes: int, options: Strict) -> None:
        super().__init__(backbone, classes, options)
        self.in_features = (_STAGE, ATTENTION, CLASS_TOKEN)
        self.classifier = nn.Linear(backbone.info[_STAGE].channels, classes)

    def forward(self, features: Features, classes: Int64[Tensor, "b"] | None = None) -> Output:
        patches, attention, token = (features[name] for name in self.in_features)
        logits: Tensor = self.classifier(token.flatten(1)).to(self.classifier.weight.dtype)
        asked = logits.argmax(1) if classes is None else classes
        maps = coupled(attention_map(attention), patches, self.classifier.weight, self.classifier.bias)
        return Output(logits, (maps,), asked, {"A": logits})


class ClassifierStages(nn.Module):
    """A whole classifier whose features are what its head reads.

    Args:
        model: the classifier.
        found: what its head reads.
        step: images are resized to a multiple of this, pixels.
    """

    def __init__(self, model: nn.Module, found: HeadSource, step: int) -> None:
        super().__init__()
        self.model, self.found, self.step = model, found, step

    def walk(self, images: Float[Tensor, "b 3 h w"], wanted: Collection[str], change: FeatureHook | None) -> Features:
        """Features of the wanted stages, as `hclnet.backbones.Backbone.forward` has them."""
        found, seen, rows = self.found, list[Tensor](), list[Tensor]()
        images = fitting(images, self.step)
        handle = self.model.get_submodule(found.module).register_forward_hook(lambda _m, _i, out: seen.append(out))
        try:
            if found.layout == "class_token":
                with attention_rows(self.model, found.prefix) as rows:
                    self.model(images)
            else:
                self.model(images)
        finally:
            handle.remove()
        maps = _as_maps(seen[-1], found)
        if found.norm is not None:
            maps = _normed(maps, found.norm)
        features = {_STAGE: maps}
        if found.layout == "class_token":
            features[CLASS_TOKEN] = seen[-1][:, 0, :, None, None]
            features[ATTENTION] = torch.stack(rows, 1).unflatten(2, maps.shape[2:])
        return features


def _as_maps(x: Tensor, found: HeadSource) -> Float[Tensor, "b d h w"]:
    if found.layout == "maps":
        return x
    if found.layout == "channels_last":
        return x.permute(0, 3, 1, 2)
    side = round((x.shape[1] - found.prefix) ** 0.5)
    patches: Tensor = x[:, found.prefix :].transpose(1, 2).unflatten(2, (side, side))
    return patches


def _normed(maps: Float[Tensor, "b d h w"], norm: nn.LayerNorm) -> Float[Tensor, "b d h w"]:
    """Maps whose global mean is the norm of the maps' global mean: the norm is linear once it knows that mean."""
    mean = maps.mean((2, 3), keepdim=True)
    centered = maps - mean.mean(1, keepdim=True)
    scale = (mean.var(1, keepdim=True, correction=0) + norm.eps).rsqrt()
    weight = torch.ones_like(mean[0, :, 0, 0]) if norm.weight is None else norm.weight
    bias = torch.zeros_like(weight) if norm.bias is None else norm.bias
    normed: Tensor = centered * scale * weight[:, None, None] + bias[:, None, None]
    return normed


def from_classifier(
    model: Any,
    class_names: Sequence[str],
    *,
    size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    name: str | None = None,
    device: str | torch.device = "auto",
) -> Localizer:
    """A localizer of a trained classifier; see `Localizer.from_classifier`."""
    if not isinstance(model, nn.Module):
        raise ValueError(_no_model(model))
    found_device = resolve_device(str(device))
    classes = () if isinstance(class_names, str) else tuple(class_names)
    if not classes or len(set(classes)) != len(classes):
        raise ValueError("Each class needs a name of its own: give a list, in the order of the classifier's outputs.")
    config = getattr(model, "pretrained_cfg", None) or {}
    title = name or type(model).__name__
    size = as_count("size", (config["input_size"][-1] if config else _SIDE) if size is None else size)
    model = model.to("cpu").float().eval().requires_grad_(False)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(False), torch.no_grad():
        linear, found = look(model, images, title, len(classes))
        step, side = _sizes(model, size)
        stages = ClassifierStages(model, found, step)
        maps = stages.walk(images, (), None)
        channels, grid = maps[_STAGE].shape[1], maps[_STAGE].shape[2]
        stride = max(1, round(size / grid))
        extras = {}
        if found.layout == "class_token":
            extras = {ATTENTION: StageInfo(maps[ATTENTION].shape[1], stride), CLASS_TOKEN: StageInfo(channels, 0)}
        backbone = Backbone(
            title, stages, {_STAGE: StageInfo(channels, stride)}, _STAGE, channels,
            _three("mean", config.get("mean", IMAGENET_DEFAULT_MEAN) if mean is None else mean),
            _three("std", config.get("std", IMAGENET_DEFAULT_STD) if std is None else std), model,
            extras=extras, side=side, changeable=False,
        )  # fmt: skip
        method = _head(backbone, linear, len(classes))
        if not same(method.eval()(maps).logits, model(images)):
            raise ValueError(refusal(title, "what its head reads could not be found"))
    return Localizer(backbone, method, classes, size, Inference()).to(found_device)


def _head(backbone: Backbone, linear: nn.Module, classes: int) -> Method:
    method: Method
    layer: Any
    if backbone.extras:
        method = ClassToken(backbone, classes, _Own())
        layer = method.classifier
    else:
        method = CAM(backbone, classes, CAMOptions(convs=0))
        layer = method.branch.classifier
    weight: Any = linear.weight
    layer.weight.copy_(weight.flatten(1).view_as(layer.weight))
    if linear.bias is None:
        layer.bias.zero_()
    else:
        layer.bias.copy_(linear.bias)
    return method


def _sizes(model: nn.Module, size: int) -> tuple[int, int | None]:
    """What the sides of images have to be a multiple of, and the only side where it takes no other than `size`."""
    for step in (1, *_PATCHES):
        if size % step == 0 and _sees(model, size + step):
            return step, None
    return 1, size


def _sees(model: nn.Module, side: int) -> bool:
    try:
        model(torch.zeros(1, 3, side, side))
        return True
    except Exception:  # a model refuses a size in any way
        return False


def _three(what: str, values: Sequence[float]) -> tuple[float, float, float]:
    try:
        red, green, blue = (float(value) for value in values)
    except ValueError:
        raise ValueError(f"{what}={values}: it is three numbers, of red, green and blue.") from None
    return red, green, blue


def _no_model(given: object) -> str:
    if isinstance(given, str | os.PathLike):
        return (
            f"Localizer.from_classifier takes a model, not the name or the file {given}: load it, as in "
            f"timm.create_model('resnet50', checkpoint_path=FILE, num_classes=N), and give what that returns; or call "
            f"hclnet locate --classifier timm:NAME --weights FILE --classes-file NAMES."
        )
    return (
        f"Localizer.from_classifier takes a model, a torch.nn.Module, not a {type(given).__name__}. Where that holds a "
        f"model's weights, make the model and load them into it with load_state_dict."
    )
