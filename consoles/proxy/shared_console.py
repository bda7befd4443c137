"""One serial console for all who look at it: libvirt lets a program open it once, so one reader fans out.

What the machine says is kept in a scrollback, and every viewer is sent from there at its own pace. One that falls
behind by more than that misses the middle and is told so, so a slow viewer costs nothing. A viewer is a pair of
sockets: the pump that serves its client takes the other end for a display.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from threading import Condition, Lock, Thread
from typing import Protocol
from uuid import UUID

from consoles.proxy.display import NoDisplay
from consoles.proxy.endings import Ending
from consoles.proxy.modes import Mode
from consoles.proxy.scrollback import Scrollback
from consoles.proxy.sessions import Session
from consoles.proxy.tickets import Claim
from hypervisor.errors import HypervisorError

logger = logging.getLogger(__name__)

KEPT_SECONDS = 600.0
"""How long after its last viewer left a console is read on and its scrollback kept."""
LIVE = b"\x1b]5379;live\x07"
"""Sent behind the scrollback: from here on the machine speaks now. Terminals ignore it; our page answers no question
(where is the cursor?) that was asked before."""
AFRESH = b"\x18\x1b[?47l\x1b[!p\r\n"
"""Put between two runs of a machine: leaves the full screen of an editor, and colours, to the past."""
STOP_SECONDS = 1.0
_GRACE = 0.5
_CHUNK = 16 * 1024
_TYPED_AT_ONCE = 4096
_BUFFER = 64 * 1024

_IN, _OUT = select.POLLIN, select.POLLOUT


class Console(Protocol):
    """An open console: `hypervisor.console.SerialConsole`."""

    def write(self, data: bytes) -> None:
        """Type; it may wait for the machine.

        Raises:
            HypervisorError: it has ended.
        """

    def close(self) -> None:
        """Give it back, not while `write` has yet to return."""


class OpenConsole(Protocol):
    """Opens a machine's console; both callbacks come from another thread and must not wait."""

    def __call__(self, claim: Claim, on_output: Callable[[bytes], None], on_end: Callable[[], None], /) -> Console:
        """Open it.

        Raises:
            NoDisplay: it cannot be had now.
        """


class Forgotten(Exception):
    """It has let go of its machine in this very moment; another one serves it from now on."""


class SharedConsole:
    """The serial console of one machine.

    closed -> open (a viewer came) -> closed (it ended: its viewers are let go) -> open ...
    any -> forgotten, when it has had no viewer for `KEPT_SECONDS`, or when nothing was ever said and nobody comes
    """

    def __init__(self, forget: Callable[[], None]) -> None:
        """Begin closed.

        Args:
            forget: called, in a thread of this object, when it is forgotten.
        """
        self._forget = forget
        self._opening = Lock()  # held while libvirt is asked, so that a second viewer waits for the first
        self._guard = Lock()  # held for moments only: libvirt's event loop waits for it
        self._scrollback = Scrollback()
        self._typist: Typist | None = None
        self._run_now = object()  # stands for the console that is open; one of before may still have a word to say
        self._ended = False
        self._coming: list[Viewer] = []
        self._viewers: dict[int, Viewer] = {}
        self._left_at = time.monotonic()
        self._forgotten = self._stopping = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._wake, _IN)
        self._thread = Thread(target=self._serve, name="serial console", daemon=True)
        self._thread.start()

    def join(self, claim: Claim, session: Session, open_console: OpenConsole) -> socket.socket:
        """Return a new viewer's end: everything that is kept comes first, then `LIVE`, then what the machine says.

        Raises:
            NoDisplay: it cannot be had now.
            Forgotten: ask another one.
        """
        with self._opening:
            if self._forgotten:
                raise Forgotten
            if self._typist is None:
                self._open(claim, open_console)
            with self._guard:
                if self._ended:
                    raise NoDisplay(Ending.DISPLAY_CLOSED)
                ours, theirs = socket.socketpair()
                self._coming.append(Viewer(ours, session, self._scrollback))
        self._nudge()
        return theirs

    def examine(self, claim: Claim, open_console: OpenConsole) -> None:
        """Find out whether the console can be had, by opening it for a moment where nobody looks at it here.

        Raises:
            NoDisplay: it cannot be had now.
            Forgotten: ask another one.
        """
        with self._opening:
            if self._forgotten:
                raise Forgotten
            if self._typist is None:
                open_console(claim, lambda _said: None, lambda: None).close()

    def stop(self) -> None:
        """Let go of the machine and of all viewers; return when that is done, or soon."""
        self._stopping = True
        self._nudge()
        self._thread.join(STOP_SECONDS)

    def _open(self, claim: Claim, open_console: OpenConsole) -> None:
        run = object()
        with self._guard:
            self._run_now, self._ended = run, False

        def hear(data: bytes) -> None:
            with self._guard:
                self._scrollback.append(data)
            self._nudge()

        def end() -> None:
            with self._guard:
                self._ended = self._ended or self._run_now is run
            self._nudge()

        with self._guard:
            if self._scrollback.end:
                self._scrollback.append(AFRESH)
        self._typist = Typist(open_console(claim, hear, end), on_idle=self._nudge, on_end=end)

    def _nudge(self) -> None:
        with contextlib.suppress(OSError):  # it was forgotten meanwhile
            os.eventfd_write(self._wake, 1)

    # From here on, everything runs in the console's own thread.

    def _serve(self) -> None:
        while not self._is_over():
            ready = dict(self._poll.poll(self._patience() * 1000))
            if ready.pop(self._wake, 0):
                os.eventfd_read(self._wake)
            ended = self._take_news()
            for number, events in ready.items():
                if events & ~_OUT:
                    self._hear_viewer(self._viewers[number])
            for viewer in list(self._viewers.values()):
                self._show(viewer)
            if ended:
                self._let_go()
        self._let_go()
        os.close(self._wake)

    def _take_news(self) -> bool:
        """Let new viewers in; return whether the console has ended, in which case nothing more comes."""
        with self._guard:
            coming, self._coming = self._coming, []
            ended = self._ended
        for viewer in coming:
            self._viewers[viewer.number] = viewer
        return ended

    def _hear_viewer(self, viewer: Viewer) -> None:
        """Hear what a viewer types, or that it is gone."""
        typed = viewer.hear()
        if typed == b"":
            self._drop(viewer)
        elif typed and self._typist:
            self._typist.type(viewer.session, typed)

    def _show(self, viewer: Viewer) -> None:
        """Send a viewer what it has not seen, as far as it takes it, and wait for what is of interest then."""
        try:
            with self._guard:
                up_to_date = viewer.send(self._scrollback)
        except OSError:
            self._drop(viewer)
            return
        may_type = self._typist is not None and not self._typist.busy
        self._poll.register(viewer.number, (_IN if may_type else 0) | (0 if up_to_date else _OUT))

    def _drop(self, viewer: Viewer) -> None:
        del self._viewers[viewer.number]
        with contextlib.suppress(KeyError):  # it came and went before anything was sent
            self._poll.unregister(viewer.number)
        viewer.close()
        self._left_at = time.monotonic()

    def _let_go(self) -> None:
        """Let no viewer stay and give the console back: it has ended, or nobody wants it any more."""
        with self._opening, self._guard:
            typist, self._typist = self._typist, None
            coming, self._coming = self._coming, []
        for viewer in coming:
            viewer.close()
        for viewer in list(self._viewers.values()):
            self._drop(viewer)
        if typist:
            typist.stop()

    def _patience(self) -> float:
        """Return how many seconds there may be nothing to do."""
        return KEPT_SECONDS if self._viewers else max(_GRACE, self._due() - time.monotonic())

    def _due(self) -> float:
        """Return when it is forgotten, unless a viewer comes."""
        return self._left_at + (KEPT_SECONDS if self._scrollback.end else _GRACE)

    def _is_over(self) -> bool:
        """Return whether to forget the machine, and do so; never while a viewer is on its way in."""
        if not self._stopping and (self._viewers or time.monotonic() < self._due()):
            return False
        if not self._opening.acquire(blocking=self._stopping):
            return False
        try:
            self._forgotten = self._stopping or not self._coming
            if self._forgotten:
                self._forget()
            return self._forgotten
        finally:
            self._opening.release()


class Viewer:
    """One viewer's end of the console. Used by the console's thread."""

    def __init__(self, side: socket.socket, session: Session, scrollback: Scrollback) -> None:
        self.session = session
        self.number = side.fileno()
        self._side = side
        self._place = scrollback.first_line()
        self._live_from: int | None = max(self._place, scrollback.last_whole())
        self._unsent = b""
        side.setblocking(False)
        side.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)

    def hear(self) -> bytes | None:
        """Return what was typed, nothing when it is gone, None when there is nothing yet."""
        try:
            return self._side.recv(_TYPED_AT_ONCE)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def send(self, scrollback: Scrollback) -> bool:
        """Send what it has not seen; return whether it has seen everything.

        Raises:
            OSError: it is gone.
        """
        while self._unsent or self._next(scrollback):
            try:
                sent = self._side.send(self._unsent)
            except BlockingIOError:
                return False
            self._unsent = self._unsent[sent:]
        return True

    def close(self) -> None:
        """Close it; its pump still sends what is in the sockets."""
        self._side.close()

    def _next(self, scrollback: Scrollback) -> bool:
        """Take up what comes next, if there is something."""
        if self._place < scrollback.begin:
            missed, self._place = scrollback.begin - self._place, scrollback.begin
            self._unsent = b"\x18\x1b[0m\r\n[... %d KiB ...]\r\n" % (missed // 1024 + 1)
            return True
        if self._live_from is not None and self._place >= self._live_from:
            self._live_from = None
            self._unsent = LIVE
            return True
        most = _CHUNK if self._live_from is None else min(_CHUNK, self._live_from - self._place)
        self._unsent = scrollback.read(self._place, most)
        self._place += len(self._unsent)
        return bool(self._unsent)


class Typist:
    """Types into one open console, in a thread of its own since the machine may let it wait. Closes it in the end."""

    def __init__(self, console: Console, *, on_idle: Callable[[], None], on_end: Callable[[], None]) -> None:
        """Begin.

        Args:
            console: what to type into.
            on_idle: called when everything is typed.
            on_end: called when the console takes nothing any more.
        """
        self._console = console
        self._on_idle = on_idle
        self._on_end = on_end
        self._news = Condition()
        self._waiting: deque[tuple[Session, bytes]] = deque()
        self._stopping = False
        Thread(target=self._run, name="serial typist", daemon=True).start()

    @property
    def busy(self) -> bool:
        """Whether nothing more should be typed now."""
        return bool(self._waiting)

    def type(self, session: Session, data: bytes) -> None:
        """Type this after what waits, unless its session may no longer by then."""
        with self._news:
            self._waiting.append((session, data))
            self._news.notify_all()

    def stop(self) -> None:
        """Type no more; the console is closed soon."""
        with self._news:
            self._stopping = True
            self._news.notify_all()

    def _run(self) -> None:
        try:
            while self._type_next():
                pass
        except HypervisorError as error:
            logger.info("a serial console takes nothing any more: %s", error)
            self._on_end()
            self._wait_for(lambda: self._stopping)
        finally:
            self._console.close()

    def _type_next(self) -> bool:
        """Type what has waited longest; return False when it is over."""
        self._wait_for(lambda: self._stopping or self._waiting)
        if self._stopping:
            return False
        session, data = self._waiting[0]
        if session.mode is Mode.CONTROL and not session.ending:
            self._console.write(data)
        self._waiting.popleft()
        if not self._waiting:
            self._on_idle()
        return True

    def _wait_for(self, what: Callable[[], object]) -> None:
        with self._news:
            self._news.wait_for(what)


class SharedConsoles:
    """The serial consoles of all machines that somebody looks at through this process."""

    def __init__(self, open_console: OpenConsole) -> None:
        """Begin with none; `open_console` opens each."""
        self._open_console = open_console
        self._guard = Lock()
        self._by_machine: dict[UUID, SharedConsole] = {}

    def join(self, claim: Claim, session: Session) -> socket.socket:
        """Return a new viewer's end of the machine's console (see `SharedConsole.join`).

        Raises:
            NoDisplay: it cannot be had now.
        """
        while True:
            with contextlib.suppress(Forgotten):
                return self._of(claim.machine).join(claim, session, self._open_console)

    def examine(self, claim: Claim) -> None:
        """Find out whether the machine's console can be had (see `SharedConsole.examine`).

        Raises:
            NoDisplay: it cannot be had now.
        """
        while True:
            with contextlib.suppress(Forgotten):
                return self._of(claim.machine).examine(claim, self._open_console)

    def close(self) -> None:
        """Let go of every machine."""
        with self._guard:
            consoles = list(self._by_machine.values())
        for console in consoles:
            console.stop()

    def _of(self, machine: UUID) -> SharedConsole:
        with self._guard:
            if machine not in self._by_machine:
                self._by_machine[machine] = SharedConsole(partial(self._forget, machine))
            return self._by_machine[machine]

    def _forget(self, machine: UUID) -> None:
        with self._guard:
            self._by_machine.pop(machine, None)
