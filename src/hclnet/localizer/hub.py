"""What a localizer has of the Hugging Face hub, under the names that the hub's users know."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from hclnet.device import resolve_device, resolve_precision
from hclnet.hub.address import Address, is_address, parse
from hclnet.hub.fetching import fetch
from hclnet.types import Log
from hclnet_runtime.text import shown

if TYPE_CHECKING:
    from hclnet.localizer.localizer import Localizer


class OnHub:
    """From the hub, and to it."""

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        device: str | torch.device = "auto",
    ) -> Localizer:
        """The localizer of a model on the Hugging Face hub, or in a folder.

        Only `localizer.json` and `model.safetensors` are fetched: nothing of a repository is run. Environment variables
        of `huggingface_hub` hold here too: HF_TOKEN, HF_HOME, HF_HUB_OFFLINE, HF_ENDPOINT.

        Args:
            name: `user/name` on the hub, or a folder on this machine.
            revision: a branch, a tag or a commit; by default the branch `main`.
            token: of the hub; by default that of `hf auth login` or HF_TOKEN.
            cache_dir: in place of the hub's cache.
            local_files_only: take what was fetched before, and fetch nothing.
            force_download: fetch the files though they are there.
            device: auto, cpu, cuda, cuda:N or mps.

        Raises:
            ValueError: there is no such model, it is gated or can't be had, it is none of hclnet, its files are
                damaged or of another version, or the device can't be used.
        """
        from hclnet.localizer import files

        if not is_address(name) and Path(name).is_dir():
            return files.load(Path(name), device)
        resolve_precision("auto", resolve_device(str(device)))  # refused before anything is fetched
        try:
            address = _with_revision(parse(name), revision)
            folder = fetch(
                address,
                token=token,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
                force_download=force_download,
            )
        except ValueError as error:
            if is_address(name):
                raise
            raise ValueError(f"{error} There is no folder {shown(name)} either.") from None
        try:
            return files.load(folder, device)
        except ValueError as error:
            reason = str(error).partition("can't be loaded: ")[2] or str(error)
            raise ValueError(
                f"{address} can't be loaded: {reason.rstrip('.')}. Delete {folder.parents[1]}, so that it is fetched "
                "again; if that does not help, update hclnet, or tell its authors."
            ) from None

    def push_to_hub(
        self,
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
        """Upload the localizer to the Hugging Face hub, with a card; the repository is made if need be.

        Weights, settings, names of classes and the card are sent. Of a run, the card has the settings of the training,
        the number of its images, the name of its data and the metrics of its evaluations, if they are of the localizer
        as it is. No image is sent but the pictures that are named here.

        Args:
            repo_id: the name of the repository, `user/name`.
            commit_message: one line.
            private: whether a new repository is private; by default as the hub does it, which is mostly public.
            token: of the hub, which may write; by default that of `hf auth login` or HF_TOKEN.
            branch: in place of `main`; it is made if need be.
            create_pr: make a pull request in place of a commit.
            license: as the hub calls it, such as `apache-2.0` or `cc-by-4.0`.
            pictures: images, files or folders or globs, up to 16: the card shows them with heatmap and boxes.
            card: write the card, over one that is there, and drop its pictures; or leave what is there.
            log: called with lines for a person, such as which evaluations are left out.

        Returns:
            The address of the commit, or of the pull request.

        Raises:
            ValueError: the name is none, a picture can't be read, the localizer is of a kind that is not saved, you may
                not write there, or the hub can't be reached.
        """
        from hclnet.hub.pushing import push

        return push(
            cast("Localizer", self),
            repo_id,
            commit_message=commit_message,
            private=private,
            token=token,
            branch=branch,
            create_pr=create_pr,
            license=license,
            pictures=pictures,
            card=card,
            log=log,
        )


def _with_revision(address: Address, revision: str | None) -> Address:
    """Raises:
    ValueError: it has one already.
    """
    if revision is None:
        return address
    if address.revision is not None:
        raise ValueError(f"{address} names a revision already: leave revision={revision!r} out.")
    return parse(f"{address.repo}@{revision}")
