"""The verbs of `hclnet`. Each imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hclnet.cli import data as data_verbs
from hclnet.configs import experiment_names, preset_names


class Verbs(TyperGroup):
    """What a user can mend is told in a sentence, not a traceback; `HCLNET_DEBUG=1` shows the traceback."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [_new_option(word) for word in args])

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # `hclnet ... | head`
            raise
        except (ValueError, OSError) as error:
            if os.environ.get("HCLNET_DEBUG"):
                raise
            text = f"{error.filename}: {error.strerror}." if getattr(error, "filename", None) else str(error)
            typer.secho("Error: ", fg="red", bold=True, err=True, nl=False)
            typer.echo(text, err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            typer.echo("Stopped.", err=True)
            raise typer.Exit(130) from None


_OLD_OPTIONS = {
    "--no-object-class": "--background-class",
    "--presence": "--rejection",
    "--truth": "--ground-truth",
    "--normalise": "--cam-normalization",
}


def _new_option(word: str) -> str:
    """An option by the name that it has now; version 0.1's go on being taken, and no help shows them."""
    name, equals, value = word.partition("=")
    return _OLD_OPTIONS.get(name, name) + equals + value


app = typer.Typer(
    name="hclnet",
    cls=Verbs,
    help="Boxes without boxes: train on class labels, see where the objects are.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(data_verbs.app, name="data")

Data = Annotated[
    str,
    typer.Argument(
        help="Class folders, CUB-200-2011, ILSVRC, OpenImages30k, wsolevaluation lists or a manifest (CSV, Parquet).",
        show_default=False,
    ),
]
Backbone = Annotated[
    str | None, typer.Option(help="efficientnet_lite0 (or 1, 2), vgg16, resnet50.", show_default="efficientnet_lite0")
]
Weights = Annotated[
    str | None, typer.Option(help="auto (ImageNet), none (random) or a file of them.", show_default="auto")
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
AsClasses = Annotated[
    bool,
    typer.Option("--as-classes", help="Each folder in the data is a class, also one called like a split: fold1, test."),
]
IgnoreUnknown = Annotated[
    bool,
    typer.Option("--ignore-unknown-classes", help="Leave out images of classes that the run does not have."),
]
NoReport = Annotated[bool, typer.Option("--no-report", help="Write no report.html.")]


def main() -> None:
    """Run the command line. What a stream's encoding lacks is printed as an escape, such as \\xfc."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        from hclnet import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.command()
def train(
    data: Data,
    method: Annotated[str | None, typer.Option(help="A name from `hclnet methods`.", show_default="hclnet")] = None,
    backbone: Backbone = None,
    weights: Weights = None,
    size: Size = None,
    tune: Tune = None,
    epochs: Epochs = None,
    seed: Seed = None,
    device: Device = None,
    background_class: BackgroundClass = None,
    on_bad_image: OnBadImage = None,
    as_classes: AsClasses = False,
    preset: Preset = None,
    settings: Set = None,
    out: Annotated[Path | None, typer.Option(help="The run folder.", show_default="runs/METHOD-SEED")] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on where the run in --out stopped, with its settings; add sizes to a finished one."
        ),
    ] = False,
    no_report: NoReport = False,
) -> None:
    """Train a method on classified images, without a single box."""
    from hclnet.config import parse_settings, read_preset
    from hclnet.workflows.train import train as run_train

    out = out or Path("runs") / f"{method or 'hclnet'}-{seed or 0}"
    given = {**(read_preset(preset) if preset else {}), **parse_settings(settings or [])}
    recipe = _given(backbone=backbone, weights=weights, size=size, tune=tune, epochs=epochs, seed=seed, device=device)
    recipe |= _given(background_class=background_class, on_bad_image=on_bad_image, as_classes=as_classes or None)
    result = run_train(data, out, method, resume=resume, log=typer.echo, report=not no_report, **{**given, **recipe})
    if not result.finished:
        typer.echo(f"Stopped after {result.epochs} whole epochs. {out} can be used as it is, or go on with --resume.")
        raise typer.Exit(130)
    done = f"Trained in {result.seconds:.0f} s" if result.trained else f"{out} was finished: nothing was trained"
    typer.echo(f"{done}. Score it:  hclnet evaluate {out}")
    typer.echo(f"Box new images:  hclnet locate IMAGES --model {out}")
    if not no_report:
        typer.echo(f"Curves and a few pictures: {out / 'report.html'}")


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    data: Annotated[str | None, typer.Option(help="Another data set.", show_default="the run's")] = None,
    split: Annotated[str, typer.Option(help="The part that is scored.")] = "test",
    box: Box = None,
    fusion: Fusion = None,
    protocol: Protocol = "hclnet",
    device: Device = None,
    on_bad_image: Annotated[
        str | None, typer.Option(metavar="fail|skip", help="As in `hclnet train`.", show_default="the run's")
    ] = None,
    as_classes: AsClasses = False,
    ignore_unknown_classes: IgnoreUnknown = False,
    settings: SetMaps = None,
    json_file: JsonFile = None,
    no_report: NoReport = False,
) -> None:
    """Score a run: classification, and localization where there are ground-truth boxes."""
    from hclnet.cli.tables import metrics_table
    from hclnet.storage import check_writable, write_json
    from hclnet.workflows.evaluate import evaluate as run_evaluate

    if json_file:
        check_writable(json_file.parent)
    result = run_evaluate(
        run,
        data,
        split,
        device=device or "auto",
        protocol=protocol,
        on_bad_image=on_bad_image,
        as_classes=as_classes,
        ignore_unknown_classes=ignore_unknown_classes,
        report=not no_report,
        log=typer.echo,
        **_settings_of_maps(settings, box, fusion),
    )
    if json_file:
        write_json(json_file, result.metrics, indent=2)
    metrics = result.metrics
    fusion = f", fusion {metrics['fusion']}" if metrics["fusion"] else ""
    metrics_table(f"{metrics['method']}{fusion}, {metrics['images']} images", metrics)
    typer.echo(f"Records: {result.folder / 'records.npz'}   By class: {result.folder / 'classes.csv'}")
    if result.report:
        typer.echo(f"Report: {result.report}")


@app.command()
def calibrate(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    data: Annotated[
        str | None, typer.Option(help="A data set with ground-truth boxes: twenty will do.", show_default="the run's")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="The part that is used.", show_default="train; with --rejection test"),
    ] = None,
    rejection: Annotated[
        bool,
        typer.Option("--rejection", help="On labels, not boxes: the probability below which a class is not there."),
    ] = False,
    fusion: Fusion = None,
    device: Device = None,
    as_classes: AsClasses = False,
    on_bad_image: Annotated[
        str | None, typer.Option(metavar="fail|skip", help="As in `hclnet train`.", show_default="the run's")
    ] = None,
    ignore_unknown_classes: IgnoreUnknown = False,
    settings: SetMaps = None,
    json_file: JsonFile = None,
) -> None:
    """Choose a run's box threshold on whatever ground-truth boxes there are, and say how sure it is."""
    from hclnet.cli.calibration import calibrate_run

    maps = _settings_of_maps(settings, None, fusion)
    policy = (on_bad_image, as_classes, ignore_unknown_classes)
    calibrate_run(run, data, split, device or "auto", json_file, rejection, policy, maps)


@app.command()
def score(
    maps: Annotated[
        list[Path],
        typer.Argument(help="A folder of <image id>.npy, or an .npz or .safetensors file.", show_default=False),
    ],
    ground_truth: Annotated[str, typer.Option(help="A data set with boxes or masks.", show_default=False)],
    split: Annotated[str, typer.Option(help="The part that is scored.")] = "test",
    protocol: Protocol = "hclnet",
    box: Annotated[str | None, typer.Option(help="Box rule of GT-known.", show_default="auto")] = None,
    map_size: Annotated[int, typer.Option(min=8, help="Side that maps are brought to, px.")] = 224,
    cam_normalization: Annotated[str, typer.Option(help="minmax, max, pas or ivr:P; of protocol hclnet.")] = "minmax",
    json_file: JsonFile = None,
    records: Annotated[
        Path | None, typer.Option(help="Write per-image records here (.npz).", show_default=False)
    ] = None,
) -> None:
    """Score heatmaps that anything made; those of several methods side by side, the first as the baseline."""
    from hclnet.cli.score import score_files

    score_files(maps, ground_truth, split, protocol, box, map_size, cam_normalization, json_file, records)


@app.command()
def compare(
    data: Data,
    methods: Annotated[str, typer.Option(help="cam,acol,hclnet,'hclnet:branches=1,fusion=max'")] = "cam,acol,hclnet",
    backbone: Backbone = None,
    weights: Weights = None,
    size: Size = None,
    tune: Tune = None,
    epochs: Epochs = None,
    preset: Preset = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings per method; the table has median and spread.")] = 1,
    seed: Annotated[int | None, typer.Option(help="The first seed.", show_default="0")] = None,
    device: Device = None,
    background_class: BackgroundClass = None,
    on_bad_image: OnBadImage = None,
    as_classes: AsClasses = False,
    settings: Set = None,
    split: Annotated[str, typer.Option(help="The part that is scored.")] = "test",
    protocol: Protocol = "hclnet",
    out: Annotated[Path, typer.Option(help="Runs, records, compare.json, compare.md, report.html.")] = Path(
        "runs/compare"
    ),
    no_report: NoReport = False,
) -> None:
    """Train and score several methods under one recipe; goes on where it stopped."""
    from hclnet.cli.tables import compare_table
    from hclnet.config import parse_settings, read_preset
    from hclnet.storage import write_text
    from hclnet.workflows.compare import compare as run_compare
    from hclnet.workflows.plan import split_specs
    from hclnet.workflows.table import markdown

    recipe = _given(backbone=backbone, weights=weights, size=size, tune=tune, epochs=epochs, seed=seed, device=device)
    recipe |= _given(background_class=background_class, on_bad_image=on_bad_image, as_classes=as_classes or None)
    given = {**(read_preset(preset) if preset else {}), **parse_settings(settings or []), **recipe}
    try:
        rows = run_compare(
            data,
            split_specs(methods),
            out,
            seeds=seeds,
            split=split,
            protocol=protocol,
            report=not no_report,
            log=typer.echo,
            **given,
        )
    except KeyboardInterrupt:
        typer.echo("Stopped. What is finished is kept; the same command goes on from there.", err=True)
        raise typer.Exit(130) from None
    write_text(out / "compare.md", markdown(rows) + "\n")
    compare_table(rows)
    typer.echo(f"Rows: {out / 'compare.json'}   Markdown: {out / 'compare.md'}   By class: {out / 'classes.csv'}")
    if not no_report:
        typer.echo(f"Report: {out / 'report.html'}")


@app.command("reproduce")
def reproduce_verb(
    experiment: Annotated[str, typer.Argument(help=f"{', '.join(experiment_names())}.", show_default=False)],
    data: Annotated[str, typer.Option(help="A data set with boxes.", show_default=False)],
    preset: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="The recipe.", show_default="the paper's own")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="Another backbone.", show_default="the recipe's")] = None,
    weights: Weights = None,
    size: Annotated[int | None, typer.Option(help="Another size, px.", show_default="the recipe's")] = None,
    tune: Annotated[str | None, typer.Option(help="heads or all.", show_default="the recipe's")] = None,
    epochs: Annotated[int | None, typer.Option(help="Other epochs.", show_default="the recipe's")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings per method; figures show the first.")] = 1,
    seed: Annotated[int | None, typer.Option(help="The first seed.", show_default="0")] = None,
    device: Device = None,
    on_bad_image: OnBadImage = None,
    as_classes: AsClasses = False,
    settings: Set = None,
    split: Annotated[str, typer.Option(help="The part that is scored.")] = "test",
    protocol: Protocol = "hclnet",
    images: Annotated[str, typer.Option(help="Of a figure: how many are drawn by lot, or ids: a.jpg,b.jpg.")] = "6",
    out: Annotated[
        Path | None,
        typer.Option(help="Runs, shared by all experiments on the data, and a folder for each.",
                     show_default="runs/reproduce-DATA"),
    ] = None,
) -> None:  # fmt: skip
    """The paper's tables and figures with its results beside ours; trains what is missing, goes on where it stopped."""
    from hclnet.cli.reproduce import run_experiment
    from hclnet.config import parse_settings

    recipe = _given(backbone=backbone, weights=weights, size=size, tune=tune, epochs=epochs, seed=seed, device=device)
    given = {
        **parse_settings(settings or []),
        **recipe,
        **_given(on_bad_image=on_bad_image, as_classes=as_classes or None),
    }
    where = {"out": out, "preset": preset, "seeds": seeds, "split": split, "protocol": protocol, "images": images}
    run_experiment(experiment, data, **where, **given)


@app.command()
def locate(
    images: Annotated[list[str], typer.Argument(help="Image files, folders or globs.", show_default=False)],
    model: Annotated[
        Path | None, typer.Option(help="A run folder.", show_default="the packaged ImageNet classifier with CAM")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Box the K most probable classes.")] = 1,
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path("located"),
    formats: Annotated[str, typer.Option("--format", help="json, coco, or both: json,coco.")] = "json,coco",
    save: Annotated[str, typer.Option(help="overlays, heatmaps, masks, several of them or none.")] = "overlays",
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
    image_root: Annotated[
        Path | None,
        typer.Option(help="Names in coco.json are relative to this folder.", show_default="the folder located"),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Drop what another model or other settings left in --out.")
    ] = False,
    device: Device = None,
) -> None:
    """Box objects in images: with a run of yours, or at once with ImageNet's 1000 classes.

    The same command again goes on with what is missing, after a stop or with new images.
    """
    from hclnet.cli.locate import locate_images

    maps = _settings_of_maps(settings, box, fusion)
    maps |= {"max_objects": max_objects, "min_score": min_score, "image_root": image_root, "overwrite": overwrite}
    named = {"classes": class_names or None, "class_text": classes}
    raise typer.Exit(locate_images(images, model, out, top, formats, save, device or "auto", **named, **maps))


@app.command()
def methods() -> None:
    """List the methods and their options."""
    from hclnet.cli.tables import methods_table

    methods_table()


@app.command()
def doctor() -> None:
    """Check the installation: versions that belong together, weights, devices, cache."""
    from hclnet.cli.doctor import examine

    raise typer.Exit(0 if examine() else 1)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("demo"),
) -> None:
    """Draw a small data set, train CAM, ACoL and HCLNet on its labels, score them, box the test images."""
    from hclnet.cli.demo import run_demo

    run_demo(out)


def _given(**options: Any) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def _settings_of_maps(settings: list[str] | None, box: str | None, fusion: str | None) -> dict[str, Any]:
    from hclnet.config import check_inference, parse_settings

    given = parse_settings(settings or [])
    check_inference(given)
    return given | _given(box=box, fusion=fusion)
