"""Step 3 of the flow: stage features -> class maps. One file per paper.

A method is found by its file, or by an entry point in the group `hclnet.methods`: `METHOD` in the module is the class.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import entry_points
from typing import Any

from pydantic import ValidationError

from hclnet.backbones.backbone import Backbone
from hclnet.config import readable
from hclnet.methods.base import Method, Output
from hclnet.methods.branch import Branch, ClassMaps

__all__ = [
    "Branch",
    "ClassMaps",
    "Method",
    "Output",
    "build_method",
    "check_tune",
    "frozen_note",
    "get_method",
    "method_names",
]

_SHARED = {"base", "branch", "convolution", "minmax", "whole_batch"}


def method_names() -> list[str]:
    """The names of all methods, ours first, then those of other packages."""
    ours = [m.name for m in pkgutil.iter_modules(__path__) if m.name not in _SHARED]
    return ours + [e.name for e in entry_points(group="hclnet.methods") if e.name not in ours]


def get_method(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        ValueError: there is no such method; the message lists those that exist.
    """
    if name not in method_names():
        raise ValueError(f"There is no method {name!r}; there are {', '.join(method_names())}.")
    for entry in entry_points(group="hclnet.methods"):
        if entry.name == name:
            method: type[Method] = entry.load()
            return method
    method = importlib.import_module(f"hclnet.methods.{name}").METHOD
    return method


def check_tune(method: type[Method], tune: str) -> None:
    """Raises:
    ValueError: nothing would be left of the method.
    """
    if tune == "heads" and method.augments_batches:
        raise ValueError(
            f"{method.name} changes the images while training, but with --tune heads features are computed once, of "
            f"unchanged images, and kept: nothing of {method.name} would be left. Give it --tune all (in a comparison, "
            f"{method.name}:tune=all)."
        )


def frozen_note(name: str, tune: str) -> str:
    """What a frozen backbone leaves of a method, for a person to read; empty where it leaves all or is not frozen."""
    text = get_method(name).frozen_note if tune == "heads" else ""
    return text and f"{name} with --tune heads: {text}"


def build_method(name: str, backbone: Backbone, classes: int, options: dict[str, Any] | None = None) -> Method:
    """A method on a backbone, freshly initialized.

    Raises:
        ValueError: unknown method, or options that it does not have.
    """
    method = get_method(name)
    try:
        chosen = method.Options(**(options or {}))
    except ValidationError as error:
        raise ValueError(
            f"Options of {name}: {readable(error)}. It has {', '.join(method.Options.model_fields)}."
        ) from None
    return method(backbone, classes, chosen)
