"""The sessions this process serves, and how any thread ends one: within milliseconds, by a wake-up of its pump."""

from __future__ import annotations

import os
from collections.abc import Collection
from threading import Condition, Lock

from consoles.proxy.endings import Ending
from consoles.proxy.rfb import Mode


class Session:
    """One client at one display. Its pump polls `wake` beside the two sockets."""

    def __init__(self, session: str, mode: Mode) -> None:
        self.id = session
        self.mode = mode
        self.to_client = 0
        """Display bytes sent to the client."""
        self.from_client = 0
        """Bytes of the client's messages, passed on or not."""
        self.wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._ending: Ending | None = None
        self._lock = Lock()
        self._closed = False

    @property
    def ending(self) -> Ending | None:
        """Why it has to end, None while it may go on."""
        return self._ending

    def end(self, ending: Ending) -> None:
        """Ask it to end. The first reason stays."""
        with self._lock:
            if self._ending is None and not self._closed:
                self._ending = ending
                os.eventfd_write(self.wake, 1)

    def close(self) -> None:
        """Give its wake-up back; ending it does nothing afterwards."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self.wake)


class Registry:
    """Every session from before its ticket is taken until its last byte, so that no ending can slip between."""

    def __init__(self) -> None:
        self._sessions: set[Session] = set()
        self._changed = Condition()

    def add(self, session: Session) -> None:
        """Begin to serve a session."""
        with self._changed:
            self._sessions.add(session)

    def remove(self, session: Session) -> None:
        """Stop serving a session."""
        with self._changed:
            self._sessions.discard(session)
            self._changed.notify_all()
        session.close()

    def all(self) -> list[Session]:
        """Return the sessions of this moment."""
        with self._changed:
            return list(self._sessions)

    def end(self, ids: Collection[str], ending: Ending) -> None:
        """End the sessions of these ids that are served here."""
        for session in self.all():
            if session.id in ids:
                session.end(ending)

    def end_all(self, ending: Ending, *, patience: float = 0) -> None:
        """End every session; wait up to `patience` seconds until all are gone."""
        for session in self.all():
            session.end(ending)
        with self._changed:
            self._changed.wait_for(lambda: not self._sessions, patience)
