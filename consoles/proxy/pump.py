"""Carries bytes between one client and one display, in one thread, with bounded memory in both directions.

The display is read only when nothing waits for the client, so a slow client slows the display and not the proxy. The
client is read only while little waits for the display. Nothing blocks but poll(). A display that pours is not read
at all: its bytes go to the client within the kernel.
"""

from __future__ import annotations

import contextlib
import mmap
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from consoles.proxy.endings import GOODBYES, Ending
from consoles.proxy.filters import Filter, FilterError
from consoles.proxy.frames import FrameError, FrameReader, Opcode, Piece, close_payload, header
from consoles.proxy.sessions import Line
from consoles.proxy.sluice import Sluice, sluices_work

PING_EVERY = 20.0
SILENCE = 60.0
"""Seconds without a byte from the client, not even a pong, after which it counts as gone."""
_CHUNK = 64 * 1024
_LITTLE = 16 * 1024
"""Bytes at once below which a display no longer pours."""
_IN_A_TURN = 8
_MOST_FOR_DISPLAY = 256 * 1024
_UNSENT = 128 * 1024  # bytes the kernel may hold unsent for a slow client, so that its screen is not minutes old
_LAST_WORDS = 0.3
_LINGER = 0.5

_IN, _OUT = select.POLLIN, select.POLLOUT
_ANSWERS = {Opcode.PING: Opcode.PONG, Opcode.TEXT: Opcode.TEXT}


class Tee(Protocol):
    """Gets a copy of every byte that a display sends. It must be quick and must not raise: its pump waits for it."""

    def __call__(self, data: memoryview) -> None:
        """Take bytes; the view is only good until this returns."""

    def close(self) -> None:
        """There will be no more."""


class Pump:
    """One connection's loop. Both sockets are plain: TLS ends in front of the proxy.

    Args:
        client: the client's socket.
        display: the machine's; closed in the end.
        line: the connection within its session.
        stream: what may pass from the client.
        tee: what gets a copy of what passes to the client.
        websocket: whether the client's side is framed.
    """

    def __init__(
        self,
        client: socket.socket,
        display: socket.socket,
        line: Line,
        stream: Filter,
        *,
        tee: Tee | None = None,
        websocket: bool = True,
    ) -> None:
        self._client = client
        self._display = display
        self._line = line
        self._session = line.session
        self._stream = stream
        self._mode = line.session.mode
        self._acts = stream.acts
        self._tee = tee
        self._websocket = websocket
        self._frames = FrameReader() if websocket else Unframed()
        self._buffer = mmap.mmap(-1, _CHUNK)  # memory that an idle console does not touch
        self._for_client: list[memoryview] = []  # whole frames, or heads of what is in the sluice; perhaps partly sent
        self._sluice: Sluice | None = None  # what it holds comes behind all of _for_client
        self._pouring = False
        self._for_display = bytearray()
        self._pong: list[memoryview] | None = None
        self._ping = False
        self._ending: Ending | None = None
        self._poll = select.poll()
        self._asked: dict[int, int] = {}
        self._now = self._heard_at = time.monotonic()
        self._ping_at = self._heard_at + PING_EVERY

    def run(self, early: bytes = b"") -> Ending:
        """Carry bytes until either side ends or the session is ended; return why. The client gets a close frame.

        Args:
            early: what the client sent together with its request.
        """
        self._prepare()
        try:
            self._woken()
            self._from_client(early)
            while self._ending is None:
                self._turn()
        except FrameError as error:
            self._ending = error.ending
        except FilterError as error:
            self._ending = error.ending
        except OSError:  # the client's socket; the display's own errors are dealt with where they happen
            self._ending = Ending.LEFT
        finally:
            self._display.close()
            if self._tee:
                self._tee.close()
            self._close_sluice()
        say_goodbye(self._client, self._ending, self._for_client, websocket=self._websocket)
        return self._ending

    def _prepare(self) -> None:
        for side in (self._client, self._display):
            side.setblocking(False)
        self._client_number, self._display_number = self._client.fileno(), self._display.fileno()
        self._poll.register(self._line.wake, _IN)
        if self._client.family == socket.AF_UNIX:
            return
        options = {socket.TCP_NODELAY: 1, socket.TCP_NOTSENT_LOWAT: _UNSENT}
        if not self._websocket:  # nobody answers pings there
            options |= {socket.TCP_KEEPIDLE: int(PING_EVERY), socket.TCP_USER_TIMEOUT: int(SILENCE * 1000)}
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in options.items():
            self._client.setsockopt(socket.IPPROTO_TCP, option, value)

    def _turn(self) -> None:
        """Wait for something to do, and do it."""
        self._ask(self._client_number, self._client_events())
        self._ask(self._display_number, self._display_events())
        wait = min(self._ping_at, self._heard_at + SILENCE) - self._now
        ready = dict(self._poll.poll(max(0.0, wait) * 1000 + 1))
        self._now = time.monotonic()
        if self._line.wake in ready:
            self._line.slept()
            self._woken()
            if self._ending:
                return
        if self._waits_for_client():
            self._to_client()
        if events := ready.get(self._display_number):
            self._display_ready(events)
        if ready.get(self._client_number, 0) & ~_OUT:
            self._client_ready()
        self._tick()

    def _woken(self) -> None:
        """Do what another thread wants of the session."""
        self._ending = self._session.ending
        if not self._ending and self._mode is not self._session.mode:
            self._mode = self._session.mode
            self._for_display += self._stream.change_mode(self._mode)
            self._to_display()

    def _client_events(self) -> int:
        room = len(self._for_display) < _MOST_FOR_DISPLAY
        return (_IN if room else 0) | (_OUT if self._waits_for_client() else 0)

    def _display_events(self) -> int:
        return (0 if self._picture_waits() else _IN) | (_OUT if self._for_display else 0)

    def _picture_waits(self) -> bool:
        """Return whether the client has not taken all that was read of the display."""
        return bool(self._for_client) or (self._sluice is not None and self._sluice.held > 0)

    def _waits_for_client(self) -> bool:
        return self._picture_waits() or self._pong is not None or self._ping

    def _ask(self, number: int, events: int) -> None:
        """Tell poll what is of interest; a side of none is left out, or its hang-up would wake us for ever."""
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
        for _ in range(_IN_A_TURN if events & ~_OUT else 0):
            if self._picture_waits() or not (self._pour() if self._pouring else self._from_display()):
                return

    def _from_display(self) -> bool:
        """Pass on what the display says; return whether it may have said more."""
        count = self._count(lambda: self._display.recv_into(self._buffer))
        if not count:
            return False
        data = memoryview(self._buffer)[:count]
        if self._tee:
            self._tee(data)
        self._for_client = [*self._head(count), data]
        self._to_client()
        self._pouring = count == len(self._buffer) and self._tee is None and sluices_work()
        return self._pouring

    def _pour(self) -> bool:
        """Pass on what the display pours, within the kernel; return whether it may have poured more."""
        try:
            sluice = self._sluice = self._sluice or Sluice()
        except OSError:  # this process has no file left: by hand, then
            self._pouring = False
            return True
        count = self._count(lambda: sluice.fill(self._display.fileno()))
        self._pouring = self._pouring if count is None else count > _LITTLE
        if not count:
            return False
        self._for_client = self._head(count)
        self._to_client()
        return True

    def _count(self, read: Callable[[], int]) -> int | None:
        """Return how many bytes were read of the display; None when it has none now, 0 when it has ended."""
        try:
            count = read()
        except BlockingIOError:
            return None
        except OSError:
            count = 0
        self._line.to_client += count
        if not count:
            self._ending = Ending.DISPLAY_CLOSED
        return count

    def _head(self, count: int) -> list[memoryview]:
        return [memoryview(header(Opcode.BINARY, count))] if self._websocket else []

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
            self._heard_at = self._now
        for piece in self._frames.feed(data):
            if piece.opcode is Opcode.BINARY:
                self._line.from_client += len(piece.payload)
                self._for_display += self._stream.feed(piece.payload)
            elif piece.opcode in _ANSWERS:  # only the newest is answered, so that pings cannot pile up
                self._pong = _frame(_ANSWERS[piece.opcode], piece.payload)
            elif piece.opcode is Opcode.CLOSE:
                self._ending = Ending.LEFT
                break
        if self._acts != self._stream.acts:
            self._acts = self._stream.acts
            self._session.acted()
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
            while self._waits_for_client():
                if self._for_client:
                    more = socket.MSG_MORE if self._sluice and self._sluice.held else 0
                    sent = self._client.sendmsg(self._for_client, (), more)
                    self._for_client = _without(self._for_client, sent)
                elif self._sluice and self._sluice.held:
                    self._sluice.drain(self._client.fileno())
                elif self._pong is not None:
                    self._for_client, self._pong = self._pong, None
                else:
                    self._for_client, self._ping = _frame(Opcode.PING, b""), False
        except BlockingIOError:
            return

    def _close_sluice(self) -> None:
        """Give the sluice back; what it holds still goes to the client."""
        if self._sluice:
            if self._sluice.held:
                self._for_client.append(memoryview(self._sluice.rest()))
            self._sluice.close()
            self._sluice = None

    def _tick(self) -> None:
        now = self._now
        if not self._websocket:  # TCP's keepalive finds the dead peers of those
            self._heard_at = now
        if now - self._heard_at >= SILENCE:
            self._ending = self._ending or Ending.SILENT
        elif now >= self._ping_at:
            self._ping_at = now + PING_EVERY
            self._ping = self._websocket
            self._to_client()
            self._rest()

    def _rest(self) -> None:
        """Give memory back that a quiet console does not need."""
        if not self._waits_for_client():
            self._pouring = False
            self._close_sluice()
            self._buffer.madvise(mmap.MADV_DONTNEED)


class Unframed:
    """Stands for a FrameReader where the client's bytes are not framed."""

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield the bytes as they are."""
        if data:
            yield Piece(Opcode.BINARY, data)


def say_goodbye(
    client: socket.socket, ending: Ending, begun: Sequence[memoryview] = (), *, websocket: bool = True
) -> None:
    """Send a close frame behind the frames that were begun, and wait a moment until the client has read it.

    Args:
        client: the client's socket, non-blocking.
        ending: why.
        begun: what is left of a frame that was partly sent.
        websocket: whether there are frames.
    """
    goodbye = GOODBYES[ending]
    left = (
        list(begun) if not websocket else [*begun, *_frame(Opcode.CLOSE, close_payload(goodbye.code, goodbye.sentence))]
    )
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
