"""Where to compute and how precisely: the one place that decides both.

The setting `precision` is `auto` unless a run says otherwise. What `auto` means depends on the device; the environment
variable `HCLNET_PRECISION` (`auto`, `float32` or `bfloat16`) forces it on any machine, so that either can be tried
anywhere.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_VARIABLE = "HCLNET_PRECISION"
_NATIVE = {"avx512_bf16": "AVX-512 BF16", "amx_bf16": "AMX", "bf16": "Arm BF16"}  # torch's names of instructions


def resolve_device(device: str | torch.device) -> torch.device:
    """`auto` is the first of CUDA, Apple's MPS, the CPU.

    Args:
        device: auto, cpu, cuda, cuda:N or mps, as text or as torch's device.

    Raises:
        ValueError: the device is unknown or not available.
    """
    device = str(device)
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if reason := _lacking(device):
        raise ValueError(f"--device {device} can't be used: {reason}. Try --device auto, or `hclnet doctor`.")
    return torch.device("cpu" if device == "cpu:0" else device)


def _lacking(device: str) -> str:
    """Why a device can't be used; empty if it can."""
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (":" in device and not number.isdecimal()):
        return "there is no such device; there are auto, cpu, cuda, cuda:1 (the second one) and mps"
    if kind != "cuda" and int(number or 0) > 0:
        return f"only cuda has numbers: write {kind}"
    if kind == "mps" and not torch.backends.mps.is_available():
        return "MPS is the graphics processor of Apple's computers, and torch finds none here"
    if kind == "cuda":
        if not torch.cuda.is_available():
            return "torch finds no CUDA device here"
        if int(number or 0) >= (count := torch.cuda.device_count()):
            return f"of the {count} CUDA devices here the last one is cuda:{count - 1}"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        return str(error).splitlines()[0].rstrip(".")
    return ""


def check_devices(devices: int, device: torch.device) -> None:
    """Whether a training can be shared by so many devices of a kind.

    Args:
        devices: how many.
        device: one of them.

    Raises:
        ValueError: it can't; the message says what to do.
    """
    if devices == 1:
        return
    if "LOCAL_RANK" in os.environ:
        reason, way = "another program has started several processes already", "Call hclnet once; it starts its own"
    elif not torch.distributed.is_available():
        reason, way = "this build of torch has no distributed training", "Write --devices 1"
    elif device.type == "mps":
        reason, way = "there is one MPS device", "Write --devices 1"
    elif device.index is not None:
        reason = f"--device {device} names a single one"
        way = "Write --device cuda, and choose the cards by the environment variable CUDA_VISIBLE_DEVICES=0,1"
    elif device.type == "cuda" and (count := torch.cuda.device_count()) < devices:
        reason, way = f"torch finds {count} CUDA device{'s' * (count > 1)} here", f"Take --devices {count}"
    else:
        return
    raise ValueError(f"--devices {devices} can't be used: {reason}. {way}.")


def resolve_precision(precision: str, device: torch.device, training: bool = False) -> torch.dtype:
    """What features and heads are computed in; `explain_precision` without the reason."""
    return explain_precision(precision, device, training)[0]


def explain_precision(precision: str, device: torch.device, training: bool = False) -> tuple[torch.dtype, str]:
    """What features and heads are computed in, and why, for a person to read.

    `auto` is what `HCLNET_PRECISION` says. Else it is float32 wherever a localizer is used, so that its boxes are the
    same on every machine; in training it is bfloat16 where the processor multiplies it natively, float32 elsewhere.

    Args:
        precision: auto, float32 or bfloat16.
        device: that is computed on.
        training: whether it is for training, not for use.

    Raises:
        ValueError: the precision, or the value of `HCLNET_PRECISION`, is none of these.
    """
    forced = os.environ.get(_VARIABLE) or "auto"
    for what, value in (("precision", precision), (_VARIABLE, forced)):
        if value not in ("auto", *PRECISIONS):
            raise ValueError(f"{what} is {value!r}. Set it to auto, float32 or bfloat16.")
    native, why = _native(device)
    if precision == "auto" and forced == "auto":
        if not training:
            return torch.float32, "boxes are the same on every machine"
        return (torch.bfloat16 if native else torch.float32), why
    chosen, by = (precision, f"precision={precision}") if precision != "auto" else (forced, f"{_VARIABLE}={forced}")
    emulated = chosen == "bfloat16" and not native
    return PRECISIONS[chosen], f"forced by {by}" + (f", emulated and slow: {why}" if emulated else "")


def _native(device: torch.device) -> tuple[bool, str]:
    """Whether a device multiplies bfloat16 natively, and what was found."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return native, f"the graphics card {'multiplies' if native else 'does not multiply'} bfloat16"
    if device.type != "cpu":
        return False, f"bfloat16 is not used on {device.type}"
    # oneDNN says yes to any AVX-512 and then emulates, several times slower than float32.
    have = torch.cpu.get_capabilities()
    found = [name for key, name in _NATIVE.items() if have.get(key)]
    return bool(found), f"the processor {f'has {found[0]}' if found else 'does not multiply bfloat16'}"


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """The context in which modules compute in a precision that `resolve_precision` gave."""
    if dtype != torch.bfloat16:
        return full_precision(device)
    return torch.autocast(device.type, torch.bfloat16)


def full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """The context in which modules compute in the precision of what they are given, also within autocast.

    Where no autocast is at work it does nothing: an exported graph then has no regions of its own for it.
    """
    if not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def precision_name(dtype: torch.dtype) -> str:
    """`float32` or `bfloat16`, as settings and files have it."""
    return str(dtype).removeprefix("torch.")
