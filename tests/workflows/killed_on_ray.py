"""`python killed_on_ray.py SEED FOLDER ARGUMENTS...`: `hclnet ARGUMENTS --engine ray`, killed at moments drawn by lot.

First a worker and then the command itself, and in the second start a worker alone, where the command comes to its end
all the same. The results in FOLDER are looked at after each; what was not killed, and without Ray, is beside them.
"""

import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from killed import count, look

import hclnet.workflows.locate
import hclnet.workflows.shards  # noqa: F401

sys.path.insert(0, str(Path(__file__).parents[1]))

from killing import end_session, finish, kill, processes_of, start

LONG = 500  # seconds that nothing of this takes


def workers(process):
    return [one for one, name in processes_of(process).items() if name.startswith("ray::MapWorker")]


def has_ended(process):
    return process not in processes_of(process)


def wait(process, out, lines):
    """Until there is a worker and so much is located, or the process has come to its end."""
    until = time.monotonic() + LONG
    while not (workers(process) and count(out) >= lines) and not has_ended(process):
        assert time.monotonic() < until, "nothing goes on"
        time.sleep(0.01)


def run():
    seed, out, *arguments = sys.argv[1:]
    lot, out, said = random.Random(int(seed)), Path(out), Path(out).with_name("said")
    finish([*arguments, "--out", str(out.with_name("whole"))], said)
    arguments += ["--out", str(out), "--engine", "ray", "--workers", "2"]
    for victims in (["worker", "driver"], ["worker"]):
        process = start(arguments, said, begins_session=True)
        try:
            for victim in victims:
                wait(process, out, count(out) + lot.randint(0, 30))
                time.sleep(lot.uniform(0, 0.05))
                if victim == "driver":
                    print("driver", "killed" if kill(process, said) else "ended", look(out), flush=True)
                elif there := workers(process):
                    with suppress(ProcessLookupError):
                        os.kill(lot.choice(there), signal.SIGKILL)
                        print("worker killed", count(out), flush=True)
            if victims[-1] == "worker":
                wait(process, out, float("inf"))
                assert os.waitpid(process, 0)[1] == 0, said.read_text()
        finally:
            left = end_session(process, LONG)
        assert not left, f"these live on: {left}"
    print("whole", look(out), flush=True)


if __name__ == "__main__":
    run()
