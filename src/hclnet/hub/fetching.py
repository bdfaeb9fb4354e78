"""A model on the hub -> a folder on this machine, through the cache of `huggingface_hub`."""

from __future__ import annotations

from pathlib import Path

from hclnet import __version__
from hclnet.hub.address import Address

FILES = ("localizer.json", "model.safetensors")
"""What is fetched of a repository, and nothing else: JSON and safetensors, which can't run a program."""


def fetch(
    address: Address,
    *,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
) -> Path:
    """The folder with a model's files. They are fetched if they are not there, or the branch has moved on.

    Args:
        address: of the model.
        token: of the hub; by default that of `hf auth login` or HF_TOKEN.
        cache_dir: in place of the hub's cache.
        local_files_only: take what is there, and fetch nothing.
        force_download: fetch them though they are there.

    Raises:
        ValueError: there is no such model, it can't be had, or it is none of hclnet.
    """
    from huggingface_hub import snapshot_download

    from hclnet.hub import faults

    try:
        folder = Path(
            snapshot_download(
                address.repo,
                revision=address.revision,
                allow_patterns=list(FILES),
                token=token,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
                force_download=force_download,
                library_name="hclnet",
                library_version=__version__,
            )
        )
    except Exception as error:  # a network can fail in any way
        raise ValueError(faults.of_reading(error, address, local_files_only)) from None
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"{address} is no model of hclnet: it has no {missing[0]}. Take one that `hclnet push` or push_to_hub made."
        )
    return folder
