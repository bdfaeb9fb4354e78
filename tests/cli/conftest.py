"""The command line in this process, and a tiny drawn data set with one trained run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hclnet.cli.app import app
from hclnet.data.parts import PartsOptions, write

Run = Callable[..., Result]
TINY = ("--size", "64", "--epochs", "1", "--device", "cpu")


def invoke(*arguments: str | Path) -> Result:
    """`hclnet ARGUMENTS`; an exception that is no clean exit fails the test."""
    runner = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})
    return runner.invoke(app, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture
def hclnet() -> Run:
    return invoke


@pytest.fixture(scope="session")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("birds")
    write(PartsOptions(classes=3, train=4, test=2, size=64), root)
    return root


@pytest.fixture(scope="session")
def trained(birds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of HCLNet on the birds."""
    run = tmp_path_factory.mktemp("runs") / "mine"
    result = invoke("train", birds, *TINY, "--out", run)
    assert result.exit_code == 0, result.output
    return run
