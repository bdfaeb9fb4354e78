"""Checkpoints on a disk that has no room."""

import resource

import pytest
import torch

from hclnet.training import CheckpointError
from hclnet.training.checkpoint import WholeFiles


@pytest.fixture
def no_room():
    """No file can grow over 64 KiB, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_one_before_stays_whole_and_the_error_says_what_to_do(tmp_path, no_room):
    path = tmp_path / "checkpoints" / "last.ckpt"
    WholeFiles().save_checkpoint({"step": torch.tensor(1)}, path)
    with pytest.raises(
        CheckpointError, match=r"last\.ckpt can't be written .* GB are free.*one before is whole.*--resume"
    ):
        WholeFiles().save_checkpoint({"step": torch.zeros(10**6)}, path)
    assert torch.load(path, weights_only=True)["step"] == 1
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_the_first_one(tmp_path, no_room):
    with pytest.raises(CheckpointError, match="There was none before"):
        WholeFiles().save_checkpoint({"step": torch.zeros(10**6)}, tmp_path / "last.ckpt")
    assert not list(tmp_path.iterdir())
