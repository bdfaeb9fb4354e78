"""Checkpoints: each is on disk whole, or is still the one before."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from hclnet.storage import Unwritable, whole
from hclnet.training.folder import CheckpointError


class WholeFiles(TorchCheckpointIO):
    """Writes beside the checkpoint, syncs and renames: neither a kill nor a loss of power damages the one before.

    Lightning's own way goes through the system's folder for temporary files. That is often on another disk, and from
    there a file is not renamed but copied.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Raises:
        CheckpointError: it can't be written, most often because the disk is full.
        """
        path = Path(path)
        try:
            # Python opens the file: of one that torch opens nobody learns why it can't be written.
            with whole(path) as part, part.open("wb") as file:
                torch.save(checkpoint, file)
        except (Unwritable, RuntimeError) as error:
            cause = error.__cause__ or error
            reason = getattr(cause, "strerror", None) or str(cause).splitlines()[0].rstrip(".")
            free = shutil.disk_usage(path.parent).free / 1e9 if path.parent.is_dir() else 0
            before = "The one before is whole" if path.exists() else "There was none before"
            raise CheckpointError(
                f"The checkpoint {path} can't be written ({reason}); {free:.1f} GB are free on its disk. {before}: "
                "make room and go on with --resume."
            ) from error

    def load_checkpoint(self, path: str | Path, *args: Any, **options: Any) -> dict[str, Any]:
        """Raises:
        CheckpointError: the file is damaged.
        """
        try:
            found = super().load_checkpoint(path, *args, **options)
            missing = {"state_dict", "optimizer_states", "lr_schedulers", "loops"} - set(found)
        except Exception as error:  # a damaged file can fail in any way
            reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        else:
            if not missing:
                state = found["state_dict"]  # version 0.1 called the backbone the trunk
                found["state_dict"] = {re.sub(r"^trunk\.", "backbone.", name): value for name, value in state.items()}
                return found
            reason = f"it has no {', '.join(sorted(missing))}"
        raise CheckpointError(
            f"{path} is damaged: {reason}. Delete it and begin again with the same command, or name another folder "
            f"with --out."
        )
