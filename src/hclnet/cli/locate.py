"""`hclnet locate`: many files in, boxes out. A broken file is named and left out; the others are boxed."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import Any

import typer

from hclnet.annotate import WRITERS
from hclnet.annotate.overlay import save_pictures
from hclnet.data.files import image_files, shown
from hclnet.localizer import Localizer
from hclnet.progress import bar
from hclnet.types import Localization

_KINDS = ("overlays", "heatmaps")


def find_images(arguments: Sequence[str], out: Path | None = None) -> list[tuple[Path, str]]:
    """The files that arguments mean, with a name for each that no other has.

    Args:
        arguments: files, folders, globs.
        out: a folder of results; what a folder or glob finds in there is left alone.

    Raises:
        ValueError: an argument means no file.
    """
    found: dict[Path, str] = {}
    results = out.resolve() if out else None
    for argument in arguments:
        path = Path(os.path.expanduser(argument))  # noqa: PTH111, fails not on a file called ~name
        if path.is_dir():
            inside = [p for p in image_files(path) if results not in p.resolve().parents]
            if not inside:
                raise ValueError(f"There is no image in the folder {path}.")
            for p in inside:
                found.setdefault(p, p.relative_to(path).with_suffix("").as_posix())
        elif path.is_file():
            found.setdefault(path, path.stem)
        else:
            matches = sorted(Path(p) for p in glob.glob(str(path), recursive=True))  # noqa: PTH207, absolute patterns too
            files = [p for p in matches if p.is_file() and results not in p.resolve().parents]
            if not files:
                raise ValueError(f"{argument} is no file, no folder and matches nothing.")
            for p in files:
                found.setdefault(p, p.stem)
    taken: set[str] = set()
    named = []
    for path, name in found.items():
        free = next(n for n in chain([name], (f"{name}-{k}" for k in count(2))) if n not in taken)
        taken.add(free)
        named.append((path, free))
    return named


def locate_files(
    arguments: Sequence[str],
    model: Path | None,
    top: int,
    out: Path,
    formats: Sequence[str],
    kinds: set[str],
    device: str,
    inference: dict[str, Any],
    listed: int = 20,
) -> list[Localization]:
    """Box every image, write what was asked for, say where it is, and tell the first `listed` boxes.

    Raises:
        ValueError: nothing to box, or an option that does not exist; before any work is done.
    """
    if unknown := [f for f in formats if f not in WRITERS]:
        raise ValueError(f"--format {unknown[0]}: there are {', '.join(WRITERS)}.")
    if unknown := kinds - set(_KINDS):
        raise ValueError(f"--save {min(unknown)}: there are {', '.join(_KINDS)} and none.")
    files = find_images(arguments, out)
    localizer = Localizer.imagenet(device) if model is None else Localizer.load(model, device)
    if inference:
        localizer = localizer.with_inference(**inference)
    if model is None:
        typer.echo("No --model: the packaged ImageNet classifier with CAM, 1000 classes.")
    located, told, broken = [], [], []
    out.mkdir(parents=True, exist_ok=True)
    try:
        with bar("Locating") as report:
            for number, (path, name) in enumerate(files, 1):
                try:
                    one = localizer.locate(path, top)
                except ValueError as error:
                    broken.append(str(error))
                else:
                    save_pictures(one, out, name, kinds)
                    if len(told) < listed:
                        told.append(_line(one, localizer.inference.no_object_class))
                    located.append(replace(one, heatmaps={}, branches={}))  # thousands of maps would fill the memory
                report(number, len(files))
    finally:  # also after Ctrl-C: nothing that was computed is lost
        for name in formats:
            write, file = WRITERS[name]
            write(located, localizer.classes, out / file)
    for line in told:
        typer.echo(line)
    if listed and len(located) > listed:
        typer.echo(f"... and {len(located) - listed} more")
    for message in broken:
        typer.secho(f"Left out: {message}", fg="yellow", err=True)
    written = [str(out / WRITERS[name][1]) for name in formats] + [f"{out / kind}/" for kind in sorted(kinds)]
    boxes = sum(len(one.objects) for one in located)
    typer.echo(f"{boxes} boxes in {len(located)} images: {', '.join(written)}")
    return located


def _line(one: Localization, no_object_class: str | None) -> str:
    boxes = [f"{shown(o.label)} {o.score:.0%} [{' '.join(f'{v:.0f}' for v in o.box)}]" for o in one.objects]
    why = "no object" if one.label == no_object_class else "but its heatmap is flat: no box"
    return f"{shown(one.path)}: {', '.join(boxes) or f'{shown(one.label)} {one.score:.0%}, {why}'}"
