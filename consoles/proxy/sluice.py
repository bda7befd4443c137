"""Moves many bytes from one socket to another within the kernel (splice), so that they cost no time here."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from functools import cache

SIZE = 1024 * 1024
"""Bytes that the kernel may hold between the two sockets: each call costs it about as much as 256 KiB do."""
LEAST = 64 * 1024
"""Bytes that are taken at once for a target that did not keep up, so that what it shows is not old."""


class Sluice:
    """A pipe of the kernel. What is filled in is drained in order; `held` bytes are in it."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # the system's limit for one user is reached: a smaller one does too
            fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, SIZE)
        self._gulp = SIZE
        self.held = 0

    def fill(self, source: int) -> int:
        """Take what a socket has, as much as fits; return how many bytes came, 0 at its end.

        Raises:
            BlockingIOError: it has nothing now.
            OSError: it failed, or cannot be spliced from.
        """
        count = os.splice(source, self._in, self._gulp, flags=os.SPLICE_F_NONBLOCK)
        self.held += count
        return count

    def drain(self, target: int) -> None:
        """Give a socket all that is held.

        Raises:
            BlockingIOError: it takes no more now.
            OSError: it failed.
        """
        gulp, self._gulp = self._gulp, LEAST
        while self.held:
            self.held -= os.splice(self._out, target, self.held, flags=os.SPLICE_F_NONBLOCK)
        self._gulp = min(2 * gulp, SIZE)

    def rest(self) -> bytes:
        """Take all that is held out of it."""
        data, self.held = os.read(self._out, self.held), 0
        return data

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self._in)
        os.close(self._out)


@cache
def sluices_work() -> bool:
    """Return whether this system splices between sockets; a sandbox may not."""
    ours, theirs = socket.socketpair()
    with ours, theirs, contextlib.closing(Sluice()) as sluice:
        ours.sendall(b"x")
        try:
            sluice.fill(theirs.fileno())
            sluice.drain(theirs.fileno())
        except OSError:
            return False
        return ours.recv(1) == b"x"
