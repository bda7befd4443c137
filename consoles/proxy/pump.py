"""Carries bytes between one client and one display, in one thread, with bounded memory in both directions.

The display is read only when nothing waits for the client, so a slow client slows the display and not the proxy. The
client is read only while little waits for the display. Nothing blocks but poll().
"""

from __future__ import annotations

import contextlib
import mmap
import select
import socket
import time
from collections.abc import Sequence

from consoles.proxy.endings import GOODBYES, Ending
from consoles.proxy.frames import FrameError, FrameReader, Opcode, close_payload, header
from consoles.proxy.rfb import ClientStream, RfbError
from consoles.proxy.sessions import Session

PING_EVERY = 20.0
SILENCE = 60.0
"""Seconds without a byte from the client, not even a pong, after which it counts as gone."""
_CHUNK = 64 * 1024
_MOST_FOR_DISPLAY = 256 * 1024
_UNSENT = 128 * 1024  # bytes the kernel may hold unsent for a slow client, so that its screen is not minutes old
_LAST_WORDS = 0.3
_LINGER = 0.5

_IN, _OUT = select.POLLIN, select.POLLOUT


class Pump:
    """One session's loop. Both sockets are plain: TLS ends in front of the proxy."""

    def __init__(self, client: socket.socket, display: socket.socket, session: Session) -> None:
        self._client = client
        self._display = display
        self._session = session
        self._frames = FrameReader()
        self._stream = ClientStream(session.mode)
        self._buffer = mmap.mmap(-1, _CHUNK)  # memory that an idle console does not touch
        self._for_client: list[memoryview] = []  # whole frames, the first perhaps partly sent
        self._for_display = bytearray()
        self._pong: bytes | None = None
        self._ending: Ending | None = None
        self._poll = select.poll()
        self._asked: dict[int, int] = {}
        self._heard_at = time.monotonic()
        self._ping_at = self._heard_at + PING_EVERY

    def run(self, early: bytes = b"") -> Ending:
        """Carry bytes until either side ends or the session is ended; return why. The client gets a close frame.

        Args:
            early: what the client sent together with its request.
        """
        for side in (self._client, self._display):
            side.setblocking(False)
        if self._client.family != socket.AF_UNIX:
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
        self._poll.register(self._session.wake, _IN)
        try:
            self._from_client(early)
            while self._ending is None:
                self._turn()
        except FrameError as error:
            self._ending = error.ending
        except RfbError:
            self._ending = Ending.BAD_RFB
        except OSError:  # the client's socket; the display's own errors are dealt with where they happen
            self._ending = Ending.LEFT
        finally:
            self._display.close()
        say_goodbye(self._client, self._ending, self._for_client)
        return self._ending

    def _turn(self) -> None:
        """Wait for something to do, and do it."""
        self._ask(self._client, self._client_events())
        self._ask(self._display, self._display_events())
        now = time.monotonic()
        wait = min(self._ping_at, self._heard_at + SILENCE) - now
        ready = dict(self._poll.poll(max(0.0, wait) * 1000 + 1))
        if self._session.ending:
            self._ending = self._session.ending
            return
        if self._for_client or self._pong is not None:
            self._to_client()
        if events := ready.get(self._display.fileno()):
            self._display_ready(events)
        if ready.get(self._client.fileno(), 0) & ~_OUT:
            self._client_ready()
        self._tick(time.monotonic())

    def _client_events(self) -> int:
        room = len(self._for_display) < _MOST_FOR_DISPLAY
        waiting = self._for_client or self._pong is not None
        return (_IN if room else 0) | (_OUT if waiting else 0)

    def _display_events(self) -> int:
        return (0 if self._for_client else _IN) | (_OUT if self._for_display else 0)

    def _ask(self, side: socket.socket, events: int) -> None:
        """Tell poll what is of interest; a side of none is left out, or its hang-up would wake us for ever."""
        number = side.fileno()
        if self._asked.get(number, 0) == events:
            return
        if events:
            self._poll.register(number, events)
        else:
            self._poll.unregister(number)
        self._asked[number] = events

    def _display_ready(self, events: int) -> None:
        if events & _OUT:
            self._to_display()
        if events & ~_OUT and not self._for_client:
            self._from_display()

    def _from_display(self) -> None:
        try:
            count = self._display.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self._ending = Ending.DISPLAY_CLOSED
            return
        self._session.to_client += count
        self._for_client = [memoryview(header(Opcode.BINARY, count)), memoryview(self._buffer)[:count]]
        self._to_client()

    def _client_ready(self) -> None:
        try:
            data = self._client.recv(_CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._ending = Ending.LEFT
            return
        self._from_client(data)

    def _from_client(self, data: bytes) -> None:
        """Understand a client's bytes and hand on what may pass."""
        if data:
            self._heard_at = time.monotonic()
        for piece in self._frames.feed(data):
            if piece.opcode is Opcode.BINARY:
                self._session.from_client += len(piece.payload)
                self._for_display += self._stream.feed(piece.payload)
            elif piece.opcode is Opcode.PING:
                self._pong = piece.payload  # only the newest is answered, so that pings cannot pile up
            elif piece.opcode is Opcode.CLOSE:
                self._ending = Ending.LEFT
                break
        if self._for_display:
            self._to_display()
        if self._pong is not None:
            self._to_client()

    def _to_display(self) -> None:
        try:
            while self._for_display:
                sent = self._display.send(self._for_display)
                del self._for_display[:sent]
        except BlockingIOError:
            return
        except OSError:  # it no longer listens; what it still says is shown before its end is noticed
            self._for_display.clear()

    def _to_client(self) -> None:
        """Send what waits, as far as the client takes it."""
        try:
            while self._for_client or self._pong is not None:
                if not self._for_client and self._pong is not None:
                    self._for_client, self._pong = _frame(Opcode.PONG, self._pong), None
                self._for_client = _without(self._for_client, self._client.sendmsg(self._for_client))
        except BlockingIOError:
            return

    def _tick(self, now: float) -> None:
        if now - self._heard_at >= SILENCE:
            self._ending = self._ending or Ending.SILENT
        elif now >= self._ping_at:
            self._ping_at = now + PING_EVERY
            self._for_client += _frame(Opcode.PING, b"")
            self._to_client()


def say_goodbye(client: socket.socket, ending: Ending, begun: Sequence[memoryview] = ()) -> None:
    """Send a close frame behind the frames that were begun, and wait a moment until the client has read it.

    Args:
        client: the client's socket, non-blocking.
        ending: why.
        begun: what is left of a frame that was partly sent.
    """
    goodbye = GOODBYES[ending]
    left = [*begun, *_frame(Opcode.CLOSE, close_payload(goodbye.code, goodbye.sentence))]
    until = time.monotonic() + _LAST_WORDS
    with contextlib.suppress(OSError):  # it may be gone already
        while left and _wait(client, _OUT, until):
            left = _without(left, client.sendmsg(left))
        client.shutdown(socket.SHUT_WR)
        until = time.monotonic() + _LINGER
        while _wait(client, _IN, until) and client.recv(_CHUNK):
            pass


def _frame(opcode: Opcode, payload: bytes) -> list[memoryview]:
    return [memoryview(header(opcode, len(payload)) + payload)]


def _without(parts: Sequence[memoryview], sent: int) -> list[memoryview]:
    """Return what is left of these parts after their first `sent` bytes."""
    for index, part in enumerate(parts):
        if sent < len(part):
            return [part[sent:], *parts[index + 1 :]]
        sent -= len(part)
    return []


def _wait(side: socket.socket, events: int, until: float) -> bool:
    """Return whether the socket became ready in time."""
    poll = select.poll()
    poll.register(side, events)
    return bool(poll.poll(max(0.0, until - time.monotonic()) * 1000))
