"""`python killed.py SEED TIMES FOLDER ARGUMENTS...`: `hclnet ARGUMENTS`, each time from the beginning and killed at a
moment drawn by lot, and then gone on with to the end. `FOLDER/whole` is the run that nothing disturbed.

The lot is an epoch, and a time after it was reached. Each time is a process of its own; it is a copy of this one, which
has loaded all that takes long.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import hclnet.workflows.train  # noqa: F401, so that the copies have it
from hclnet.cli import main
from hclnet.training.folder import is_run


def start(arguments, said):
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        with open(said, "a") as file:  # noqa: PTH123
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.argv = ["hclnet", *arguments]
        main()
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        os._exit(code)


def finished(arguments, said):
    process = start(arguments, said)
    assert os.waitpid(process, 0)[1] == 0, said.read_text()


def run():
    seed, times, folder, *arguments = sys.argv[1:]
    lot, folder = random.Random(int(seed)), Path(folder)
    said = folder / "said"
    begun = time.monotonic()
    finished([*arguments, "--out", str(folder / "whole")], said)
    seconds = time.monotonic() - begun
    for number in range(int(times)):
        out = folder / str(number)
        call = [*arguments, "--out", str(out)]
        process, wanted = start(call, said), lot.randrange(epochs(folder / "whole"))
        until = time.monotonic() + seconds
        while epochs(out) < wanted and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(lot.uniform(0, seconds / 20))
        os.kill(process, signal.SIGKILL)
        status = os.waitpid(process, 0)[1]
        assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0, said.read_text()
        done = epochs(out)
        finished([*call, "--resume"] if is_run(out) else call, said)
        print("killed" if os.WIFSIGNALED(status) else "ended", done, flush=True)


def epochs(run):
    """How many are done."""
    try:
        return len((run / "metrics.csv").read_text().splitlines()) - 1
    except FileNotFoundError:
        return 0


if __name__ == "__main__":
    run()
