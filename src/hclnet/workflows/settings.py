"""Flat settings, as people give them -> the configuration of a run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from hclnet.backbones import check_sides, choose_stride, get_architecture, skeleton
from hclnet.config import RunConfig, readable
from hclnet.device import check_devices, resolve_device, resolve_precision
from hclnet.maps.augmentation import views
from hclnet.methods import Method, build_method, check_tune, get_method, method_names
from hclnet.settings import over_preset, read_preset, route


def make_config(data: str | Path, method: str = "hclnet", /, **settings: Any) -> RunConfig:
    """A run's configuration from flat settings: a method's options, those of maps and boxes, those of training.

    Where no size is given, the settings are added to those of the preset `best`. Where one is, images are trained on
    and located at that size, and every other setting has its own default: the presets' files say what they need.

    `options.NAME` is a setting of those methods that have such an option, and is left out for the others: so presets,
    which are for all methods, write it.

    Args:
        data: the path that the configuration names.
        method: a name from `hclnet methods`.
        settings: by their names; None is the same as not given.

    Raises:
        ValueError: a setting is unknown or has an impossible value.
    """
    known = get_method(method)
    given = without_nones(settings)
    if "size" not in given:
        given = over_preset(read_preset("best"), given)
    routed = route(_without_options_of_others(given, known), set(known.Options.model_fields), method)
    try:
        options = known.Options(**routed.pop("options")).model_dump()
        config = RunConfig(data=absolute(data), method=method, options=options, **routed)
    except ValidationError as error:
        raise ValueError(f"{method}: {readable(error)}") from None
    device = resolve_device(config.device)
    resolve_precision(config.precision, device)  # now, not after the training
    check_devices(config.devices, device)
    check_tune(known, config.tune)
    # Written out, so that a run is the same training whether the backbone's own stride was named or not.
    config = config.model_copy(update={"output_stride": choose_stride(config.backbone, config.output_stride)})
    check_parts(config)
    return config


def _without_options_of_others(given: Mapping[str, Any], method: type[Method]) -> dict[str, Any]:
    """Without `options.NAME` of an option that other methods have and this one has not."""

    def is_anothers(key: str) -> bool:
        group, _, name = key.rpartition(".")
        if group != "options" or name in method.Options.model_fields:
            return False
        return any(name in get_method(other).Options.model_fields for other in method_names())

    return {key: value for key, value in given.items() if not is_anothers(key)}


def check_parts(config: RunConfig) -> None:
    """Whether the backbone sees images of the sizes that are asked for, and the method finds in it what it needs.

    Raises:
        ValueError: it does not; the message says what to do.
    """
    sides = {config.size, *(view.size for view in views(config.inference, config.size))}
    check_sides(config.backbone, get_architecture(config.backbone).side, sides)
    parts = (config.method, config.backbone, config.output_stride, config.stages)
    _check_fits(*parts, json.dumps(config.options, sort_keys=True))


@cache
def _check_fits(method: str, backbone: str, output_stride: int, stages: int, options: str) -> None:
    with torch.device("meta"):
        build_method(method, skeleton(backbone, output_stride, stages), 2, json.loads(options))


def flat_settings(config: RunConfig) -> dict[str, Any]:
    """All settings of a configuration but its data and its method, by their flat names."""
    settings = config.model_dump(exclude={"data", "method"})
    options, inference = settings.pop("options"), settings.pop("inference")
    return {**settings, **options, **inference}


def with_preset(preset: str | Path | None, /, **settings: Any) -> dict[str, Any]:
    """The settings of a preset, if one is named, and over them those that are given.

    Raises:
        ValueError: there is no such preset.
    """
    return over_preset(read_preset(preset) if preset else {}, without_nones(settings))


def without_nones(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are given: None is the same as not given."""
    return {key: value for key, value in settings.items() if value is not None}


def absolute(data: str | Path) -> str:
    """A path that means the same wherever a later command runs."""
    return os.path.abspath(os.path.expanduser(data))  # noqa: PTH100, PTH111, links stay; `~name` is no user's
