"""A socket that a server listens on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

LOOPBACK = "127.0.0.1"
"""This machine alone."""


@contextmanager
def listening(port: int, host: str = LOOPBACK) -> Iterator[socket.socket]:
    """A socket; connections wait from now on.

    Args:
        port: 0: one that is free.
        host: an address of this machine.

    Raises:
        ValueError: the port can't be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as found:
        if os.name == "posix":  # so that the same port can be had again at once
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((host, port))
            found.listen(128)  # the address is printed now, and has to answer
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            where = "" if host == LOOPBACK else f" of {host}"
            raise ValueError(f"Port {port}{where} can't be had: {reason}. --port 0 takes a free one.") from None
        yield found
