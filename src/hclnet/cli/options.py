"""Options that several verbs share, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import typer

from hclnet.configs import preset_names

Data = Annotated[
    str,
    typer.Argument(
        help="Class folders, a manifest (CSV, Parquet), COCO, YOLO, Pascal VOC, CVAT, Label Studio, CUB-200-2011, "
        "ILSVRC, OpenImages30k or wsolevaluation lists.",
        show_default=False,
    ),
]
Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="The folder that `hclnet train` made, or hf:user/name on the hub.", show_default=False
    ),
]
Backbone = Annotated[
    str | None,
    typer.Option(
        help="efficientnet_lite0 (or 1, 2), vgg16, resnet50, or timm:NAME for any model of timm.",
        show_default="efficientnet_lite0",
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(help="auto (those of the backbone's name), none (random) or a file of them.", show_default="auto"),
]
Size = Annotated[
    int | None,
    typer.Option(
        help="Images are resized to a square of this side, px.", show_default="448, and boxes are drawn at 672"
    ),
]
Tune = Annotated[
    str | None, typer.Option(help="heads: frozen backbone, fast; all: fine-tune it.", show_default="heads")
]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training images.", show_default="12")]
Seed = Annotated[int | None, typer.Option(help="Same seed, same machine: same metrics.", show_default="0")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps.", show_default="auto")]
Devices = Annotated[
    int | None,
    typer.Option(
        help="Processes that train together: a card each, or with --device cpu a part of the processor.",
        show_default="1",
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help=f"Settings to start from: {', '.join(preset_names())}, or a YAML file of them.",
        show_default="best",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any other setting: branches=1, lr=5e-4. See `hclnet methods`."),
]
SetMaps = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting of maps and boxes: flip=true, 'scales=[0.75,1]'."),
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", dir_okay=False, help="Write the metrics here too.", show_default=False)
]
Box = Annotated[
    str | None, typer.Option(help="Box rule: auto, otsu3, or fixed:T (T of the maximum).", show_default="the run's")
]
Protocol = Annotated[str, typer.Option(help="What is measured how: hclnet or wsoleval; see docs/protocols.md.")]
Fusion = Annotated[str | None, typer.Option(help="max, addition or l1.", show_default="the run's")]
BackgroundClass = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A class for nothing, such as good: it is learned like the others and never boxed.",
        show_default="none",
    ),
]
OnBadImage = Annotated[
    str | None,
    typer.Option(
        metavar="fail|skip",
        help="All images are checked first. fail: stop and list those that can't be read, so that no metric rests on "
        "fewer images than you think. skip: name them, leave them out, list them in skipped.csv.",
        show_default="fail",
    ),
]
SecondsPerImage = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        min=0,
        help="An image that can't be read in this time is given up, as a broken one; 0: no limit.",
        show_default="60",
    ),
]
AsClasses = Annotated[
    bool,
    typer.Option("--as-classes", help="Each folder in the data is a class, also one called like a split: fold1, test."),
]
IgnoreUnknown = Annotated[
    bool,
    typer.Option("--ignore-unknown-classes", help="Leave out images of classes that the run does not have."),
]
Formats = Annotated[
    str,
    typer.Option("--format", help="json, coco, yolo, voc, cvat, label-studio, csv, parquet; or several: json,coco."),
]
ImageRoot = Annotated[
    Path | None,
    typer.Option(help="Names of images are relative to this folder.", show_default="the folder located"),
]
NoReport = Annotated[bool, typer.Option("--no-report", help="Write no report.html.")]


def given(**options: Any) -> dict[str, Any]:
    """The options that a person gave."""
    return {key: value for key, value in options.items() if value is not None}


def settings_of_run(verb: Callable[..., Any], settings: list[str] | None, **options: Any) -> dict[str, Any]:
    """Settings of a training: those of --set, over them the options that a person gave.

    Args:
        verb: the function that they are for.
        settings: of --set.
        options: by the names of their settings.

    Raises:
        ValueError: --set names what is not a setting but an argument of the verb.
    """
    from hclnet.config import RunConfig
    from hclnet.settings import parse_settings

    parsed = parse_settings(settings or [])
    of_runs = RunConfig.model_fields.keys() - {"data", "method"}
    if arguments := sorted((parsed.keys() & signature(verb).parameters.keys()) - of_runs):
        raise ValueError(f"{arguments[0]!r} is not a setting, and --set can't change it. See the options: --help.")
    return parsed | given(**options)


def settings_of_maps(settings: list[str] | None, box: str | None, fusion: str | None) -> dict[str, Any]:
    """Settings of maps and boxes.

    Raises:
        ValueError: there is no such setting.
    """
    from hclnet.settings import check_inference, parse_settings

    parsed = parse_settings(settings or [])
    check_inference(parsed)
    return parsed | given(box=box, fusion=fusion)
