"""`python killed.py SEED TIMES FOLDER ARGUMENTS...`: `hclnet ARGUMENTS`, each time from the beginning and killed at a
moment drawn by lot, and then gone on with to the end. `FOLDER/whole` is the run that nothing disturbed.

The lot is an epoch, and a time after it was reached. Each time is a process of its own; it is a copy of this one, which
has loaded all that takes long.
"""

import random
import sys
import time
from pathlib import Path

import hclnet.workflows.train  # noqa: F401, so that the copies have it
from hclnet.training.folder import is_run

sys.path.insert(0, str(Path(__file__).parents[1]))

from killing import finish, kill, start


def run():
    seed, times, folder, *arguments = sys.argv[1:]
    lot, folder = random.Random(int(seed)), Path(folder)
    said = folder / "said"
    begun = time.monotonic()
    finish([*arguments, "--out", str(folder / "whole")], said)
    seconds = time.monotonic() - begun
    for number in range(int(times)):
        out = folder / str(number)
        call = [*arguments, "--out", str(out)]
        process, wanted = start(call, said), lot.randrange(epochs(folder / "whole"))
        until = time.monotonic() + seconds
        while epochs(out) < wanted and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(lot.uniform(0, seconds / 20))
        killed, done = kill(process, said), epochs(out)
        finish([*call, "--resume"] if is_run(out) else call, said)
        print("killed" if killed else "ended", done, flush=True)


def epochs(run):
    """How many are done."""
    try:
        return len((run / "metrics.csv").read_text().splitlines()) - 1
    except FileNotFoundError:
        return 0


if __name__ == "__main__":
    run()
