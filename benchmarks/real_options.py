"""Options that `real_images.py` and `agreement.py` share: which sets, which images of them, which trainings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hclnet.settings import over_preset, parse_settings, read_preset
from real_sets import KNOWN, SIDES, RealSet, open_set


def add_options(parser: argparse.ArgumentParser, methods: str) -> None:
    """Adds them.

    Args:
        parser: of the benchmark.
        methods: those that are measured by default.
    """
    parser.add_argument("sets", nargs="*", help=f"{', '.join(KNOWN)} (all by default), or paths of data with boxes")
    parser.add_argument("--work", type=Path, required=True, help="for what is trained and measured")
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="has data/real and data/photos")
    parser.add_argument("--side", choices=SIDES, default="choose", help="to decide on, or to look at in the end")
    parser.add_argument("--folds", type=int, default=3, help="of the training images, on the side to decide on")
    parser.add_argument("--methods", default=methods)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--set", action="append", default=[], help="a setting of all trainings, KEY=VALUE")


def open_chosen(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> tuple[dict[str, Any], list[RealSet]]:
    """The settings of all trainings, and the sets; ends with the parser's message if one of them can't be used."""
    try:
        settings = over_preset(read_preset(chosen.preset), parse_settings(chosen.set))
        opened = [open_set(name, chosen.shared, chosen.side, chosen.folds) for name in chosen.sets or KNOWN]
        if len({real.name for real in opened}) < len(opened):
            raise ValueError("two sets have the same name; name each once, and rename a folder if need be.")
    except ValueError as error:
        parser.error(str(error))
    return settings, opened
