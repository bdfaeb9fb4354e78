"""What people's scripts rest on: the names of the package and the options of the commands, as `public.txt` has them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import typer
from typer.main import get_command

import hclnet
import hclnet.torchmetrics
from hclnet.cli.app import app

FROZEN = Path(__file__).parent / "public.txt"


def options(command, name: str) -> Iterator[str]:
    """The options and arguments of a command and of those below it."""
    for below in getattr(command, "commands", {}).values():
        yield from options(below, f"{name} {below.name}")
    for parameter in command.params:
        kind = "argument" if parameter.param_type_name == "argument" else "option"
        yield f"{name}: {kind} {' '.join(parameter.opts) if kind == 'option' else parameter.name}"


def public() -> list[str]:
    names = [f"hclnet.{name}" for name in dir(hclnet)]
    names += [f"hclnet.torchmetrics.{name}" for name in hclnet.torchmetrics.__all__]
    assert isinstance(app, typer.Typer)
    return sorted([*names, *options(get_command(app), "hclnet")])


def test_names_and_options_are_those_that_people_rest_on():
    found, frozen = public(), FROZEN.read_text(encoding="utf-8").splitlines()
    gone, new = sorted(set(frozen) - set(found)), sorted(set(found) - set(frozen))
    assert not gone and not new, (
        f"gone: {gone}; new: {new}. What is gone breaks somebody's script: keep it under its old name. What is new is "
        f"a promise: write it into {FROZEN.name}."
    )


def test_every_public_name_is_there():
    for name in dir(hclnet):
        assert getattr(hclnet, name) is not None


def test_type_checkers_see_the_names_that_python_finds():
    """`if TYPE_CHECKING` imports each name from the module that it is loaded from."""
    tree = ast.parse(Path(hclnet.__file__).read_text(encoding="utf-8"))
    (checked,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {name.name: line.module for line in checked.body for name in line.names}
    assert seen == {name: f"hclnet.{home}" for name, home in hclnet._HOME.items()}
    assert sorted(hclnet.__all__) == sorted(["__version__", *hclnet._HOME])
