"""The command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hclnet.cli.app import app

Run = Callable[..., Result]


def invoke(*arguments: str | Path) -> Result:
    """`hclnet ARGUMENTS`; an exception that is no clean exit fails the test."""
    runner = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})
    return runner.invoke(app, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture
def hclnet() -> Run:
    return invoke
