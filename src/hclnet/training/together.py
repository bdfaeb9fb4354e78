"""Several processes that train together, each on a device of its own, and this one, which watches over them.

The processes are programs of their own (`training.member`), not copies of this one: a script needs no guard around its
main part, a notebook can train, and this process keeps no trace of it. Each has a part of every batch, and Lightning's
DDP takes the mean of their gradients. This process hands out the work, passes progress on, and ends all when one ends.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from hclnet.config import RunConfig
from hclnet.device import precision_name
from hclnet.localizer.localizer import Localizer
from hclnet.progress import Report
from hclnet.stopping import Stopping
from hclnet.storage import Unwritable
from hclnet.training.batches import FeatureBatches, ImageBatches
from hclnet.training.checkpoint import WholeFiles
from hclnet.training.fitting import Fit, last_checkpoint
from hclnet.training.folder import CheckpointError
from hclnet.training.member import RANK, Job, learned
from hclnet.training.module import Diverged

COMMAND = [sys.executable, "-P", "-m", "hclnet.training.member"]
_FAULTS = {error.__name__: error for error in (CheckpointError, Diverged, Unwritable)}
_OF_OTHERS = ("RANK", "WORLD_SIZE", "NODE_RANK", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
_LOOK = 0.5  # seconds between looks at the processes, where none says anything
_GRACE = 5  # seconds for the others to end by themselves, once one has


class ProcessEnded(ValueError):
    """One of the processes that train together is gone."""


def fit_together(
    localizer: Localizer, config: RunConfig, dataset: FeatureBatches | ImageBatches, out: Path, report: Report
) -> Fit:
    """As `fit`, in `config.devices` processes; afterwards the localizer of this one has learned what they have.

    Ctrl-C stops them after a step, a second one at once. SIGTERM ends them.

    Raises:
        ValueError: as `fit`.
        ProcessEnded: one of them was killed, or failed in a way that it should not.
    """
    stopped = out / "checkpoints" / "stopped.ckpt"
    stopped.unlink(missing_ok=True)
    kind, precision = localizer.device.type, precision_name(localizer.dtype)
    with tempfile.TemporaryDirectory(prefix="hclnet-") as folder:
        meeting = Path(folder) / "meeting"
        job = Job(config, localizer.classes, dataset, out, precision, kind, meeting, stopped)
        done = _watched(job, report)
    checkpoint = WholeFiles().load_checkpoint(last_checkpoint(out)) if done.finished else _read(stopped)
    for name, module in learned(localizer, config.tune).items():
        state = checkpoint["state_dict"].items()
        module.load_state_dict({key.removeprefix(f"{name}."): v for key, v in state if key.startswith(f"{name}.")})
    stopped.unlink(missing_ok=True)
    return done


def _read(stopped: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(stopped, map_location="cpu", weights_only=True)
    return state


def _watched(job: Job, report: Report) -> Fit:
    members: list[_Member] = []
    woken = threading.Event()
    with Stopping() as stopping:
        try:
            with stopping.held():
                content = pickle.dumps(job)
                for rank in range(job.config.devices):  # one at a time: those that are there are ended if one fails
                    members.append(_Member(rank, job, content, woken.set))
            return _wait(members, woken, report)
        finally:
            with stopping.held():
                for member in members:
                    member.end()


def _wait(members: Sequence[_Member], woken: threading.Event, report: Report) -> Fit:
    first, asked = members[0], False
    while True:
        try:
            woken.wait(_LOOK)
            woken.clear()
            if first.progress:
                report(*first.progress)
            codes = [member.process.poll() for member in members]
            if first.result and not first.result.finished:
                return first.result
            if any(codes):
                raise _fault(members)
            if all(code == 0 for code in codes):
                first.finish()
                assert first.result is not None  # or it would not have ended well
                return first.result
        except KeyboardInterrupt:
            if asked:
                raise
            asked = True
            first.stop()


def _fault(members: Sequence[_Member]) -> Exception:
    """Why they ended: what one was killed by, or else what one said. The others fail for want of it."""
    for member in members:
        with suppress(subprocess.TimeoutExpired):
            member.process.wait(_GRACE)
    of = len(members)
    for number, member in enumerate(members, 1):
        if (code := member.process.returncode) is not None and code < 0:
            by = signal.Signals(-code).name
            return ProcessEnded(
                f"Process {number} of {of} of the training was ended by {by}. {_KEPT} If it was ended for want of "
                "memory, take a smaller batch first."
            )
    for member in members:
        member.finish()
    for member in members:
        if member.said:
            return _FAULTS.get(member.said["kind"], ValueError)(member.said["said"])
    traces = [f"Process {number} of {of}:\n{member.trace}" for number, member in enumerate(members, 1) if member.trace]
    ended = [f"process {number} of {of} ended with code {m.process.returncode}" for number, m in enumerate(members, 1)]
    return ProcessEnded(f"The training failed. {_KEPT}\n" + "\n".join(traces or ended))


_KEPT = "The checkpoint of the last whole epoch is kept: go on with --resume."


class _Member:
    """One of the processes.

    Args:
        rank: which one, from 0.
        job: what they do.
        content: the same, as it is sent.
        woke: called when it has said something.

    Raises:
        ValueError: it can't be started.
    """

    def __init__(self, rank: int, job: Job, content: bytes, woke: Callable[[], None]) -> None:
        self.progress: tuple[Any, ...] = ()
        self.result: Fit | None = None
        self.said: dict[str, str] | None = None
        self.trace = ""
        environment = _environment(rank, job)
        try:
            self.process = subprocess.Popen(
                COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
            )  # a terminal's Ctrl-C is for this process
        except OSError as error:
            raise ValueError(
                f"Process {rank + 1} of {job.config.devices} of the training can't be started: {error.strerror}. End "
                "other programs, or take fewer devices."
            ) from None
        self._orders: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._orders.put(content)
        self._woke = woke
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._tell, self._hear)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """After the step that it is in."""
        self._orders.put(b"stop\n")

    def finish(self) -> None:
        """Wait for what it has said before it ended."""
        self._threads[1].join(_GRACE)

    def end(self) -> None:
        """At once, and with it the processes that decode for it."""
        if self.process.poll() is None:
            if hasattr(os, "killpg"):
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
        self.process.wait()
        self._orders.put(None)
        for thread in self._threads:
            thread.join(_GRACE)

    def _tell(self) -> None:
        """What it is to do goes to it in a thread of its own: it reads when it has loaded what it needs."""
        assert self.process.stdin is not None
        with suppress(OSError), self.process.stdin as pipe:
            while (order := self._orders.get()) is not None:
                pipe.write(order)
                pipe.flush()

    def _hear(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as pipe:
            for line in pipe:
                event = json.loads(line)
                if "done" in event:
                    self.progress = (event["done"], event["total"], event["note"])
                elif "finished" in event:
                    self.result = Fit(**event)
                elif "said" in event:
                    self.said = event
                else:
                    self.trace = event["trace"]
                self._woke()
        self._woke()


def _environment(rank: int, job: Job) -> dict[str, str]:
    """Of a process: which one it is, what this one can import, and its share of the processor."""
    threads = max(1, torch.get_num_threads() // job.config.devices)
    path = os.pathsep.join(part or str(Path.cwd()) for part in sys.path)
    found = {name: value for name, value in os.environ.items() if name not in _OF_OTHERS}
    found |= {RANK: str(rank), "PYTHONPATH": path}
    found.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # or DDP says that it had looked for parameters without gradients
    if job.device == "cpu":
        found.setdefault("OMP_NUM_THREADS", str(threads))
    if loopback := {"lo", "lo0"} & {name for _, name in socket.if_nameindex()}:
        found.setdefault("GLOO_SOCKET_IFNAME", loopback.pop())  # nothing leaves the machine
    return found
