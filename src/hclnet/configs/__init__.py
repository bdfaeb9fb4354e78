"""Recipes by name: `<name>.yaml` here is a preset, flat settings under a header that says what to expect of them.

In `paper/` are the paper's tables and figures, for `hclnet reproduce`.

They are in the package, so that whoever installs it has them. Nothing here imports anything heavy: `--help` lists them.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent


def preset_names() -> list[str]:
    """The presets that there are, by name."""
    return sorted(path.stem for path in HERE.glob("*.yaml"))


def experiment_names() -> list[str]:
    """The paper's experiments that there are: table1 ... fig6."""
    return sorted((path.stem for path in (HERE / "paper").glob("*.yaml")), key=lambda name: (name[0] != "t", name))


def about(name: str) -> str:
    """What a preset is, from the first line of its header."""
    with (HERE / f"{name}.yaml").open(encoding="utf-8") as file:
        return file.readline().partition(": ")[2].strip()


def preset_path(name: str | Path) -> Path:
    """The file of a preset, which is given by its name or as a path.

    Raises:
        ValueError: there is none; the message lists those by name.
    """
    path = Path(name)
    if path.is_file():
        return path
    if str(name) in preset_names():
        return HERE / f"{name}.yaml"
    raise ValueError(f"There is no preset {name}. By name there are {', '.join(preset_names())}; or give a YAML file.")
