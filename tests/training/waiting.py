"""`python waiting.py FOLDER EPOCH STEP VERB ...` is `hclnet VERB ...` whose processes wait in a step of training.

There process 0 makes FOLDER/reached, and goes on when it is told to stop. Each process writes its number into a file in
FOLDER. `python waiting.py` alone is such a process.
"""

import os
import signal
import sys
import time
from pathlib import Path

FOLDER, WHERE = "WAITING_FOLDER", "WAITING_WHERE"


def command():
    from hclnet.cli import main
    from hclnet.training import together

    # A shell's background job hands the signal on ignored, and this would never be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ[FOLDER], os.environ[WHERE] = sys.argv[1], " ".join(sys.argv[2:4])
    together.COMMAND[:] = [sys.executable, __file__]
    sys.argv = ["hclnet", *sys.argv[4:]]
    main()


def process():
    from hclnet.training import fitting, member
    from hclnet.training.module import Training

    folder, rank = Path(os.environ[FOLDER]), os.environ[member.RANK]
    where = tuple(map(int, os.environ[WHERE].split()))
    (folder / f"process-{rank}").write_text(str(os.getpid()))
    real, asked = Training.training_step, []
    plain = fitting._Stops.__init__

    def init(self, stop):
        plain(self, stop)
        asked.append(stop)

    def training_step(self, batch, batch_idx):
        if rank == "0" and (self.current_epoch, batch_idx) == where:
            (folder / "reached").touch()
            until = time.monotonic() + 250
            while not asked[0]() and time.monotonic() < until:
                time.sleep(0.05)
        return real(self, batch, batch_idx)

    fitting._Stops.__init__, Training.training_step = init, training_step
    member.main()


if __name__ == "__main__":
    command() if len(sys.argv) > 1 else process()
