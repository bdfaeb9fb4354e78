"""`hf:user/name@revision`: a model on the hub, wherever a run can be named."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hclnet_runtime.text import shown

PREFIX = "hf:"


@dataclass(frozen=True, slots=True)
class Address:
    """A repository of models, and which state of it.

    Attributes:
        repo: its name, as a rule `user/name`.
        revision: a branch, a tag or a commit; None is the branch `main`.
    """

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return PREFIX + self.repo + (f"@{self.revision}" if self.revision else "")

    @property
    def folder(self) -> Path:
        """Where something made with the model goes, as the repository itself can't be written to."""
        return Path("hub", *self.repo.split("/"))


def home_of(run: str | os.PathLike[str]) -> Path:
    """The folder of a run; of a model on the hub, the one for what is made with it."""
    return parse(run).folder if is_address(run) else Path(run)


def is_address(model: str | os.PathLike[str]) -> bool:
    """Whether a model is named by its place on the hub."""
    return os.fspath(model).startswith(PREFIX)


def parse(model: str | os.PathLike[str]) -> Address:
    """The address that a text means, with or without `hf:`.

    Raises:
        ValueError: it is none.
    """
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    text = Path(model).as_posix() if isinstance(model, os.PathLike) else model
    repo, at, revision = text.removeprefix(PREFIX).lstrip("/").partition("@")
    try:
        validate_repo_id(repo)
    except HFValidationError:
        repo = ""
    if not repo or (at and not revision):
        raise ValueError(
            f"{shown(text)} is no name of a model on the hub: it is {PREFIX}user/name, or {PREFIX}user/name@revision."
        )
    return Address(repo, revision or None)
