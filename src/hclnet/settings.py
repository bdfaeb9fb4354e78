"""Flat settings, as `--set key=value`, presets and keyword arguments have them. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from hclnet.config import OLD_NAMES, Inference, RunConfig, new_names, read_mapping, readable
from hclnet.configs import preset_path


def route(settings: dict[str, Any], option_names: set[str], method: str) -> dict[str, Any]:
    """Sort flat `key=value` settings into a method's options, inference settings and the rest of a `RunConfig`.

    `branches=1`, `fusion=max` and `epochs=20` are all written the same way; the names do not overlap.

    Raises:
        ValueError: a key is none of them; the message lists what exists.
    """
    routed: dict[str, Any] = {"options": {}, "inference": {}}
    own = set(RunConfig.model_fields) - {"options", "inference", "method", "data"}
    for key, value in new_names(settings).items():
        bare = _bare(key)
        if bare in option_names:
            routed["options"][bare] = value
        elif bare in Inference.model_fields:
            routed["inference"][bare] = value
        elif key in own:
            routed[key] = value
        else:
            raise ValueError(
                f"{key!r} is not a setting. Options of method {method}: {_listed(option_names)}. Of maps and boxes: "
                f"{_listed(Inference.model_fields)}. Of training: {_listed(own)}."
            )
    return routed


def check_inference(settings: Iterable[str]) -> None:
    """Raises:
    ValueError: one of the names is not a setting of maps and boxes; the message lists those.
    """
    if unknown := [key for key in settings if OLD_NAMES.get(key, key) not in Inference.model_fields]:
        raise ValueError(
            f"{unknown[0]!r} is not a setting of maps and boxes. There are {_listed(Inference.model_fields)}."
        )


def changed_inference(inference: Inference, changes: dict[str, Any]) -> Inference:
    """Settings of maps and boxes with some of them changed.

    Raises:
        ValueError: a setting is unknown or impossible.
    """
    check_inference(changes)
    try:
        return Inference(**{**inference.model_dump(), **changes})
    except ValidationError as error:
        raise ValueError(readable(error)) from None


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """`["branches=2", "lr=1e-3"]` -> `{"branches": 2, "lr": 0.001}`; values are read as YAML.

    Raises:
        ValueError: an entry has no `=`, or its value is no YAML.
    """
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"{pair!r} is not a setting: write KEY=VALUE, for example branches=1.")
        try:
            settings[key.strip()] = _value(value)
        except yaml.YAMLError:
            raise ValueError(
                f"{pair!r}: its value can't be read. Write numbers, words, [lists] or 'quoted text'."
            ) from None
    return settings


def _value(text: str) -> Any:
    with suppress(ValueError):
        if "e" in text.lower():
            return float(text)  # YAML takes 1e-3 for a string
    return yaml.safe_load(text)


def _bare(key: str) -> str:
    return key.removeprefix("options.").removeprefix("inference.")


def _listed(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"


def over_preset(preset: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The flat settings of a preset, and over them those that are given, whether with their group (`options.width`) or
    without.

    Where epochs are given, there are exactly as many: the preset's `min_steps` is left out.
    """
    left_out = {_bare(key) for key in given} | ({"min_steps"} if "epochs" in given else set())
    return {**{key: value for key, value in preset.items() if _bare(key) not in left_out}, **given}


def read_preset(name: str | Path) -> dict[str, Any]:
    """The flat settings of a preset: a name from `hclnet methods`, or a YAML file of `key: value` lines.

    Raises:
        ValueError: there is no such preset, or the file holds something else.
    """
    return read_mapping(preset_path(name))
