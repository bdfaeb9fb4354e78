"""A localizer of a classifier that a person has trained, without any training: its own head gives the class maps.

What the head reads is found by running the model: the last linear layer, and the features whose global mean it gets,
with a norm of that mean in between or not (CAM); or the tokens whose class token it gets (TS-CAM's coupling). What is
found is used only if it gives the logits that the model itself gives.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

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
from hclnet.localizer.localizer import Localizer
from hclnet.methods import Method, Output
from hclnet.methods.cam import CAM, CAMOptions
from hclnet.methods.ts_cam import attention_map, coupled
from hclnet_runtime.request import as_count

_STAGE = "features"
_CLOSE = 1e-3  # of the standard deviation
_PATCHES = (14, 16, 32)  # sides that transformers have, pixels
_SIDE = 224  # of images, pixels, where the model does not say another one

Layout = Literal["maps", "channels_last", "tokens", "class_token"]


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


@dataclass(frozen=True, slots=True)
class _Found:
    """What the linear layer of a head reads.

    Attributes:
        module: that puts it out.
        layout: of what it puts out.
        norm: of the global mean, before the linear layer; None: there is none.
        prefix: tokens before those of the patches.
    """

    module: str
    layout: Layout
    norm: nn.LayerNorm | None
    prefix: int = 0


class ClassifierStages(nn.Module):
    """A whole classifier whose features are what its head reads.

    Args:
        model: the classifier.
        found: what its head reads.
        step: images are resized to a multiple of this, pixels.
    """

    def __init__(self, model: nn.Module, found: _Found, step: int) -> None:
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


def _as_maps(x: Tensor, found: _Found) -> Float[Tensor, "b d h w"]:
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
    model: nn.Module,
    class_names: Sequence[str],
    *,
    size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    name: str | None = None,
    device: str | torch.device = "auto",
) -> Localizer:
    """A localizer of a trained classifier; see `Localizer.from_classifier`."""
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
        linear, found = _look(model, images, title, len(classes))
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
        if not _same(method.eval()(maps).logits, model(images)):
            raise ValueError(_refusal(title, "what its head reads could not be found"))
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


def _look(model: nn.Module, images: Tensor, title: str, classes: int) -> tuple[nn.Module, _Found]:
    """The linear layer that gives the logits, and what it reads."""
    calls: list[tuple[str, nn.Module, Tensor, Tensor]] = []

    def see(name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if inputs and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
            calls.append((name, module, inputs[0], output))

    def hook(name: str) -> Any:
        return lambda module, inputs, output: see(name, module, inputs, output)

    handles = [module.register_forward_hook(hook(name)) for name, module in model.named_modules() if name]
    try:
        logits = model(images)
    except Exception as error:  # a model refuses a size in any way
        size, reason = images.shape[2], " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ValueError(f"{title} does not take images of {size} px: {reason}. Name a size that it takes.") from None
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(logits, Tensor) or logits.dim() != 2:
        raise ValueError(_refusal(title, "it gives no logits, a row for each image"))
    if logits.shape[1] != classes:
        raise ValueError(f"{title} tells {logits.shape[1]} classes apart, and {classes} names are given.")
    for k in range(len(calls) - 1, -1, -1):
        _, module, read, output = calls[k]
        if isinstance(module, nn.Linear | nn.Conv2d) and output.flatten(1).shape == logits.shape:
            if not _same(output.flatten(1), logits) or read.flatten(1).shape[1] != module.weight.flatten(1).shape[1]:
                break
            return module, _source(model, images, calls[:k], read.flatten(1), title)
    raise ValueError(_refusal(title, "its logits are not those of a linear layer"))


def _source(
    model: nn.Module,
    images: Tensor,
    calls: Sequence[tuple[str, nn.Module, Tensor, Tensor]],
    read: Float[Tensor, "b d"],
    title: str,
) -> _Found:
    norm: nn.LayerNorm | None = None
    last = {name: k for k, (name, *_) in enumerate(calls)}
    for k in range(len(calls) - 1, -1, -1):
        name, module, before, output = calls[k]
        if last[name] != k:
            continue  # it runs again later, and a hook keeps the last time
        layout, prefix = _layout(output, read)
        if layout is not None:
            if layout == "class_token":
                prefix = int(getattr(model, "num_prefix_tokens", 1))
            found = _Found(name, layout, norm, prefix)
            if layout != "class_token" or _has_attention(model, images, prefix, output.shape[1]):
                return found
            raise ValueError(
                _refusal(title, "its head reads a class token, and its attention can't be had")
                + " Of torchvision's, hclnet reads the weights into timm's: --classifier timm:NAME --weights FILE."
                * (not hasattr(model, "pretrained_cfg"))
            )
        small = output.dim() == 2 or output.shape[2:].numel() == 1
        if norm is None and isinstance(module, nn.LayerNorm) and small and _same(output.flatten(1), read):
            norm, read = module, before.flatten(1)
    raise ValueError(_refusal(title, "its head is more than global pooling and a linear layer"))


def _layout(output: Tensor, read: Float[Tensor, "b d"]) -> tuple[Layout | None, int]:
    """How a module's output has what a linear layer reads, None where it does not; and the tokens before the patches'
    that it leaves out."""
    batch, channels = read.shape
    if output.dim() == 4 and output.shape[0] == batch:
        if output.shape[1] == channels and output.shape[2:].numel() > 1 and _same(output.mean((2, 3)), read):
            return "maps", 0
        if output.shape[3] == channels and output.shape[1:3].numel() > 1 and _same(output.mean((1, 2)), read):
            return "channels_last", 0
    if output.dim() == 3 and output.shape[0] == batch and output.shape[2] == channels:
        if _same(output[:, 0], read):
            return "class_token", 0
        for prefix in range(min(8, output.shape[1])):
            if int((output.shape[1] - prefix) ** 0.5) ** 2 == output.shape[1] - prefix and _same(
                output[:, prefix:].mean(1), read
            ):
                return "tokens", prefix
    return None, 0


def _has_attention(model: nn.Module, images: Tensor, prefix: int, tokens: int) -> bool:
    """Whether each block tells the class token's attention to each patch, once."""
    blocks = getattr(model, "blocks", None)
    if not isinstance(blocks, Iterable):
        return False
    with attention_rows(model, prefix) as rows:
        model(images)
    return len(rows) == len(list(blocks)) and all(row.shape[1] == tokens - prefix for row in rows)


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


def _same(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    return bool((one - other).abs().max() <= _CLOSE * other.std().clamp_min(1e-6))


def _three(what: str, values: Sequence[float]) -> tuple[float, float, float]:
    try:
        red, green, blue = (float(value) for value in values)
    except ValueError:
        raise ValueError(f"{what}={values}: it is three numbers, of red, green and blue.") from None
    return red, green, blue


def _refusal(title: str, why: str) -> str:
    return (
        f"{title} can't be located with as it is: {why}. Class maps need global average pooling, or a class token, and "
        f"then a linear layer."
    )
