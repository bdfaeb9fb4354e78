"""`hclnet push`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hclnet.cli.options import Run


def push(
    run: Run,
    repo: Annotated[str, typer.Argument(metavar="USER/NAME", help="The repository on the hub.", show_default=False)],
    private: Annotated[
        bool | None, typer.Option("--private/--public", help="Of a new repository.", show_default="as the hub does it")
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(help="As the hub calls it: apache-2.0, cc-by-4.0, other ...", show_default="none"),
    ] = None,
    pictures: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="An image, folder or glob that the card shows with its boxes; again for each."
        ),
    ] = None,
    revision: Annotated[str | None, typer.Option(metavar="BRANCH", show_default="main", help="The branch.")] = None,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Make a pull request in place of a commit.")] = False,
    message: Annotated[str, typer.Option(help="Of the commit.")] = "Push a model with hclnet",
    no_card: Annotated[bool, typer.Option("--no-card", help="Leave the card that is there.")] = False,
    into: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write the files here to look at, and upload nothing.", show_default=False),
    ] = None,
) -> None:
    """Share a run on the Hugging Face hub: weights, settings and a card. Log in with `hf auth login` first.

    No image is uploaded but those of --pictures. Others load it with `--model hf:USER/NAME`.
    """
    from hclnet.workflows.push import push

    push(
        run,
        repo,
        private=private,
        branch=revision,
        create_pr=create_pr,
        license=license,
        pictures=pictures or (),
        card=not no_card,
        commit_message=message,
        into=into,
        log=typer.echo,
    )
