"""Step 2 of the flow: a batch of images -> features of named stages.

A backbone is an `Architecture` in `BACKBONES`, or behind an entry point in the group `hclnet.backbones`. Those of ours
are a table (`named.py`); `timm:NAME` is any model of timm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path

import torch
from torch import Tensor

from hclnet.backbones import packaged, timm_models, timm_weights
from hclnet.backbones.anatomy import anatomy
from hclnet.backbones.backbone import ATTENTION, CLASS_TOKEN, Backbone, Features, StageInfo
from hclnet.backbones.named import NAMED, Cut
from hclnet.backbones.weights import Misfit, fit, read_tensors

__all__ = [
    "ATTENTION",
    "BACKBONES",
    "CLASS_TOKEN",
    "Architecture",
    "Backbone",
    "Cut",
    "Features",
    "StageInfo",
    "backbone_names",
    "build_backbone",
    "check_sides",
    "choose_stride",
    "from_cut",
    "get_architecture",
    "skeleton",
]

_GROUP = "hclnet.backbones"
_Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Architecture:
    """How to build a backbone, and what it takes.

    Attributes:
        build: from an output stride, with random weights.
        output_strides: that it can have.
        default_stride: its own one.
        imagenet: its weights, unless a file is named.
        convert: the tensors of a file under the names of the model that the backbone is made of.
        side: the only side that images can have, pixels; None: any.
    """

    build: Callable[[int], Backbone]
    output_strides: tuple[int, ...]
    default_stride: int
    imagenet: Callable[[], _Tensors]
    convert: Callable[[_Tensors], _Tensors] | None = None
    side: int | None = None


def from_cut(name: str, cut: Cut) -> Architecture:
    """The backbone of this name that is a model of timm, cut into stages."""

    def imagenet() -> _Tensors:
        if name in packaged.MEGABYTES:
            return read_tensors(packaged.packaged_weights(name))
        return timm_weights.fetched(cut.model, name, address=cut.address)

    return Architecture(partial(cut.build, name), cut.output_strides, cut.stride, imagenet)


BACKBONES: dict[str, Architecture] = {name: from_cut(name, cut) for name, cut in NAMED.items()}


def backbone_names() -> list[str]:
    """The names of all backbones besides timm's: ours first, then those of other packages."""
    return [*BACKBONES, *(entry.name for entry in entry_points(group=_GROUP) if entry.name not in BACKBONES)]


def get_architecture(name: str) -> Architecture:
    """A backbone by its name; of `timm:NAME`, any model of timm.

    Raises:
        ValueError: there is no such backbone, or the model can't be one.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    if name.startswith(timm_models.PREFIX):
        bare = name.removeprefix(timm_models.PREFIX)
        found = anatomy(bare)
        return Architecture(
            partial(timm_models.build, bare),
            found.strides,
            found.stride,
            partial(timm_weights.fetched, bare, name),
            partial(timm_weights.converted, found),
            found.side,
        )
    for entry in entry_points(group=_GROUP):
        if entry.name == name:
            architecture = entry.load()
            if not isinstance(architecture, Architecture):
                raise ValueError(f"The package of the backbone {name} is broken: {entry.value} is no Architecture.")
            return architecture
    near = f" Do you mean {timm_models.PREFIX}{name}?" if timm_models.is_model(name) else ""
    raise ValueError(
        f"There is no backbone {name!r}; there are {', '.join(backbone_names())}, and timm:NAME for any model of timm "
        f"that `hclnet backbones` lists.{near}"
    )


def choose_stride(name: str, output_stride: int | None = None) -> int:
    """The output stride asked for, or the backbone's own for None.

    Raises:
        ValueError: there is no such backbone, or it can't have this output stride.
    """
    backbone = get_architecture(name)
    if output_stride is None:
        return backbone.default_stride
    if output_stride not in backbone.output_strides:
        possible = ", ".join(map(str, backbone.output_strides))
        raise ValueError(f"{name} can't have output stride {output_stride}; it can have {possible}.")
    return output_stride


def check_sides(name: str, side: int | None, sides: Iterable[int]) -> None:
    """Raises:
    ValueError: a backbone that takes images of one side only is to see those of another.
    """
    if side is not None and (others := sorted(set(sides) - {side})):
        raise ValueError(
            f"{name} takes images of {side} px only, not of {', '.join(map(str, others))}: give --size {side}, and no "
            f"other scales."
        )


@cache
def skeleton(name: str, output_stride: int, stages: int) -> Backbone:
    """A backbone without numbers, to see what can be done with it; not to be changed.

    Raises:
        ValueError: as `build_backbone`, but for the weights.
    """
    with torch.device("meta"):
        return get_architecture(name).build(choose_stride(name, output_stride)).combine_levels(stages)


def build_backbone(name: str, output_stride: int | None = None, weights: str = "auto", stages: int = 1) -> Backbone:
    """A backbone in eval mode with weights loaded.

    Args:
        name: a key of `BACKBONES`, one of another package, or `timm:` and a name of timm's.
        output_stride: pixels of the image per feature of the last stage; None: the backbone's own.
        weights: `auto` for those that belong to the name, most often from ImageNet; `none` for random ones; or a file:
            safetensors, or torch's format without pickled objects, with the names of timm, torchvision, the model's
            authors or the backbone itself.
        stages: how many of the last stages make up the last one's features; see `Backbone.combine_levels`.

    Raises:
        ValueError: unknown name, impossible stride, or weights that are missing or do not fit. Random weights come
            only where they were asked for.
    """
    stride = choose_stride(name, output_stride)
    architecture = get_architecture(name)
    backbone = architecture.build(stride)
    if weights == "auto":
        backbone.load_state_dict(_fitted(architecture, backbone, architecture.imagenet()))
    elif weights != "none":
        _load_file(architecture, backbone, Path(weights).expanduser())
    return backbone.combine_levels(stages).eval()


def _fitted(architecture: Architecture, backbone: Backbone, tensors: _Tensors) -> _Tensors:
    """The backbone's state dict from tensors, as they are or converted.

    Raises:
        Misfit: they are not those of the backbone.
    """
    try:
        return fit(backbone, tensors)
    except Misfit:
        if architecture.convert is None:
            raise
        return fit(backbone, architecture.convert(tensors))


def _load_file(architecture: Architecture, backbone: Backbone, path: Path) -> None:
    tensors = read_tensors(path)
    try:
        backbone.load_state_dict(_fitted(architecture, backbone, tensors))
    except Misfit as misfit:
        if other := _recognize(tensors):
            raise ValueError(
                f"{path} holds the weights of {other}, not of {backbone.name}. Name another file, or --backbone "
                f"{other}."
            ) from None
        raise ValueError(f"{path} does not hold the weights of {backbone.name}: {misfit}.") from None


def _recognize(tensors: _Tensors) -> str | None:
    """The backbone that tensors fit, if there is one."""
    for name, architecture in BACKBONES.items():
        try:
            fit(skeleton(name, architecture.default_stride, 1), tensors)
            return name
        except Misfit:
            pass
    return None
