"""Many files in, boxes out. A broken file is named and left out; the others are boxed."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

from hclnet.annotate import WRITERS
from hclnet.annotate.overlay import save_pictures
from hclnet.config import Inference
from hclnet.data.files import image_files, shown
from hclnet.localizer import Localizer
from hclnet.progress import bar
from hclnet.types import Localization

KINDS = ("overlays", "heatmaps", "masks")
"""Pictures that `locate_files` draws."""


@dataclass(frozen=True, slots=True)
class Located:
    """What `locate_files` found, and what it could not read.

    Attributes:
        localizations: of the images in order, without their maps, which of thousands would fill the memory; and
            without masks, 50 kB each, unless they were asked for.
        left_out: why, for each file that can't be read.
        written: files and folders of results.
    """

    localizations: list[Localization]
    left_out: list[str]
    written: list[Path]


def find_images(arguments: Iterable[str | Path], out: Path | None = None) -> list[tuple[Path, str]]:
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
    images: str | Path | Sequence[str | Path],
    model: str | Path | None = None,
    out: str | Path = "located",
    top: int = 1,
    formats: Sequence[str] = ("json", "coco"),
    save: Sequence[str] = ("overlays",),
    device: str = "auto",
    tell: Callable[[str], None] | None = None,
    listed: int = 20,
    max_objects: int = 1,
    classes: Sequence[str] | None = None,
    **inference: Any,
) -> Located:
    """Box many images, and write the boxes and pictures of them into a folder.

    Args:
        images: files, folders, globs.
        model: a run folder; without one, the packaged ImageNet classifier with CAM.
        out: for `boxes.json`, `coco.json`, `overlays/`, `heatmaps/` and `masks/`.
        top: box the `top` most probable classes.
        formats: of the files with boxes, json and coco.
        save: pictures to draw: overlays, heatmaps, masks. With masks, `coco.json` has them too.
        device: `auto`, `cpu`, `cuda` ...
        tell: called with a line for each of the first images, when all are done.
        listed: how many those are.
        max_objects: how many objects of each class there may be; see `hclnet.boxes.objects`.
        classes: box these instead of the most probable ones, where they are there.
        inference: settings of maps and boxes, such as `box="fixed:0.2"`.

    Raises:
        ValueError: nothing to box, or a format, picture or setting that does not exist; before any work is done.
    """
    for what, names, known in (("format", formats, tuple(WRITERS)), ("save", save, KINDS)):
        if unknown := sorted(set(names) - set(known)):
            raise ValueError(f"--{what} {unknown[0]}: there are {', '.join(known)}{' and none' * (what == 'save')}.")
    out, kinds = Path(out), set(save)
    files = find_images([images] if isinstance(images, str | Path) else images, out)
    localizer = Localizer.imagenet(device) if model is None else Localizer.load(model, device)
    if changes := {k: v for k, v in inference.items() if v is not None}:
        localizer = localizer.with_inference(**changes)
    if classes is not None:
        localizer.check_classes(classes)
    located: list[Localization] = []
    lines: list[str] = []
    left_out: list[str] = []
    out.mkdir(parents=True, exist_ok=True)
    try:
        with bar("Locating") as report:
            for number, (path, name) in enumerate(files, 1):
                try:
                    one = localizer.locate(path, top, classes, max_objects)
                except ValueError as error:
                    left_out.append(str(error))
                else:
                    save_pictures(one, out, name, kinds)
                    if len(lines) < listed:
                        lines.append(_line(one, localizer.inference))
                    kept = one.objects if "masks" in kinds else tuple(replace(o, mask=None) for o in one.objects)
                    located.append(replace(one, objects=kept, heatmaps={}, branches={}))
                report(number, len(files))
    finally:  # also after Ctrl-C: nothing that was computed is lost
        for name in formats:
            write, file = WRITERS[name]
            write(located, localizer.classes, out / file)
    for line in lines if tell else ():
        tell(line)
    if tell and lines and len(located) > len(lines):
        tell(f"... and {len(located) - len(lines)} more")
    return Located(
        located, left_out, [*(out / WRITERS[name][1] for name in formats), *(out / k for k in sorted(kinds))]
    )


def _line(one: Localization, settings: Inference) -> str:
    boxes = [f"{shown(o.label)} {o.score:.0%} [{' '.join(f'{v:.0f}' for v in o.box)}]" for o in one.objects]
    why = "but its heatmap is flat: no box"
    if one.label == settings.no_object_class:
        why = "no object"
    elif one.score < settings.min_score:
        why = f"below min_score {settings.min_score:.1%}: nothing here"
    return f"{shown(one.path)}: {', '.join(boxes) or f'{shown(one.label)} {one.score:.0%}, {why}'}"
