"""`python paused.py EPOCH STEP FILE VERB ...` is `hclnet VERB ...` that waits in the middle of a step of training.

It makes FILE when it is there, so that who started it knows when to send a signal; nobody else can tell.
"""

import signal
import sys
import time
from pathlib import Path

from hclnet.cli import main
from hclnet.training.module import Training

# A shell's background job hands the signal on ignored, and this would never be interrupted.
signal.signal(signal.SIGINT, signal.default_int_handler)
epoch, step, reached = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
real = Training.training_step


def training_step(self, batch, batch_idx):
    if (self.current_epoch, batch_idx) == (epoch, step):
        reached.touch()
        time.sleep(300)
    return real(self, batch, batch_idx)


Training.training_step = training_step
sys.argv = ["hclnet", *sys.argv[4:]]
main()
