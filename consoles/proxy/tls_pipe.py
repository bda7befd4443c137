"""Takes TLS off a viewer's connection, in a thread of its own, so that pumps only ever see plain sockets."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from threading import Thread

_CHUNK = 64 * 1024
_LAST_WORDS = 1.0  # seconds that what is left may take when one side has ended
_IN, _OUT = select.POLLIN, select.POLLOUT


class TlsPipe:
    """Carries bytes between a TLS socket and one end of a socket pair, holding one chunk each way.

    Ends when either side does, and closes both its sockets then.
    """

    def __init__(self, outer: ssl.SSLSocket, inner: socket.socket) -> None:
        self._outer, self._inner = outer, inner
        self._to_inner = self._to_outer = b""
        self._read_waits, self._write_waits = _IN, _OUT  # TLS may have to write in order to read, and the reverse
        self._until: float | None = None  # when one side has ended

    def run(self) -> None:
        """Carry bytes until it is over."""
        with contextlib.closing(self._outer), contextlib.suppress(OSError):
            with contextlib.closing(self._inner):
                for side in (self._outer, self._inner):
                    side.setblocking(False)
                while self._turn():
                    pass
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        """End TLS, and wait a moment until the other side has read all: closing earlier could take it away."""
        with contextlib.suppress(ssl.SSLError):
            self._outer.unwrap()
        self._outer.shutdown(socket.SHUT_WR)
        until = time.monotonic() + _LAST_WORDS
        while (left := until - time.monotonic()) > 0:
            self._outer.settimeout(left)
            if not self._outer.recv(_CHUNK):
                return

    def _turn(self) -> bool:
        """Move what can be moved, or wait until something can; return whether there is more to do."""
        moved = self._read_outer() | self._write_inner() | self._read_inner() | self._write_outer()
        if moved:
            return True
        if self._until is None:
            self._wait(None)
            return True
        left = self._until - time.monotonic()
        if left > 0 and (self._to_inner or self._to_outer):
            self._wait(left)
            return True
        return False

    def _read_outer(self) -> bool:
        if self._to_inner or self._until is not None:
            return False
        try:
            self._to_inner = self._outer.recv(_CHUNK)
        except ssl.SSLWantReadError:
            self._read_waits = _IN
        except ssl.SSLWantWriteError:
            self._read_waits = _OUT
        except OSError:
            self._ended()
        else:
            if not self._to_inner:
                self._ended()
        return bool(self._to_inner)

    def _read_inner(self) -> bool:
        if self._to_outer or self._until is not None:
            return False
        try:
            self._to_outer = self._inner.recv(_CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            self._ended()
        else:
            if not self._to_outer:
                self._ended()
        return bool(self._to_outer)

    def _write_inner(self) -> bool:
        if not self._to_inner:
            return False
        try:
            sent = self._inner.send(self._to_inner)
        except BlockingIOError:
            return False
        self._to_inner = self._to_inner[sent:]
        return True

    def _write_outer(self) -> bool:
        if not self._to_outer:
            return False
        try:
            sent = self._outer.send(self._to_outer)
        except ssl.SSLWantWriteError:
            self._write_waits = _OUT
            return False
        except ssl.SSLWantReadError:
            self._write_waits = _IN
            return False
        self._to_outer = self._to_outer[sent:]
        return True

    def _ended(self) -> None:
        self._until = time.monotonic() + _LAST_WORDS

    def _wait(self, seconds: float | None) -> None:
        """Wait for what the next turn needs; a side of no interest is left out, or its hang-up would wake us."""
        ended = self._until is not None
        outer = (0 if self._to_inner or ended else self._read_waits) | (self._write_waits if self._to_outer else 0)
        inner = (0 if self._to_outer or ended else _IN) | (_OUT if self._to_inner else 0)
        poll = select.poll()
        for side, events in ((self._outer, outer), (self._inner, inner)):
            if events:
                poll.register(side, events)
        poll.poll(None if seconds is None else seconds * 1000)


def plain(connection: socket.socket) -> socket.socket:
    """Return a socket of plain bytes for a connection: itself, or for TLS an end of a pair that a thread serves."""
    if not isinstance(connection, ssl.SSLSocket):
        return connection
    inner, outer = socket.socketpair()
    Thread(target=TlsPipe(connection, inner).run, name="tls", daemon=True).start()
    return outer
