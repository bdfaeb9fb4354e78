"""Which trainings a comparison needs: what differs only in fusion or box rule is trained once."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hclnet.config import RunConfig
from hclnet.methods import get_method
from hclnet.settings import over_preset, parse_settings
from hclnet.workflows.settings import make_config

_COMMA = re.compile(r",(?![^\[]*\])")  # none inside of a list


@dataclass(frozen=True, slots=True)
class Variant:
    """One method with one seed, as it is scored.

    Attributes:
        spec: as it was named, such as `hclnet:fusion=max`.
        method: its name.
        settings: those of the spec.
        config: all settings.
    """

    spec: str
    method: str
    settings: dict[str, Any]
    config: RunConfig


@dataclass(frozen=True, slots=True)
class Job:
    """One training, and the variants that are scored with it.

    Attributes:
        config: that is trained.
        variants: with settings of maps and boxes of their own.
    """

    config: RunConfig
    variants: list[Variant]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a comparison trains and scores.

    Attributes:
        specs: the methods, the baseline first; none twice.
        seeds: of the trainings, in order.
        jobs: the trainings.
    """

    specs: tuple[str, ...]
    seeds: range
    jobs: tuple[Job, ...]

    def variants(self) -> Iterator[Variant]:
        """Those of all trainings."""
        for job in self.jobs:
            yield from job.variants


def make_plan(data: str | Path, methods: Sequence[str], seeds: int, settings: Mapping[str, Any]) -> Plan:
    """The trainings for some methods and seeds.

    Args:
        data: the path that the configurations name.
        methods: such as `["cam", "hclnet:branches=1,fusion=max"]`; what is there twice is done once.
        seeds: how many, from the `seed` among the settings, or from 0.
        settings: of all methods; those of a spec go before them.

    Raises:
        ValueError: a method or a setting does not exist, or has an impossible value.
    """
    named: dict[str, tuple[str, str, dict[str, Any]]] = {}
    for spec in methods:
        method, own = parse_spec(spec)
        named.setdefault(json.dumps([method, own], sort_keys=True), (spec, method, own))
    specs = list(named.values())
    if not specs:
        raise ValueError("There is no method to compare. Name some, such as cam and hclnet.")
    first = make_config(data, specs[0][1], seed=settings.get("seed")).seed
    jobs: dict[str, Job] = {}
    for seed in range(first, first + seeds):
        for spec, method, own in specs:
            config = make_config(data, method, **{**over_preset(settings, own), "seed": seed})
            jobs.setdefault(_key(config), Job(config, [])).variants.append(Variant(spec, method, own, config))
    return Plan(tuple(spec for spec, *_ in specs), range(first, first + seeds), tuple(jobs.values()))


def split_specs(text: str) -> list[str]:
    """`cam,hclnet:branches=1,fusion=max,acol` -> its three methods.

    A comma starts a new method unless what follows is a setting of the one before: `key=value`.

    Raises:
        ValueError: the text starts with a setting, or names no method.
    """
    specs: list[str] = []
    for piece in (p.strip() for p in _COMMA.split(text)):
        if not piece:
            continue
        is_setting = "=" in piece and ":" not in piece.split("=")[0]
        if is_setting and not specs:
            raise ValueError(f"--methods starts with a setting, {piece!r}. Name a method first: hclnet:{piece}.")
        if is_setting:
            specs[-1] += ("," if ":" in specs[-1] else ":") + piece
        else:
            specs.append(piece)
    if not specs:
        raise ValueError("--methods names no method. For example: --methods cam,acol,hclnet.")
    return specs


def parse_spec(spec: str) -> tuple[str, dict[str, Any]]:
    """`hclnet:branches=1,fusion=max` -> its name and settings."""
    name, _, rest = spec.partition(":")
    return name, parse_settings([piece for piece in _COMMA.split(rest) if piece])


def run_of(runs: Path, config: RunConfig) -> Path:
    """The folder of this training among the runs: the one that holds it, or a new one's."""
    key = _key(config)
    place = runs / f"{config.method}-{hashlib.sha256(key.encode()).hexdigest()[:8]}-seed{config.seed}"
    if not place.exists():
        # An earlier version, which lacked a setting that is now at its default, named its folder after fewer.
        for file in sorted(runs.glob(f"{config.method}-*-seed{config.seed}/config.yaml")):
            with suppress(ValueError):
                other = RunConfig.load(file)
                options = get_method(other.method).Options(**other.options).model_dump()
                if _key(other.model_copy(update={"options": options})) == key:
                    return file.parent
    return place


def _key(config: RunConfig) -> str:
    return json.dumps(config.training_key(), sort_keys=True)
