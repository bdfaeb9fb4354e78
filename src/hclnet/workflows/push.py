"""`hclnet push`: a run -> a repository on the hub, or a folder with what it would hold."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hclnet.hub.pushing import write_repository
from hclnet.localizer.localizer import Localizer
from hclnet.randomness import random_states_kept
from hclnet.types import Log


@random_states_kept()
def push(
    run: str | Path,
    repo_id: str,
    *,
    private: bool | None = None,
    branch: str | None = None,
    create_pr: bool = False,
    license: str | None = None,
    pictures: str | Path | Iterable[str | Path] = (),
    card: bool = True,
    commit_message: str = "Push a model with hclnet",
    into: str | Path | None = None,
    log: Log | None = None,
) -> str:
    """Share a run on the Hugging Face hub, with a card: `hclnet.load(run).push_to_hub(repo_id)`.

    Args:
        run: a run folder.
        repo_id: the name of the repository, `user/name`.
        private: whether a new repository is private.
        branch: in place of `main`.
        create_pr: make a pull request in place of a commit.
        license: as the hub calls it, such as `apache-2.0`.
        pictures: images, files or folders or globs, up to 16, that the card shows with heatmap and boxes.
        card: write the card, over one that is there.
        commit_message: one line.
        into: a new folder: write the files there, and upload nothing.
        log: called with lines for a person.

    Returns:
        The address of the commit or of the pull request, or the folder.

    Raises:
        ValueError: as `Localizer.push_to_hub`, or the folder is not empty.
        Unwritable: the folder can't be written.
    """
    localizer = Localizer.load(run, "cpu")
    if log and card and license is None:
        log("The card names no license, so others may not know what they may do with the model. --license names one.")
    if into is not None:
        folder = Path(into)
        files = write_repository(
            localizer, repo_id, folder, branch=branch, license=license, pictures=pictures, card=card, log=log
        )
        if log:
            log(f"{folder}: {', '.join(path.relative_to(folder).as_posix() for path in files)}. Nothing was uploaded.")
        return str(folder)
    address = localizer.push_to_hub(
        repo_id,
        commit_message=commit_message,
        private=private,
        branch=branch,
        create_pr=create_pr,
        license=license,
        pictures=pictures,
        card=card,
        log=log,
    )
    if log:
        log(f"Uploaded: {address}")
    return address
