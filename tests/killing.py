"""`hclnet` in a process that can be killed at any moment: a copy of this one, which has loaded all that takes long."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from hclnet.cli import main


def start(arguments: Sequence[str], said: Path) -> int:
    """The process of a command. What it says is added to a file."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        with said.open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.argv = ["hclnet", *arguments]
        main()
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        os._exit(code)


def finish(arguments: Sequence[str], said: Path) -> None:
    """A command to its end, which is to be a good one."""
    assert os.waitpid(start(arguments, said), 0)[1] == 0, said.read_text()


def kill(process: int, said: Path) -> bool:
    """Kill a process; whether it had not come to a good end before."""
    os.kill(process, signal.SIGKILL)
    status = os.waitpid(process, 0)[1]
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0, said.read_text()
    return os.WIFSIGNALED(status)
