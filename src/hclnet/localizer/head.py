"""What the head of a classifier reads, found by running the model: the last linear layer, and the features whose global
mean it gets, with a norm of that mean in between or not; or the tokens whose class token it gets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor, nn

from hclnet.backbones.anatomy import attention_rows

_CLOSE = 1e-3  # of the standard deviation

Layout = Literal["maps", "channels_last", "tokens", "class_token"]


@dataclass(frozen=True, slots=True)
class HeadSource:
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


def look(model: nn.Module, images: Tensor, title: str, classes: int) -> tuple[nn.Module, HeadSource]:
    """The linear layer that gives the logits, and what it reads.

    Args:
        model: the classifier, in eval mode.
        images: normalized, two of them, b x 3 x h x w.
        title: of the model, in messages.
        classes: that have names.

    Raises:
        ValueError: the model does not take the images, names and logits are not equally many, or the head is another
            one.
    """
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
        if (channels := _channels(model)) not in (None, images.shape[1]):
            raise ValueError(
                f"{title} takes images of {channels} channel{'s' * (channels != 1)}. hclnet shows it red, green and "
                f"blue: give a classifier of images of 3 channels."
            ) from None
        size, reason = images.shape[2], " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ValueError(f"{title} does not take images of {size} px: {reason}. Name a size that it takes.") from None
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(logits, Tensor) or logits.dim() != 2:
        raise ValueError(refusal(title, "it gives no logits, a row for each image"))
    if logits.shape[1] != classes:
        raise ValueError(f"{title} tells {logits.shape[1]} classes apart, and {classes} names are given.")
    for k in range(len(calls) - 1, -1, -1):
        _, module, read, output = calls[k]
        if isinstance(module, nn.Linear | nn.Conv2d) and output.flatten(1).shape == logits.shape:
            if not same(output.flatten(1), logits) or read.flatten(1).shape[1] != module.weight.flatten(1).shape[1]:
                break
            return module, _source(model, images, calls[:k], read.flatten(1), title)
    raise ValueError(refusal(title, "its logits are not those of a linear layer"))


def _channels(model: nn.Module) -> int | None:
    """Of the images that its first convolution takes; None where there is no convolution."""
    return next((module.in_channels for module in model.modules() if isinstance(module, nn.Conv2d)), None)


def _source(
    model: nn.Module,
    images: Tensor,
    calls: Sequence[tuple[str, nn.Module, Tensor, Tensor]],
    read: Float[Tensor, "b d"],
    title: str,
) -> HeadSource:
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
            found = HeadSource(name, layout, norm, prefix)
            if layout != "class_token" or _has_attention(model, images, prefix, output.shape[1]):
                return found
            raise ValueError(
                refusal(title, "its head reads a class token, and its attention can't be had")
                + " Of torchvision's, hclnet reads the weights into timm's: --classifier timm:NAME --weights FILE."
                * (not hasattr(model, "pretrained_cfg"))
            )
        small = output.dim() == 2 or output.shape[2:].numel() == 1
        if norm is None and isinstance(module, nn.LayerNorm) and small and same(output.flatten(1), read):
            norm, read = module, before.flatten(1)
    raise ValueError(refusal(title, "its head is more than global pooling and a linear layer"))


def _layout(output: Tensor, read: Float[Tensor, "b d"]) -> tuple[Layout | None, int]:
    """How a module's output has what a linear layer reads, None where it does not; and the tokens before the patches'
    that it leaves out."""
    batch, channels = read.shape
    if output.dim() == 4 and output.shape[0] == batch:
        if output.shape[1] == channels and output.shape[2:].numel() > 1 and same(output.mean((2, 3)), read):
            return "maps", 0
        if output.shape[3] == channels and output.shape[1:3].numel() > 1 and same(output.mean((1, 2)), read):
            return "channels_last", 0
    if output.dim() == 3 and output.shape[0] == batch and output.shape[2] == channels:
        if same(output[:, 0], read):
            return "class_token", 0
        for prefix in range(min(8, output.shape[1])):
            if int((output.shape[1] - prefix) ** 0.5) ** 2 == output.shape[1] - prefix and same(
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


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal but for rounding."""
    if one.shape != other.shape:
        return False
    return bool((one - other).abs().max() <= _CLOSE * other.std().clamp_min(1e-6))


def refusal(title: str, why: str) -> str:
    """What is said of a classifier that can't be a localizer."""
    return (
        f"{title} can't be located with as it is: {why}. Class maps need global average pooling, or a class token, and "
        f"then a linear layer."
    )
