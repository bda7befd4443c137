"""The sessions this process serves. Any thread ends or changes one within milliseconds, by waking its pumps."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection
from threading import Condition, RLock

from consoles.proxy.endings import Ending
from consoles.proxy.modes import Mode
from consoles.proxy.tickets import Claim


class Session:
    """One person at one machine's screen, over one connection or several (SPICE: one for each channel).

    Counts, mode and ending are the session's; each connection is a Line of it and has a wake-up of its own.
    """

    def __init__(self, claim: Claim) -> None:
        self.id = claim.session
        self.claim = claim
        """Of the connection that came first; `channel` in it is that one's."""
        self.channels: set[tuple[int, int]] = set()
        """SPICE channels that were ever opened: type and number."""
        self.taken = False
        """Whether one of its tickets was used up, so that its end has to be reported."""
        self.warned: dict[Ending, float] = {}
        """By which limits its person was warned of which end (monotonic clock)."""
        self.began_at = self.acted_at = time.monotonic()
        self._mode = claim.mode
        self._lines: list[Line] = []
        self._gone = (0, 0)  # what its former lines counted
        self._opened = False
        self._ending: Ending | None = None
        self._lock = RLock()

    @property
    def ending(self) -> Ending | None:
        """Why it has to end, None while it may go on."""
        return self._ending

    @property
    def mode(self) -> Mode:
        """What its client may do now."""
        return self._mode

    @property
    def to_client(self) -> int:
        """Display bytes sent to the client."""
        with self._lock:
            return self._gone[0] + sum(line.to_client for line in self._lines)

    @property
    def from_client(self) -> int:
        """Bytes of the client's messages, passed on or not."""
        with self._lock:
            return self._gone[1] + sum(line.from_client for line in self._lines)

    def end(self, ending: Ending) -> None:
        """Ask it to end. The first reason stays."""
        with self._lock:
            if self._ending is None:
                self._ending = ending
                self._wake()

    def change_mode(self, mode: Mode) -> bool:
        """Let its client do more or less, at once; return whether that is a change."""
        with self._lock:
            if mode is self._mode or self._ending:
                return False
            self._mode = mode
            self._wake()
            return True

    def acted(self) -> None:
        """Note that its person does something (or says that it shall stay), so it is not idle."""
        self.acted_at = time.monotonic()

    def claim_channel(self, kind: int, number: int) -> bool:
        """Take a SPICE channel; return False when the session has opened it before."""
        with self._lock:
            if (kind, number) in self.channels:
                return False
            self.channels.add((kind, number))
            return True

    def open_first(self) -> bool:
        """Return whether this is the first of its connections whose display is open."""
        with self._lock:
            first, self._opened = not self._opened, True
            return first

    def _wake(self) -> None:
        for line in self._lines:
            os.eventfd_write(line.wake, 1)


class Line:
    """One connection of a session. Its pump polls `wake` beside the two sockets."""

    def __init__(self, session: Session, channel: str | None) -> None:
        self.session = session
        self.channel = channel
        """The SPICE channel that its ticket is for."""
        self.to_client = self.from_client = 0
        self.wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        with session._lock:
            session._lines.append(self)

    def slept(self) -> None:
        """Forget wake-ups: whoever calls looks at the session's ending and mode right after."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.wake)

    def close(self) -> bool:
        """Give its wake-up back; return whether it was the session's last."""
        with self.session._lock:
            to_client, from_client = self.session._gone
            self.session._gone = to_client + self.to_client, from_client + self.from_client
            self.session._lines.remove(self)
            os.close(self.wake)
            return not self.session._lines


class Registry:
    """Every session from before its ticket is taken until its last byte, so that no ending can slip between.

    Args:
        most: how many sessions may be served at once.
    """

    def __init__(self, most: int = 1000) -> None:
        self.most = most
        self._sessions: dict[str, Session] = {}
        self._changed = Condition()
        self._ending: Ending | None = None

    def join(self, claim: Claim) -> Line:
        """Begin to serve a connection, of a session that is served here already or of a new one.

        A session that may not be served gets its ending at once: one too many, or any while this proxy stops.
        """
        with self._changed:
            session = self._sessions.get(claim.session)
            if session is None:
                session = Session(claim)
                if len(self._sessions) >= self.most:
                    session.end(Ending.FULL)
                self._sessions[session.id] = session
            if self._ending:
                session.end(self._ending)
            return Line(session, claim.channel)

    def leave(self, line: Line, over: Callable[[Session], None]) -> None:
        """Stop serving a connection; call `over` when its session is over with it, before it is forgotten."""
        with self._changed:
            if line.close():
                over(line.session)
                del self._sessions[line.session.id]
                self._changed.notify_all()

    def all(self) -> list[Session]:
        """Return the sessions of this moment."""
        with self._changed:
            return list(self._sessions.values())

    def find(self, session: str) -> Session | None:
        """Return the session of this id if it is served here."""
        with self._changed:
            return self._sessions.get(session)

    def end(self, ids: Collection[str], ending: Ending) -> None:
        """End the sessions of these ids that are served here."""
        for session in map(self.find, ids):
            if session:
                session.end(ending)

    def end_all(self, ending: Ending, *, patience: float = 0) -> None:
        """End every session; wait up to `patience` seconds until all are gone."""
        for session in self.all():
            session.end(ending)
        self.wait_until_empty(patience)

    def wait_until_empty(self, patience: float) -> None:
        """Wait up to `patience` seconds until no session is served."""
        with self._changed:
            self._changed.wait_for(lambda: not self._sessions, patience)

    def drain(self, ending: Ending, *, over: float, pause: Callable[[float], object] = time.sleep) -> None:
        """End every session, one after another over at most so many seconds, and each that comes from now on."""
        self._ending = ending
        sessions = self.all()
        for session in sessions:
            session.end(ending)
            pause(min(0.05, over / len(sessions)))
