"""Many files in, boxes out. A broken file is named and left out; the others are boxed.

Each result is in the folder's journal the moment it is there, and every file of results is made from the journal: what
stops the work, a kill or a full disk, loses nothing, and the same call goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import torch

from hclnet.config import Inference, InferenceSettings
from hclnet.data.named import PICTURES, Named, find_images
from hclnet.data.remote import as_folder
from hclnet.formats import WRITERS, Target, check_formats, write_formats
from hclnet.formats.journal import FORMAT, Journal, OtherResults, opened
from hclnet.formats.results import given_root, results_of
from hclnet.formats.rows import localization_of
from hclnet.formats.shards import HEADER as SHARDS
from hclnet.randomness import random_states_kept
from hclnet.stopping import Stopping
from hclnet.storage import Unwritable, check_writable, clear_parts, locked
from hclnet.types import Localization, Log
from hclnet.workflows.asked import ask
from hclnet.workflows.work import Work
from hclnet_runtime.data.reading import SECONDS
from hclnet_runtime.request import as_arguments, as_count, as_names
from hclnet_runtime.text import shown

KINDS = PICTURES
"""Pictures that `locate_files` draws."""


@dataclass(frozen=True, slots=True)
class Located:
    """What `locate_files` found, and what it could not read.

    Attributes:
        localizations: of the images in order, without their maps, which of thousands would fill the memory; and
            without masks, 50 kB each, unless they were asked for.
        left_out: why, for each file or folder that was left out.
        written: files and folders of results.
        already: how many of the images had been located by an earlier call.
    """

    localizations: list[Localization]
    left_out: list[str]
    written: list[Path]
    already: int = 0


@random_states_kept()
def locate_files(
    images: str | Path | Sequence[str | Path],
    model: str | Path | None = None,
    out: str | Path = "located",
    *,
    top: int = 1,
    formats: Sequence[str] = ("json", "coco"),
    save: Sequence[str] = ("overlays",),
    device: str | torch.device = "auto",
    log: Log | None = None,
    listed: int = 20,
    max_objects: int = 1,
    classes: Iterable[str] | None = None,
    class_text: str | None = None,
    image_root: str | Path | None = None,
    overwrite: bool = False,
    classifier: str | None = None,
    weights: str | Path | None = None,
    classes_file: str | Path | None = None,
    learn_from: str | Path | None = None,
    size: int | None = None,
    seconds_per_image: float = SECONDS,
    **inference: Unpack[InferenceSettings],
) -> Located:
    """Box many images, and write the boxes and pictures of them into a folder.

    What an earlier call with the same model and settings has located is not located again, unless its file has changed.

    Args:
        images: files, folders, globs.
        model: a run folder, `hf:user/name` on the hub, or a file of `hclnet export`; without one, the packaged ImageNet
            classifier with CAM.
        out: for `located.jsonl`, the journal; the files of the formats; `overlays/`, `heatmaps/` and `masks/`.
        top: box the `top` most probable classes.
        formats: of the files with boxes: json, coco, yolo, voc, cvat, label-studio, csv, parquet.
        save: pictures to draw: overlays, heatmaps (gray of 16 bits), heatmaps-8bit, masks. With masks, the formats that
            can hold them have them too.
        device: `auto`, `cpu`, `cuda` ...
        log: called with lines for a person, among them one for each of the first images, when all are done.
        listed: how many those are.
        max_objects: how many objects of each class there may be; see `hclnet_runtime.boxes.objects`.
        classes: box these instead of the most probable ones, where they are there.
        class_text: more of them, with commas between them; see `hclnet_runtime.request.split_names`.
        image_root: the folder that names in these files are relative to; the one that was located by default, and of
            several the one that they have in common.
        overwrite: drop what another model or other settings have left in `out`, in place of refusing.
        classifier: in place of a run, `timm:` and the name of a model of timm: its own head gives the class maps; see
            `Localizer.from_classifier`.
        weights: of the classifier, a file; those that timm names after the model by default.
        classes_file: text with the names of the classifier's classes, one in each line, in the order of its outputs.
        learn_from: a folder of images without labels, from which the classifier's foreground score is learned.
        size: side of the square that the classifier sees, pixels; its own by default.
        seconds_per_image: in which an image has to be read, by a process that is ended then; 0: no limit.
        inference: settings of maps and boxes, such as `box="fixed:0.2"`.

    Raises:
        ValueError: nothing to box, or a format, picture or setting that does not exist; results of another model or of
            other settings are in `out`; another process works there; or it can't be written. Before any work is done.
        Unwritable: there is no room left. What was located is in the journal.
    """
    top, max_objects = as_count("top", top), as_count("max_objects", max_objects)
    formats = as_names("format", formats, tuple(WRITERS))
    check_formats(formats)
    out, kinds = as_folder(out), set(as_names("save", save, KINDS, none=True))
    if (out / SHARDS).exists():
        raise OtherResults(f"{shown(out)} has shards of results. Name another folder with --out, or --shard-size.")
    found = find_images(as_arguments(images), out)
    root = _root(found.images, image_root)
    asked = ask(
        model,
        device,
        top=top,
        max_objects=max_objects,
        classes=classes,
        class_text=class_text,
        classifier=classifier,
        weights=weights,
        classes_file=classes_file,
        learn_from=learn_from,
        size=size,
        seconds_per_image=seconds_per_image,
        **inference,
    )
    for folder in (out, *(out / kind for kind in sorted(kinds))):
        check_writable(folder)
    if learn_from is not None:
        asked.learn_from(learn_from, log)
    header = {**asked.header(FORMAT), "image_root": None if root is None else str(root)}
    work = Work(asked, out, kinds, found.left_out)

    def write(journal: Journal) -> tuple[list[dict[str, Any]], list[Path]]:
        rows = [row for row in (work.rows.get(str(one.path)) for one in found.images) if row is not None]
        results = results_of(journal.header, rows, root, "masks" in kinds)
        return rows, write_formats(results, formats, Target(out))

    with locked(out, "locating"), Stopping() as stop, opened(out, header, overwrite) as journal:
        clear_parts(out)
        for kind in KINDS:
            clear_parts(out / kind, deep=True)
        try:
            already = work.go(found.images, journal, stop, log)
        except BaseException:  # also Ctrl-C and SIGTERM, and where the disk is full: nothing that was computed is lost
            with stop.held():
                with suppress(Unwritable):
                    write(journal)
                if log:
                    log(
                        f"Stopped with {len(work.rows):,} of {len(found.images):,} images located. The same command "
                        "goes on with the others."
                    )
            raise
        with stop.held():
            rows, written = write(journal)
    if log:
        for row in rows[:listed]:
            log(_line(row, asked.localizer.inference))
        if listed and len(rows) > listed:
            log(f"... and {len(rows) - listed} more")
    written += [out / kind for kind in sorted(kinds)]
    return Located([localization_of(row, "masks" in kinds) for row in rows], work.left_out, written, already)


def _root(images: Sequence[Named], given: str | Path | None) -> Path | None:
    """The folder that names are relative to; None if the images have none in common, being on several drives.

    Raises:
        ValueError: an image is not in the folder given.
    """
    roots = {os.path.abspath(one.root) for one in images}  # noqa: PTH100, links are kept
    if given is None:
        with suppress(ValueError):
            return Path(os.path.commonpath(roots))
        return None
    if not Path(os.path.expanduser(given)).is_dir():  # noqa: PTH111, fails not on a folder called ~name
        raise ValueError(f"--image-root {shown(given)}: there is no such folder.")
    return given_root(given, {str(one.path): Path(os.path.abspath(one.path)) for one in images})  # noqa: PTH100


def _line(row: dict[str, Any], settings: Inference) -> str:
    boxes = [f"{shown(o['label'])} {o['score']:.0%} [{' '.join(f'{v:.0f}' for v in o['box'])}]" for o in row["objects"]]
    label = row["asked"][0]
    score = dict(row["predictions"])[label]
    why = "but its heatmap is flat: no box"
    if label == settings.background_class:
        why = "no object"
    elif score < settings.min_score:
        why = f"below min_score {settings.min_score:.1%}: no object"
    return f"{shown(row['path'])}: {', '.join(boxes) or f'{shown(label)} {score:.0%}, {why}'}"
