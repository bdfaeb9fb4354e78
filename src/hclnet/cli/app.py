"""The command line put together: its verbs, its errors as sentences, the option names of version 0.1."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hclnet.cli import data as data_verbs
from hclnet.cli.verbs import (
    backbones,
    calibrate,
    compare,
    convert,
    demo,
    doctor,
    evaluate,
    export,
    locate,
    methods,
    push,
    reproduce,
    review,
    score,
    serve,
    train,
)


class Verbs(TyperGroup):
    """What a user can mend is said in a sentence, without a traceback; `HCLNET_DEBUG=1` shows the traceback."""

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
            text = str(error)
            if isinstance(error, OSError) and error.filename:
                text = f"{error.filename}: {error.strerror}."
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
    help="Object boxes from class labels: weakly supervised object localization.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(data_verbs.app, name="data")


# Threads that wait sleep: by default they spin, and two commands on two cores then keep each other from working. The
# libraries read it when torch is imported, so it stands here; who imports hclnet decides for themselves.
_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


def main() -> None:
    """Run the command line. What a stream's encoding lacks is printed as an escape, such as \\xfc."""
    for name, value in _THREADS.items():
        os.environ.setdefault(name, value)
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


for _verb in (
    train.train,
    evaluate.evaluate,
    calibrate.calibrate,
    score.score,
    compare.compare,
    reproduce.reproduce,
    locate.locate,
    convert.convert,
    review.review,
    export.export,
    serve.serve,
    push.push,
    methods.methods,
    backbones.backbones,
    doctor.doctor,
    demo.demo,
):
    app.command()(_verb)
