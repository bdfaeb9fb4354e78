"""`hclnet` in a process that can be killed at any moment: a copy of this one, which has loaded all that takes long.

What it starts itself is found by the session that it begins, where there is `/proc`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hclnet.cli import main


def start(arguments: Sequence[str], said: Path, begins_session: bool = False) -> int:
    """The process of a command. What it says is added to a file."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        if begins_session:
            os.setsid()
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it goes with this process, however that ends
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


def is_there(process: int) -> bool:
    """Whether a process lives; one that has ended and that nobody has asked about does not."""
    try:
        os.kill(process, 0)
        return not Path("/proc/self").exists() or _state(process)[0] not in "ZX"
    except (ProcessLookupError, FileNotFoundError):
        return False


def _state(process: int) -> tuple[str, int]:
    """A letter, Z or X if it has ended, and the number of its session."""
    state, _, _, session = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[:4]
    return state, int(session)


def processes_of(session: int) -> dict[int, str]:
    """The processes of a session that live, with their names."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, its_session = _state(int(folder.name))
            if its_session == session and state not in "ZX":
                name = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                found[int(folder.name)] = name
    return found


def end_session(session: int, seconds: float = 0) -> dict[int, str]:
    """Kill what lives of a session after some seconds, and return it."""
    until = time.monotonic() + seconds
    while (living := processes_of(session)) and time.monotonic() < until:
        time.sleep(0.1)
    for process in living:
        with suppress(OSError):
            os.kill(process, signal.SIGKILL)
    return living
