"""A localizer -> a repository on the hub."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hclnet import __version__
from hclnet.hub.address import Address, parse
from hclnet.hub.fetching import FILES
from hclnet.storage import write_text
from hclnet.types import Log
from hclnet_runtime.text import shown

if TYPE_CHECKING:
    from hclnet.localizer.localizer import Localizer

CARD = "README.md"
_SENT = (*FILES, CARD, "pictures/*.jpg")


def write_repository(
    localizer: Localizer,
    repo_id: str,
    folder: Path,
    *,
    branch: str | None = None,
    license: str | None = None,
    pictures: str | Path | Iterable[str | Path] = (),
    card: bool = True,
    log: Log | None = None,
) -> list[Path]:
    """Write into a folder what a repository of the localizer holds, and nothing on the hub. On an error the folder is
    as it was.

    Args:
        localizer: to be shared.
        repo_id: the name of the repository, `user/name`.
        folder: that is empty, or will be made.
        branch: that it is meant for.
        license: as the hub calls it, such as `apache-2.0`.
        pictures: images, files or folders or globs, that the card shows with their boxes.
        card: whether there is one.
        log: called with lines for a person.

    Returns:
        The files.

    Raises:
        ValueError: the name is none, the folder is not empty, a picture can't be read, or the localizer can't be saved.
        Unwritable: a file can't be written.
    """
    address = _address(repo_id, branch)
    if pictures and not card:
        raise ValueError("Pictures are shown in the card: leave them out, or have the card written.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{shown(folder)} is there already and not empty. Name a new folder.")
    with _unchanged_on_error(folder):
        localizer.save(folder)
        if card:
            from hclnet.hub.card import card_of
            from hclnet.hub.pictures import draw_pictures

            drawn = draw_pictures(localizer, pictures, folder)
            write_text(folder / CARD, str(card_of(localizer, address, license, drawn, log)), errors="backslashreplace")
    return sorted(path for path in folder.rglob("*") if path.is_file())


@contextmanager
def _unchanged_on_error(folder: Path) -> Iterator[None]:
    """A folder that is missing or empty is so again if the block fails."""
    was_there = folder.is_dir()
    try:
        yield
    except BaseException:
        if was_there:
            for path in folder.iterdir():
                rmtree(path) if path.is_dir() else path.unlink()
        else:
            rmtree(folder, ignore_errors=True)
        raise


def push(
    localizer: Localizer,
    repo_id: str,
    *,
    commit_message: str = "Push a model with hclnet",
    private: bool | None = None,
    token: str | bool | None = None,
    branch: str | None = None,
    create_pr: bool = False,
    license: str | None = None,
    pictures: str | Path | Iterable[str | Path] = (),
    card: bool = True,
    log: Log | None = None,
) -> str:
    """See `Localizer.push_to_hub`.

    Returns:
        The address of the commit, or of the pull request.
    """
    address = _address(repo_id, branch)
    if create_pr and branch is not None:
        raise ValueError("A pull request is made against the branch main: leave the branch out.")
    from huggingface_hub import HfApi

    from hclnet.hub import faults

    with TemporaryDirectory() as place:
        folder = Path(place) / "repository"
        write_repository(
            localizer, repo_id, folder, branch=branch, license=license, pictures=pictures, card=card, log=log
        )
        api = HfApi(token=token, library_name="hclnet", library_version=__version__)
        try:
            api.create_repo(address.repo, private=private, exist_ok=True)
            if private and not api.model_info(address.repo).private:
                raise _Public
            if branch is not None:
                api.create_branch(address.repo, branch=branch, exist_ok=True)
            done = api.upload_folder(
                repo_id=address.repo,
                repo_type="model",
                folder_path=folder,
                commit_message=commit_message,
                revision=branch,
                create_pr=create_pr,
                allow_patterns=list(_SENT),
                delete_patterns=["pictures/*.jpg"] if card else None,  # of an earlier card
            )
        except _Public:
            raise ValueError(
                f"{address.repo} is on the hub already and public, so nothing was uploaded. Make it private there, in "
                "its settings, or name another one."
            ) from None
        except Exception as error:  # a network can fail in any way
            raise ValueError(faults.of_writing(error, address)) from None
    return str(done.pr_url or done.commit_url)


class _Public(Exception):
    """A repository that should be private is not."""


def _address(repo_id: str, branch: str | None) -> Address:
    """Where it goes.

    Raises:
        ValueError: that is no name of a repository with its user.
    """
    address = parse(repo_id)
    if "/" not in address.repo or address.revision is not None:
        raise ValueError(
            f"{shown(repo_id)} names no repository to push to: name it user/name, and the branch apart from it."
        )
    return Address(address.repo, branch)
