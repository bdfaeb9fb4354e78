"""What a model of timm can do, found by running it without weights: its stages, its sizes, its attention.

The runs are on torch's meta device, which has shapes and no numbers, so that a model of any size takes a second and no
memory. Few models need numbers to run; they run as they are.
"""

from __future__ import annotations

import difflib
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import timm
import torch
from torch import Tensor, nn

from hclnet.backbones.stages import StageInfo

OUTPUT_STRIDES = (8, 16, 32)  # that a person may ask for
_WANTED = 16  # output stride, where a family has it
_LEVELS = 4  # of a transformer of one resolution: after each quarter of its blocks
_SIZES: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
_LEAN = {"vgg": {"mlp_ratio": 1 / 4096}}  # of a classifier's hidden layers, by module: nine tenths of the weights


class Unusable(ValueError):
    """A model can't be a backbone; the text says why."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What a model is found to be.

    Attributes:
        name: timm's.
        stride: of the output.
        strides: that the output can have.
        options: for `timm.create_model`.
        stages: what `forward_intermediates` calls each stage, and its channels and stride, by our name.
        modules: of the model, that put out what each stage ends with.
        multiple: images are resized to a multiple of this, pixels; 1: they need not be.
        side: the only side that images can have, pixels; None: any.
        normed: whether `forward_intermediates` normalizes.
        class_token: whether there is one to be had, the first of the prefix tokens.
        blocks: whose attention can be had; 0: of none.
        changeable: whether what stages put out is maps, which can be changed while walking.
    """

    name: str
    stride: int
    strides: tuple[int, ...]
    options: dict[str, Any]
    stages: dict[str, tuple[int, StageInfo]]
    modules: dict[str, str]
    multiple: int
    side: int | None
    normed: bool
    class_token: bool
    blocks: int
    changeable: bool

    @property
    def last(self) -> str:
        """The last stage."""
        return list(self.stages)[-1]


@dataclass
class _Probe:
    """A model without weights, and what to call it with."""

    name: str
    model: nn.Module
    options: dict[str, Any]
    native: int
    normed: bool = True
    device: str = "meta"
    reductions: list[int] = field(default_factory=list)

    def shapes(self, side: int) -> list[tuple[int, int, int]]:
        """Channels, height and width of all that `forward_intermediates` gives of a square."""
        found = intermediates(self.model, torch.zeros(1, 3, side, side, device=self.device), None, self.normed)
        if not all(isinstance(x, Tensor) and x.dim() == 4 for x in found):
            raise Unusable("its features are not maps")
        return [(x.shape[1], x.shape[2], x.shape[3]) for x in found]

    def fits(self, side: int) -> bool:
        """Whether it takes squares of this side, with as many features as its strides say."""
        try:
            with _unheard():
                shapes = self.shapes(side)
        except Exception:  # a model can refuse a size in any way
            return False
        return _agree(shapes, side, self.reductions)


def _agree(shapes: Sequence[tuple[int, int, int]], side: int, strides: Sequence[int]) -> bool:
    """Whether features of an image have the strides, but for what convolutions without padding cut off."""
    return all(abs(h - side / stride) <= max(3, side / stride / 30) for (_, h, _), stride in zip(shapes, strides))


def intermediates(model: nn.Module, images: Tensor, indices: Sequence[int] | None, normed: bool, **more: Any) -> Any:
    """timm's features of the blocks or stages with these numbers; of all by default."""
    return model.forward_intermediates(  # type: ignore[operator] # torch says it might be a tensor
        images,
        indices=None if indices is None else list(indices),
        norm=normed,
        output_fmt="NCHW",
        intermediates_only=True,
        **more,
    )


@cache
def anatomy(name: str, output_stride: int | None = None) -> Anatomy:
    """What a model of timm is.

    Args:
        name: timm's, with or without the tag of its weights.
        output_stride: that it is to have; by default its own, or 16 where it has a larger one and can have 16.

    Raises:
        ValueError: there is no such model, it can't be a backbone, or it can't have this stride.
    """
    try:
        native = _native(name)
    except Unusable as error:
        raise ValueError(f"timm:{name} can't be a backbone: {error}.") from None
    own = native.stride
    if output_stride == own or (output_stride is None and own <= _WANTED):
        return native
    wanted = output_stride or _WANTED
    if wanted in native.strides:
        return _restrided(native, wanted)
    if output_stride is None:
        return native
    possible = ", ".join(map(str, native.strides))
    raise ValueError(f"timm:{name} can't have output stride {output_stride}; it can have {possible}.")


def skeleton(found: Anatomy) -> nn.Module:
    """The model without numbers."""
    return _made(found.name, "meta", found.options)


def _made(name: str, device: str, options: dict[str, Any]) -> nn.Module:
    with torch.device(device), _unheard():
        model: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **options)
    return model.eval()


@contextmanager
def _unheard() -> Iterator[None]:
    """Without timm's warnings of old names and of numbers that the meta device does not have, and without gradients."""
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")
        yield


def check_name(name: str) -> None:
    """Raises:
    ValueError: timm has no such model; the message has names like it.
    """
    bare, dot, tag = name.partition(".")
    known = timm.list_models()
    if not timm.is_model(bare):
        near = difflib.get_close_matches(bare, known, 3, 0.6)
        meant = f" Do you mean {' or '.join(f'timm:{one}' for one in near)}?" if near else ""
        raise ValueError(
            f"timm has no model {bare!r}.{meant} `hclnet backbones` lists them; `hclnet backbones 'vit*'` some."
        )
    tags = [one.partition(".")[2] for one in timm.list_pretrained(f"{bare}.*")]
    if dot and tag not in tags:
        there = f"there are {', '.join(tags)}" if tags else "there are none"
        raise ValueError(f"timm has no weights {tag!r} of {bare}; {there}.")


@cache
def _native(name: str) -> Anatomy:
    check_name(name)
    probe = _probe(name, {})
    shapes, info = _shapes(probe)
    reductions = probe.reductions
    plain = len(set(reductions)) == 1
    if plain:
        count = len(shapes)
        chosen = sorted({max(0, round(count * k / _LEVELS) - 1) for k in range(1, _LEVELS + 1)})
        indices = {f"block{k + 1}": k for k in chosen}
    else:  # of two with one name, the later one
        indices = {f"stage{round(math.log2(stride))}": k for k, stride in enumerate(reductions)}
    stages = {name: (k, StageInfo(shapes[k][0], reductions[k])) for name, k in indices.items()}
    multiple, side = _sizes(probe)
    token, blocks = _tokens(probe, side or probe.native)
    modules = {name: info[k]["module"] if k < len(info) else "" for name, k in indices.items()}
    changeable = not plain and _changeable(probe, {name: (k, modules[name]) for name, k in indices.items()})
    own = reductions[-1]
    strides = (own,) if plain else tuple(sorted({own, *_possible(name, probe.options, own)}))
    return Anatomy(
        name, own, strides, probe.options, stages, modules, multiple, side, probe.normed, token, blocks, changeable
    )


def _probe(name: str, more: dict[str, Any]) -> _Probe:
    config = timm.get_pretrained_cfg(name, allow_unregistered=False)
    channels, *sides = config.input_size if config else (3, 224, 224)
    if channels != 3:
        raise Unusable(f"it takes images of {channels} channels, not of 3")
    module = timm.models._registry._model_to_module[name.partition(".")[0]]
    for options in _SIZES:
        options = {**options, **_LEAN.get(module, {}), **more}
        try:
            model = _made(name, "meta", options)
            break
        except TypeError as error:  # it does not know one of them
            reason = error
    else:
        raise Unusable(f"timm does not build it ({reason})")
    if not hasattr(model, "forward_intermediates"):
        raise Unusable("timm gives no features of its stages")
    return _Probe(name, model, options, sides[-1])


def _shapes(probe: _Probe) -> tuple[list[tuple[int, int, int]], list[dict[str, Any]]]:
    """What it gives at its own size, after finding out how to call it, and what timm says about it."""
    for probe.device, probe.normed in (("meta", True), ("meta", False), ("cpu", True), ("cpu", False)):
        if probe.device == "cpu" and next(probe.model.parameters()).is_meta:
            probe.model = _made(probe.name, "cpu", probe.options)
        try:
            with _unheard():
                shapes = probe.shapes(probe.native)
            break
        except Unusable:
            raise
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    else:
        raise Unusable(f"timm gives no features of it ({reason})")
    told = getattr(probe.model, "feature_info", [])
    info = list(getattr(told, "info", told))
    if any(h < 2 or w < 2 for _, h, w in shapes):
        raise Unusable("its features have no place in the image")
    told_strides = [int(one["reduction"]) for one in info]
    if len(info) == len(shapes) and _agree(shapes, probe.native, told_strides):
        probe.reductions = told_strides
    else:
        probe.reductions = [round(probe.native / h) for _, h, _ in shapes]
    if not probe.fits(probe.native):
        raise Unusable("its features do not lie where its strides say")
    return shapes, info


def _sizes(probe: _Probe) -> tuple[int, int | None]:
    """What sides of images have to be a multiple of, and the only one that there is, if there is only one."""
    grid, native = max(probe.reductions), probe.native
    if not probe.fits(2 * native):
        return 1, native
    if probe.fits(native + 1) and probe.fits(native + grid // 2) and probe.fits(native + grid):
        return 1, None
    step = grid
    while step < native:
        if native % step == 0 and probe.fits(native + step):
            return step, None
        step *= 2
    return native, None


def _tokens(probe: _Probe, side: int) -> tuple[bool, int]:
    """Whether there is a class token to be had, and the number of blocks whose attention can be had."""
    prefix = getattr(probe.model, "num_prefix_tokens", 0)
    if not prefix or not isinstance(getattr(probe.model, "cls_token", None), nn.Parameter):
        return False, 0
    image = torch.zeros(1, 3, side, side, device=probe.device)
    try:
        with _unheard(), attention_rows(probe.model, prefix) as rows:
            found = intermediates(probe.model, image, None, probe.normed, return_prefix_tokens=True)
            maps, tokens = found[-1]
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return False, 0
    if tokens.shape[1] != prefix:
        return False, 0
    told = len(rows) == len(found) and all(row.shape[-1] == maps.shape[2] * maps.shape[3] for row in rows)
    return True, len(rows) if told else 0


@contextmanager
def attention_rows(model: nn.Module, prefix: int) -> Iterator[list[Tensor]]:
    """While it is entered, the attention of the class token to the patches, of each block that runs: b x patches.

    Fused attention never has the matrix, so that meanwhile it is off.
    """
    rows: list[Tensor] = []

    def see(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0].dim() == 4:  # b x heads x tokens x tokens
            rows.append(inputs[0][:, :, 0, prefix:].mean(1))

    found: list[Any] = [getattr(block, "attn", None) for block in getattr(model, "blocks", [])]
    heads = [head for head in found if isinstance(getattr(head, "attn_drop", None), nn.Module)]
    before = [getattr(head, "fused_attn", None) for head in heads]
    handles = [head.attn_drop.register_forward_pre_hook(see) for head in heads]
    for head in heads:
        if hasattr(head, "fused_attn"):
            head.fused_attn = False
    try:
        yield rows
    finally:
        for handle, head, fused in zip(handles, heads, before):
            handle.remove()
            if fused is not None:
                head.fused_attn = fused


def _changeable(probe: _Probe, ends: dict[str, tuple[int, str]]) -> bool:
    """Whether each stage ends with a module that runs once and puts out maps."""
    seen: dict[str, list[Any]] = {name: [] for name in ends}
    handles = []
    try:
        for name, (_, module) in ends.items():
            part = probe.model.get_submodule(module)
            handles.append(part.register_forward_hook(lambda _m, _i, out, name=name: seen[name].append(out)))
        with _unheard():
            side = probe.native
            found = intermediates(probe.model, torch.zeros(1, 3, side, side, device=probe.device), None, probe.normed)
    except (AttributeError, TypeError):
        return False
    finally:
        for handle in handles:
            handle.remove()
    last = getattr(probe.model, "output_fmt", "NCHW") == "NHWC"
    for name, (k, _) in ends.items():
        outputs = seen[name]
        if len(outputs) != 1 or not isinstance(outputs[0], Tensor) or outputs[0].dim() != 4:
            return False
        shape = outputs[0].permute(0, 3, 1, 2).shape if last else outputs[0].shape
        if shape != found[k].shape:
            return False
    return True


def _possible(name: str, options: dict[str, Any], own: int) -> list[int]:
    """Output strides below its own that it can have."""
    found = []
    for stride in OUTPUT_STRIDES:
        if stride < own:
            try:
                probe = _probe(name, {"output_stride": stride})
                shapes, _ = _shapes(probe)
            except Exception:  # each family refuses it in its own way
                continue
            if abs(shapes[-1][1] - probe.native / stride) <= 1:
                found.append(stride)
    return found


def _restrided(native: Anatomy, stride: int) -> Anatomy:
    """The same with a smaller output stride: stages keep their names."""
    stages = {
        name: (k, StageInfo(info.channels, min(info.stride, stride))) for name, (k, info) in native.stages.items()
    }
    return Anatomy(
        native.name, stride, native.strides, {**native.options, "output_stride": stride}, stages, native.modules,
        native.multiple, native.side, native.normed, native.class_token, native.blocks, native.changeable,
    )  # fmt: skip
