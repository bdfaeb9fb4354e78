"""`hclnet locate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hclnet.cli.options import (
    Box,
    Device,
    Formats,
    Fusion,
    ImageRoot,
    SecondsPerImage,
    SetMaps,
    given,
    settings_of_maps,
)

_FORMATS, _SAVE = "json,coco", "overlays"


def locate(
    images: Annotated[
        list[str] | None, typer.Argument(help="Image files, folders or globs.", show_default=False)
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="RUN|FILE",
            help="A run folder, hf:user/name[@revision] on the hub, or a file of hclnet export.",
            show_default="the packaged ImageNet classifier with CAM",
        ),
    ] = None,
    classifier: Annotated[
        str | None,
        typer.Option(metavar="timm:NAME", help="A classifier of yours in place of a run: its own head gives the maps."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="The classifier's, a file.", show_default="those of the classifier's name")
    ] = None,
    classes_file: Annotated[
        Path | None, typer.Option(help="Names of the classifier's classes, one a line.", show_default="ImageNet's")
    ] = None,
    learn_from: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Images without labels that teach the classifier what objects look like."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=32, help="Side of the square that the classifier sees, px.", show_default="its own"),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Box the K most probable classes.")] = 1,
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path("located"),
    formats: Formats = _FORMATS,
    save: Annotated[
        str, typer.Option(help="overlays, heatmaps, heatmaps-8bit, masks, several of them or none.")
    ] = _SAVE,
    max_objects: Annotated[
        int, typer.Option("--max-objects", metavar="N", min=1, help="Up to N objects of each class, each with a score.")
    ] = 1,
    classes: Annotated[
        str | None,
        typer.Option(help="Box these where they are there: badger,fox.", show_default="the most probable"),
    ] = None,
    class_names: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="NAME", help="One of them, whatever it is called; again for each."),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="A class less probable than this is not there.", show_default="the run's"),
    ] = None,
    box: Box = None,
    fusion: Fusion = None,
    settings: SetMaps = None,
    image_root: ImageRoot = None,
    manifest: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Names any number of images: Parquet or CSV with a column path, or text."),
    ] = None,
    shard_size: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Write Parquet files of N images each, for any number of images.",
            show_default="10000 with --manifest",
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option(metavar="local|ray", help="What locates: this process, or Ray's on a cluster, into shards.")
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Of --engine ray.", show_default="one for each card or processor"),
    ] = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Of finished shards, locate what was left out once more.")
    ] = False,
    seconds_per_image: SecondsPerImage = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Drop what another model or other settings left in --out.")
    ] = False,
    device: Device = None,
) -> None:
    """Box objects in images: with a run of yours, or at once with ImageNet's 1000 classes.

    The same command again goes on with what is missing, after a stop or with new images.
    """
    from hclnet.cli.locate import locate_images, locate_into_shards

    maps = settings_of_maps(settings, box, fusion)
    maps |= {"max_objects": max_objects, "min_score": min_score, "overwrite": overwrite}
    maps |= {"classifier": classifier, "weights": weights, "classes_file": classes_file, "learn_from": learn_from}
    maps |= {"size": size, "classes": class_names or None, "class_text": classes}
    maps |= given(seconds_per_image=seconds_per_image)
    device = device or "auto"
    if manifest is None and shard_size is None and engine == "local":
        if workers is not None:
            raise ValueError("--workers belongs to --engine ray, which is not given.")
        if retry:
            raise ValueError("--retry belongs to --manifest and --shard-size: else what was left out is tried anyway.")
        raise typer.Exit(
            locate_images(images or (), model, out, top, formats, save, device, image_root=image_root, **maps)
        )
    told = {"format": formats != _FORMATS, "save": save not in (_SAVE, "none"), "image-root": image_root is not None}
    if options := [f"--{name}" for name, is_told in told.items() if is_told]:
        raise ValueError(
            f"{' and '.join(options)} can't be with --manifest, --shard-size or --engine ray; hclnet convert makes "
            "files of shards."
        )
    maps |= {"retry": retry, "engine": engine, "workers": workers}
    raise typer.Exit(locate_into_shards(images or (), model, out, top, device, manifest, shard_size, **maps))
