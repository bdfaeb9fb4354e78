"""What a process took of memory."""

from __future__ import annotations

import re
import resource
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak() -> int:
    """The most resident memory that this process has had since its program was started, bytes.

    `ru_maxrss` has that of the process that started it too, until the program was loaded.
    """
    if _STATUS.exists():
        return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text()).group(1))
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def peak_of_others() -> int:
    """The most resident memory that any process has had that this one started and that has ended, bytes.

    It is at least what this one had when it started it.
    """
    return 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
